"""What a rule sees of a value: Kubernetes types values by their schema, JSON does not.

Instants, durations and bytes are texts in JSON; a rule that names such a field is rewritten so that
the text is converted where it is used. Numbers and odd field names are converted in the value.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from apiserver.schema.cel import CelError, outside_literals
from apiserver.schema.errors import compact
from apiserver.schema.structural import Node
from apiserver.schema.values import key_of

_CHAIN: Final = re.compile(
    r"(?P<has>\bhas\s*\(\s*)?(?<![\w.])(?P<root>self|oldSelf)\b(?P<path>(?:\s*\.\s*[A-Za-z_]\w*)*)"
    r"(?P<call>\s*\()?"
)
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)

_CONVERSIONS: Final[Mapping[str, str]] = {
    "date-time": "timestamp({})",
    "datetime": "timestamp({})",
    "date": "timestamp({} + 'T00:00:00Z')",
    "duration": "duration({})",
    "byte": "base64.decode({})",
}

_RESERVED: Final = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_ESCAPES: Final = (
    ("__", "__underscores__"),
    (".", "__dot__"),
    ("-", "__dash__"),
    ("/", "__slash__"),
)

_META: Final = Node(
    raw={},
    type="object",
    properties={name: Node(raw={}, type="string") for name in ("name", "generateName")},
)
_TYPE_META: Final[Mapping[str, Node]] = {
    "apiVersion": Node(raw={}, type="string"),
    "kind": Node(raw={}, type="string"),
    "metadata": _META,
}


def escape(name: str) -> str:
    """Return a field's name as rules write it: ``a-b`` is ``a__dash__b``."""
    if name in _RESERVED:
        return f"__{name}__"
    for raw, escaped in _ESCAPES:
        name = name.replace(raw, escaped)
    return name


def visible(node: Node, *, root: bool = False) -> Mapping[str, Node]:
    """Return the fields that a rule at *node* can name, under the names that it uses."""
    fields = {escape(name): child for name, child in node.properties.items()}
    if root or node.embedded:
        fields = {**fields, **_TYPE_META}
    return fields


def prepare(source: str, node: Node, *, root: bool, optional_old: bool) -> str:
    """Return a rule with its dates, durations and bytes converted where they are named.

    Raises:
        CelError: The rule names a field that the schema has not.
    """

    def convert(found: re.Match[str]) -> str:
        if optional_old and found["root"] == "oldSelf":
            return found.group()
        return _convert(found, node, root=root)

    return outside_literals(source, lambda code: _CHAIN.sub(convert, code))


def _convert(found: re.Match[str], node: Node, *, root: bool) -> str:
    names = _NAME.findall(found["path"])
    called = names.pop() if found["call"] and names else None
    at, taken = node, 0
    for name in names:
        following = _follow(at, name, root=root and at is node)
        if following is None:
            break
        at, taken = following, taken + 1
    chain = ".".join([found["root"], *names])
    rest = f".{called}" if called is not None else ""
    if not found["has"] and taken == len(names):
        chain = _CONVERSIONS.get(_format(at), "{}").format(chain)
    return f"{found['has'] or ''}{chain}{rest}{found['call'] or ''}"


def field_type(source: str, node: Node, *, root: bool) -> str:
    """Return the type of the field that *source* is; ``DYN`` if it is more than a field's name."""
    found = _CHAIN.fullmatch(source.strip())
    if found is None or found["has"] or found["call"]:
        return "DYN"
    at = node
    for name in _NAME.findall(found["path"]):
        following = _follow(at, name, root=root and at is node)
        if following is None:
            return "DYN"
        at = following
    if at.format in _CONVERSIONS:
        return "OTHER"
    return {"boolean": "BOOL", "string": "STRING", "": "DYN"}.get(at.type, "OTHER")


def _format(node: Node) -> str:
    return node.format if node.type == "string" else ""


def _follow(node: Node, name: str, *, root: bool) -> Node | None:
    """Return the schema of field *name*; None if anything may be there."""
    child = visible(node, root=root).get(name) or node.additional
    if child is not None:
        return child
    if node.preserve or node.embedded or node.additional_any or node.int_or_string:
        return None
    raise CelError(f"undefined field '{name}'")


def needs_conversion(node: Node) -> bool:
    """Say whether values of *node* differ for rules from what JSON has."""
    if node.type == "number" or any(escape(name) != name for name in node.properties):
        return True
    return any(needs_conversion(child) for child in node.children())


def to_cel(node: Node, value: Any) -> Any:
    """Return *value* with numbers as floats and field names escaped."""
    if isinstance(value, dict):
        return dict(_fields(node, value))
    if isinstance(value, list) and node.items is not None:
        return [to_cel(node.items, item) for item in value]
    if node.type == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _fields(node: Node, value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        child = node.properties.get(key)
        if child is not None:
            yield escape(key), to_cel(child, item)
        elif node.additional is not None:
            yield key, to_cel(node.additional, item)
        else:
            yield key, item


def align(node: Node, value: Any, old: Any) -> Any:
    """Return *old* with its sets and map lists in the order that *value* has them.

    To Kubernetes lists of these types are equal whatever their order; the CEL library compares item
    by item. Items that only *old* has come last.
    """
    if not node.lists_below:
        return old
    if isinstance(value, dict) and isinstance(old, dict):
        return {key: _align_field(node, key, value, item) for key, item in old.items()}
    if not isinstance(value, list) or not isinstance(old, list) or node.items is None:
        return old
    if node.list_type not in {"set", "map"}:
        return old
    identity = compact if node.list_type == "set" else partial(key_of, node)
    at = {identity(item): index for index, item in enumerate(value)}
    ordered = sorted(old, key=lambda item: at.get(identity(item), len(value)))
    return [
        align(node.items, value[at[key]], item) if (key := identity(item)) in at else item
        for item in ordered
    ]


def _align_field(node: Node, key: str, value: dict[str, Any], item: Any) -> Any:
    child = node.child(key)
    return item if child is None or key not in value else align(child, value[key], item)


def whole_object(value: Any) -> Any:
    """Return an object as rules see it: of its metadata only the names."""
    if not isinstance(value, dict):
        return value
    metadata = value.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    shown = {key: names[key] for key in ("name", "generateName") if names.get(key)}
    return {**value, "metadata": shown}
