"""Generate ``docs/mcp-tools.md`` from the catalogue: ``python -m schemas.tools.docgen [--check]``.

The rules that all tools share are here; names, bounds and texts are the models'.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from schemas.tools.base import Category, Tool, json_schema
from schemas.tools.catalogue import CATALOGUE

FILE: Final = Path(__file__).resolve().parents[2] / "docs" / "mcp-tools.md"

_RULES: Final = """\
# MCP tools

An agent in a pod finds other pods, drives their terminals, talks in channels, works on tickets and
starts more pods with these {count} tools. Its MCP server is configured by itself: each pod has one of
its own, and an agent whose class names an MCP format (`spec.mcp.format`) is told of it before it
starts. It never has to be written into a repository.

## For all tools

| | |
|---|---|
| where | `AGENTSMESH_MCP_URL` in the pod's environment: Streamable HTTP on loopback, path `/mcp`, no sessions; protocols 2024-11-05 to 2026-07-28 |
| who | `Authorization: Bearer $AGENTSMESH_MCP_TOKEN`. The token is the pod's: made for each run, dead when it ends. A pod's name opens nothing. Everything else is answered 403 or 404, never 401 |
| what is seen | the pod's own organization, and nothing else; who may do what is decided by the controller, for every way in |
| arguments | unknown, missing and out-of-range ones are refused before anything is done; null means absent. Ids are names of resources (`AM-123`, `design-review`) |
| results | `structuredContent`, and the same JSON as text; what is not known is left out. Times are RFC 3339, UTC |
| failures | `isError` and one sentence: what is wrong and what to do. An unknown tool is the JSON-RPC error -32602 |
| limits | 1 MiB and 64 KiB a request, 30 s a call, 16 calls of a pod at once (more wait up to 20 s), 64 connections, 300 requests a second |
| giving up | closing the connection cancels its call |
| a restart of the runner | requests wait in the pod's socket and are answered afterwards; calls under way fail, and may have been carried out |
| terminals | a pod needs no binding for its own; for another's it needs a binding that grants the scope |

A failure has one of these reasons; the runner's log has it beside pod, tool, outcome and duration, never with arguments.

| reason | what it means |
|---|---|
| `InvalidArgument` | an argument is unknown, missing or out of range, or does not fit what there is |
| `Forbidden` | the pod lacks the scope, the membership or the role |
| `NotFound` | there is none of this name in the organization |
| `AlreadyExists` | the name is taken: the sentence says by what |
| `Conflict` | it has changed since: `structuredContent` has it as it is now |
| `LimitExceeded` | a quota or a limit is used up |
| `NotRunning`, `RunnerAway` | the target's agent has ended, or its runner is not there now |
| `Unavailable`, `ControllerAway` | it cannot be done now: try again in a moment |
| `TookTooLong` | no answer in time: it may have been done |
| `TooManyCalls` | wait for answers before making more calls |

Below, `?` marks what may be absent, and `=` what then holds.
"""  # noqa: E501 - rows of a table


def page() -> str:
    """Return the page, in Markdown, without its head line."""
    lines = [_RULES.format(count=len(CATALOGUE))]
    for category in Category:
        lines += [f"## {category}", ""]
        for tool in CATALOGUE.values():
            if tool.category is category:
                lines += [*_section(tool), ""]
    return "\n".join(lines)


def _section(tool: Tool) -> Iterator[str]:
    yield f"### `{tool.name}`"
    yield ""
    notes = [tool.description]
    if tool.scope is not None:
        notes.append(f"Needs `{tool.scope}` on the pod.")
    if tool.read_only:
        notes.append("Changes nothing.")
    yield " ".join(notes)
    yield ""
    arguments = list(_fields(json_schema(tool.arguments)))
    if arguments:
        yield "| argument | type | |"
        yield "|---|---|---|"
        yield from (_row(path, node) for path, node in arguments)
    else:
        yield "No arguments."
    yield ""
    yield "| result | type | |"
    yield "|---|---|---|"
    yield from (_row(path, node) for path, node in _fields(json_schema(tool.result)))


def _fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    required = schema.get("required", ())
    for name, node in schema.get("properties", {}).items():
        at = f"{path}.{name}" if path else name
        yield at, node | {"_required": name in required}
        items = node.get("items", {})
        yield from _fields(items, f"{at}[]") if items else _fields(node, at)


def _row(path: str, node: dict[str, Any]) -> str:
    text = " ".join(node.get("description", "").split()).replace("|", "\\|")
    mark = "" if node["_required"] else "?"
    return f"| `{path}`{mark} | {_type(node)} | {text} |".replace("|  |", "| |")


def _type(node: dict[str, Any]) -> str:
    found = _plain_type(node)
    default = node.get("default")
    return f"{found} = `{json.dumps(default)}`" if default not in (None, [], {}) else found


def _plain_type(node: dict[str, Any]) -> str:
    if "anyOf" in node:
        return " or ".join(_plain_type(each) for each in node["anyOf"])
    if "enum" in node:
        return " ".join(f"`{value}`" for value in node["enum"])
    match node["type"]:
        case "array":
            return f"list of {_plain_type(node['items'])}{_bounds(node, 'minItems', 'maxItems')}"
        case "object" if isinstance(node.get("additionalProperties"), dict):
            values = _plain_type(node["additionalProperties"])
            return f"map to {values}{_bounds(node, 'minProperties', 'maxProperties')}"
        case "string":
            return f"string{_bounds(node, 'minLength', 'maxLength')}"
        case kind:
            return f"{kind}{_bounds(node, 'minimum', 'maximum')}"


def _bounds(node: dict[str, Any], least: str, most: str) -> str:
    low, high = node.get(least), node.get(most)
    match low, high:
        case None, None:
            return ""
        case None, _:
            return f", up to {high:,}"
        case _, None:
            return f", from {low:,}"
        case _:
            return f", {low:,} to {high:,}"


def rendered() -> str:
    """Return the file's text."""
    body = page()
    digest = hashlib.sha256(body.encode()).hexdigest()[:12]
    about = f"Generated from schemas.tools (sha256 {digest}) by schemas/tools/docgen.py."
    return f"<!-- {about} -->\n{body}"


def main(arguments: list[str]) -> int:
    """Write ``docs/mcp-tools.md``, or with ``--check`` return 1 if it is out of date."""
    text = rendered()
    stale = not FILE.exists() or FILE.read_text(encoding="utf-8") != text
    if "--check" in arguments:
        if stale:
            sys.stderr.write(f"out of date: {FILE.name}; run python -m schemas.tools.docgen\n")
        return 1 if stale else 0
    if stale:
        FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
