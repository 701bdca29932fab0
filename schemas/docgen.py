"""Generate ``docs/kinds/`` from the models: ``python -m schemas.docgen [--check]``.

One page a kind: its names, every field with type and bounds, the rules. All of it is the models'.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from schemas import crdgen
from schemas.base import Object
from schemas.kinds import KINDS
from schemas.names import API_VERSION

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "kinds"


def page(model: type[Object]) -> str:
    """Return the page of *model*, in Markdown."""
    definition, schema = model.definition, crdgen.schema(model)
    resource = definition.resource
    names = ", ".join(f"`{name}`" for name in (resource.plural, *definition.short_names))
    scope = "in a namespace" if resource.namespaced else "for the whole cluster"
    lines = [
        f"# {resource.kind}",
        "",
        schema["description"],
        "",
        f"`apiVersion: {API_VERSION}`, {scope}; kubectl knows it as {names}.",
        "",
    ]
    for part in ("spec", "status"):
        lines += [f"## {part}", "", "| field | type | text |", "|---|---|---|"]
        lines += [_row(path, node) for path, node in _fields(schema["properties"][part])]
        lines.append("")
    rules = (*definition.spec_rules, *definition.root_rules)
    if rules:
        lines += ["## Rules", "", *(f"- {rule.message}." for rule in rules), ""]
    return "\n".join(lines)


def _fields(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    required = node.get("required", ())
    for name, child in node.get("properties", {}).items():
        at = f"{path}.{name}" if path else name
        yield at, child | {"_required": name in required}
        items = child.get("items")
        inner = items if isinstance(items, dict) else child
        yield from _fields(inner, f"{at}[]" if inner is items else at)


def _row(path: str, node: dict[str, Any]) -> str:
    text = node.get("description", "").replace("|", "\\|")
    if node["_required"]:
        text = f"**Required.** {text}"
    return f"| `{path}` | {_type(node)} | {text} |"


def _type(node: dict[str, Any]) -> str:
    kind = node["type"]
    if "enum" in node:
        kind = " ".join(f"`{value}`" for value in node["enum"])
    elif kind == "array":
        kind = f"list of {node['items']['type']}, at most {node['maxItems']}"
    elif "additionalProperties" in node:
        kind = f"map, at most {node['maxProperties']}"
    elif "maxLength" in node and "format" not in node:
        kind = f"string, at most {node['maxLength']:,}"
    default = node.get("default")
    return f"{kind} = `{json.dumps(default)}`" if default not in (None, {}) else kind


def rendered() -> dict[str, str]:
    """Return the text of every file in ``docs/kinds/`` by its name."""
    files: dict[str, str] = {}
    for model in KINDS.values():
        body = page(model)
        digest = hashlib.sha256(body.encode()).hexdigest()[:12]
        head = (
            f"<!-- Generated from {model.__module__} (sha256 {digest}) by schemas/docgen.py. -->\n"
        )
        files[f"{model.definition.resource.kind.lower()}.md"] = head + body
    return files


def main(arguments: list[str]) -> int:
    """Write ``docs/kinds/``, or with ``--check`` return 1 if it is out of date."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    stale = [
        name
        for name, text in rendered().items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        if stale:
            sys.stderr.write(f"out of date: {', '.join(stale)}; run python -m schemas.docgen\n")
        return 1 if stale else 0
    for name in stale:
        (FOLDER / name).write_text(rendered()[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
