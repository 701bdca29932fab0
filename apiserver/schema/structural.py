"""A structural schema as a tree of nodes: parsed once, walked for every object.

A node carries what pruning, defaulting, validation and rules need, and flags that say whether
anything below it needs a look at all.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Self

from apiserver.schema.cel import mentions_old
from apiserver.schema.regex import Pattern


class _Missing(Enum):
    MISSING = "missing"


MISSING: Final = _Missing.MISSING
"""Stands where JSON has nothing at all, as opposed to null."""


@dataclass(frozen=True, slots=True)
class RuleSource:
    """One entry of ``x-kubernetes-validations``."""

    rule: str
    message: str = ""
    message_expression: str = ""
    reason: str = "FieldValueInvalid"
    field_path: str = ""
    optional_old_self: bool = False
    needs_old: bool = False
    """The rule looks at the older value."""

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> Self:
        """Return the rule written as *raw*."""
        return cls(
            rule=raw.get("rule") or "",
            message=raw.get("message") or "",
            message_expression=raw.get("messageExpression") or "",
            reason=raw.get("reason") or "FieldValueInvalid",
            field_path=raw.get("fieldPath") or "",
            optional_old_self=bool(raw.get("optionalOldSelf")),
            needs_old=mentions_old(raw.get("rule") or ""),
        )


@dataclass(slots=True)
class Node:
    """One schema, its children parsed as well. Not changed after :func:`parse`."""

    raw: dict[str, Any]
    type: str = ""
    format: str = ""
    nullable: bool = False
    preserve: bool = False
    embedded: bool = False
    int_or_string: bool = False
    default: Any = MISSING
    properties: dict[str, "Node"] = field(default_factory=dict)
    additional: "Node | None" = None
    additional_any: bool = False
    """``additionalProperties: true``: any key, any value."""
    items: "Node | None" = None
    list_type: str = ""
    map_keys: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    enum: tuple[Any, ...] | None = None
    pattern: Pattern | None = None
    any_of: tuple["Node", ...] = ()
    one_of: tuple["Node", ...] = ()
    all_of: tuple["Node", ...] = ()
    not_: "Node | None" = None
    rules: tuple[RuleSource, ...] = ()

    special: bool = False
    """More than the type and its limits has to be checked: an enumeration, branches, two types."""
    max_length: int | None = None
    min_length: int | None = None

    ruled: dict[str, "Node"] = field(default_factory=dict)
    """The properties with rules at or below them."""
    transitions_below: bool = False
    """This node or one below has a rule that looks at the older value."""
    defaults_below: bool = False
    """This node or one below has a default."""
    rules_below: bool = False
    """This node or one below has a rule."""
    lists_below: bool = False
    """This node or one below is a set or a map list."""
    embedded_below: bool = False
    """This node or one below holds a whole object."""

    def children(self) -> list["Node"]:
        """Return the nodes below that hold values (not the junctors)."""
        below = list(self.properties.values())
        below += [node for node in (self.additional, self.items) if node is not None]
        return below

    def child(self, key: str) -> "Node | None":
        """Return the schema of the value at *key*, None if the schema names none."""
        return self.properties.get(key) or self.additional


def parse(raw: dict[str, Any]) -> Node:
    """Return *raw*, an ``openAPIV3Schema``, as a tree."""
    node = Node(
        raw=raw,
        type=raw.get("type") or "",
        format=raw.get("format") or "",
        nullable=bool(raw.get("nullable")),
        preserve=bool(raw.get("x-kubernetes-preserve-unknown-fields")),
        embedded=bool(raw.get("x-kubernetes-embedded-resource")),
        int_or_string=bool(raw.get("x-kubernetes-int-or-string")),
        default=raw.get("default", MISSING),
        list_type=raw.get("x-kubernetes-list-type") or "",
        map_keys=tuple(raw.get("x-kubernetes-list-map-keys") or ()),
        required=tuple(raw.get("required") or ()),
    )
    _parse_children(node, raw)
    if raw.get("enum"):
        node.enum = tuple(raw["enum"])
    node.max_length, node.min_length = raw.get("maxLength"), raw.get("minLength")
    if raw.get("pattern"):
        node.pattern = Pattern(raw["pattern"])
    node.rules = tuple(RuleSource.parse(r) for r in raw.get("x-kubernetes-validations") or ())
    _flag(node)
    return node


def _parse_children(node: Node, raw: dict[str, Any]) -> None:
    node.properties = {k: parse(v) for k, v in (raw.get("properties") or {}).items()}
    additional = raw.get("additionalProperties")
    if isinstance(additional, dict):
        node.additional = parse(additional)
    node.additional_any = additional is True
    items = raw.get("items")
    if isinstance(items, dict):
        node.items = parse(items)
    node.any_of = tuple(parse(branch) for branch in raw.get("anyOf") or ())
    node.one_of = tuple(parse(branch) for branch in raw.get("oneOf") or ())
    node.all_of = tuple(parse(branch) for branch in raw.get("allOf") or ())
    if raw.get("not") is not None:
        node.not_ = parse(raw["not"])


def _flag(node: Node) -> None:
    below = node.children()
    node.defaults_below = node.default is not MISSING or any(n.defaults_below for n in below)
    node.rules_below = bool(node.rules) or any(n.rules_below for n in below)
    keyed = node.list_type in {"set", "map"}
    node.lists_below = keyed or any(n.lists_below for n in below)
    node.ruled = {name: child for name, child in node.properties.items() if child.rules_below}
    own = any(rule.needs_old for rule in node.rules)
    node.transitions_below = own or any(n.transitions_below for n in below)
    branches = node.any_of or node.one_of or node.all_of or node.not_ is not None
    node.special = bool(branches or node.enum is not None or node.int_or_string)
    node.embedded_below = node.embedded or any(n.embedded_below for n in below)
