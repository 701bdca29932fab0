"""Filling in what the schema gives as defaults."""

import copy
from typing import Any

from apiserver.schema.structural import MISSING, Node


def default(node: Node, value: Any) -> None:
    """Fill in the defaults below *value*, in place.

    A null gives way to the default unless the field is nullable. Defaults apply to what a default
    has just put in as well. A value of the wrong type is left alone.
    """
    if isinstance(value, dict):
        _default_map(node, value)
    elif isinstance(value, list) and node.items is not None and node.items.defaults_below:
        _default_list(node.items, value)


def _default_map(node: Node, value: dict[str, Any]) -> None:
    for key, child in node.properties.items():
        if not child.defaults_below:
            continue
        current = value.get(key, MISSING)
        if _gives_way(child, current):
            current = value[key] = copy.deepcopy(child.default)
        if current is not MISSING:
            default(child, current)
    extra = node.additional
    if extra is None or not extra.defaults_below:
        return
    for key, item in value.items():
        if key not in node.properties:
            if item is None and _gives_way(extra, None):
                value[key] = copy.deepcopy(extra.default)
            default(extra, value[key])


def _default_list(items: Node, value: list[Any]) -> None:
    for index, item in enumerate(value):
        if item is None and _gives_way(items, None):
            value[index] = copy.deepcopy(items.default)
        default(items, value[index])


def _gives_way(node: Node, current: Any) -> bool:
    if node.default is MISSING:
        return False
    return current is MISSING or (current is None and not node.nullable)
