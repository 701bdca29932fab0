"""Dropping what the schema does not know."""

from collections.abc import Container
from typing import Any, Final

from apiserver.schema.structural import MISSING, Node

_TYPE_META: Final = frozenset({"apiVersion", "kind", "metadata"})
_NOTHING: Final[frozenset[str]] = frozenset()


def prune(root: Node, obj: dict[str, Any]) -> list[str]:
    """Drop unknown fields of *obj*, in place; return their paths, sorted.

    ``apiVersion``, ``kind`` and ``metadata`` of the object itself, and of embedded ones, stay.
    What is of another type than the schema says stays whole: validation names it. Nulls that are
    neither allowed nor defaulted go too, without mention; those in lists stay.
    """
    dropped: list[str] = []
    _prune_map(root, obj, "", dropped, _TYPE_META)
    dropped.sort()
    return dropped


def prune_value(node: Node, value: Any) -> list[str]:
    """Drop unknown fields below *value*, which is no whole object; return their paths."""
    dropped: list[str] = []
    _prune(node, value, "", dropped)
    return dropped


def _prune(node: Node, value: Any, path: str, dropped: list[str]) -> None:
    if isinstance(value, dict):
        _prune_map(node, value, path, dropped, _TYPE_META if node.embedded else _NOTHING)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                _prune(node.items, item, f"{path}[{index}]", dropped)


def _prune_map(
    node: Node, value: dict[str, Any], path: str, dropped: list[str], kept: Container[str]
) -> None:
    prefix = f"{path}." if path else ""
    free = node.preserve or node.additional_any
    unknown: list[str] = []
    empty: list[str] = []
    for key, item in value.items():
        if key in kept:
            continue
        child = node.properties.get(key) or node.additional
        if child is None:
            unknown.append(key)
        elif isinstance(item, dict | list):
            _prune(child, item, prefix + key, dropped)
        elif item is None and not child.nullable and child.default is MISSING:
            empty.append(key)
        elif isinstance(item, float):
            value[key] = _whole(child, item)
    if free:
        unknown = []
    dropped += [prefix + key for key in unknown]
    for key in unknown + empty:
        del value[key]


def _whole(node: Node, number: float) -> float:
    """Return ``1.0`` as ``1`` where the schema has a number: so does Go print it."""
    known = node.type in {"integer", "number"} or node.int_or_string
    return int(number) if known and number.is_integer() and abs(number) < 2**53 else number
