"""Generate ``crds/`` from the models: ``python -m schemas.crdgen [--check]``.

Pydantic's JSON schema is turned into a structural schema: references inlined, titles dropped,
``anyOf [X, null]`` reduced to X, rules and printer columns added.
Source: Kubernetes API, CustomResourceDefinition v1, "structural schemas".
"""

import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from schemas.base import Column, Definition, Object, Rule
from schemas.kinds import KINDS
from schemas.names import API_VERSION, CATEGORY, GROUP, VERSION

FOLDER: Final = Path(__file__).resolve().parent.parent / "crds"

_NOT_DEFAULTS: Final[tuple[object, ...]] = (None, [], "")
"""Absent and empty mean the same to us: a default would only clutter every object."""

_DROPPED: Final = frozenset({"title", "discriminator", "additionalProperties"})


def crd(model: type[Object]) -> dict[str, Any]:
    """Return the CustomResourceDefinition of *model* as a manifest."""
    definition = model.definition
    resource = definition.resource
    names = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.kind.lower(),
        "shortNames": list(definition.short_names),
        "categories": [CATEGORY],
    }
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema(model)},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in definition.columns],
    }
    if definition.selectable_fields:
        version["selectableFields"] = [{"jsonPath": p} for p in definition.selectable_fields]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [version],
        },
    }


def crds() -> list[dict[str, Any]]:
    """Return every CRD of this release, in the order in which they are installed."""
    return [crd(model) for model in KINDS.values()]


def schema(model: type[Object]) -> dict[str, Any]:
    """Return the structural schema of *model*, its own fields and rules included."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    definitions = raw.get("$defs", {})
    result: dict[str, Any] = _structural(
        {
            "type": "object",
            "description": _paragraph(model.__doc__),
            "properties": {name: raw["properties"][name] for name in ("spec", "status")},
            "required": [name for name in raw.get("required", ()) if name == "spec"],
        },
        definitions,
    )
    properties = result["properties"]
    properties["status"].pop("default", None)
    head = {
        "apiVersion": {"type": "string", "description": f"{API_VERSION}."},
        "kind": {"type": "string", "description": f"{model.definition.resource.kind}."},
        "metadata": {"type": "object"},
    }
    result["properties"] = head | properties
    if not result["required"]:
        del result["required"]
    _add_rules(result, model.definition)
    return result


def _add_rules(root: dict[str, Any], definition: Definition) -> None:
    if definition.spec_rules:
        rules = [_rule(rule) for rule in definition.spec_rules]
        root["properties"]["spec"]["x-kubernetes-validations"] = rules
    if definition.root_rules:
        root["x-kubernetes-validations"] = [_rule(rule) for rule in definition.root_rules]


def _rule(rule: Rule) -> dict[str, str]:
    result = {"rule": rule.rule, "message": rule.message}
    return result | ({"fieldPath": rule.field_path} if rule.field_path else {})


def _column(column: Column) -> dict[str, Any]:
    result: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        result["description"] = column.description
    if column.wide:
        result["priority"] = 1
    return result


def _structural(node: Any, definitions: Mapping[str, Any]) -> Any:
    if not isinstance(node, dict):
        return node
    node = _inline(node, definitions)
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key in _DROPPED or (key == "default" and value in _NOT_DEFAULTS):
            continue
        result[key] = _REWRITE.get(key, _keep)(value, definitions)
    extra = node.get("additionalProperties")
    if isinstance(extra, dict):
        result["additionalProperties"] = _structural(extra, definitions)
    if "description" in result:
        result["description"] = _paragraph(result["description"])
    if result.get("type") == "object" and result.get("default") is not None:
        result["default"] = {}
    return result


def _inline(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Replace a reference, or an optional value, by what it stands for; own keys win."""
    if "$ref" in node:
        name = str(node["$ref"]).rsplit("/", 1)[-1]
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return _inline(definitions[name], definitions) | rest
    if "anyOf" in node:
        some = [option for option in node["anyOf"] if option.get("type") != "null"]
        if len(some) != 1:
            raise TypeError(f"a union cannot be put into a structural schema: {node}")
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        return _inline(some[0], definitions) | rest
    return dict(node)


def _properties(value: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _structural(item, definitions) for name, item in value.items()}


def _items(value: Any, definitions: Mapping[str, Any]) -> Any:
    return _structural(value, definitions)


def _keep(value: Any, _: Mapping[str, Any]) -> Any:
    return list(value) if isinstance(value, tuple) else value


_REWRITE: Final[dict[str, Callable[[Any, Mapping[str, Any]], Any]]] = {
    "properties": _properties,
    "items": _items,
}


def _paragraph(text: str | None) -> str:
    return " ".join((text or "").split())


def rendered() -> dict[str, str]:
    """Return the text of every file in ``crds/`` by its name."""
    files: dict[str, str] = {}
    for model in KINDS.values():
        resource = model.definition.resource
        body = yaml.safe_dump(crd(model), sort_keys=False, width=100, allow_unicode=True)
        digest = hashlib.sha256(body.encode()).hexdigest()[:12]
        source = model.__module__
        head = f"# Generated from {source} (sha256 {digest}) by schemas/crdgen.py. Do not edit.\n"
        files[f"{resource.plural}.yaml"] = head + body
    return files


def main(arguments: list[str]) -> int:
    """Write ``crds/``, or with ``--check`` return 1 if it is out of date."""
    check = "--check" in arguments
    FOLDER.mkdir(exist_ok=True)
    files = rendered()
    stale = [
        name
        for name, text in files.items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text(encoding="utf-8") != text
    ]
    extra = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name not in files)
    if check:
        if stale or extra:
            names = ", ".join([*stale, *extra])
            sys.stderr.write(f"out of date: {names}; run python -m schemas.crdgen\n")
        return 1 if stale or extra else 0
    for name in stale:
        (FOLDER / name).write_text(files[name], encoding="utf-8")
    for name in extra:
        (FOLDER / name).unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
