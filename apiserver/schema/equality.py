"""Equality of JSON values. Python's own takes 1, 1.0 and True for the same."""

from typing import Any

import orjson


def identical(one: Any, other: Any) -> bool:
    """Say whether two JSON values are the same, types included; order of keys does not count."""
    if one is other:
        return True
    if one != other:
        return False
    if not isinstance(one, dict | list):
        return _same_types(one, other)
    try:  # two encodings are several times faster than a walk
        sort = orjson.OPT_SORT_KEYS
        return orjson.dumps(one, option=sort) == orjson.dumps(other, option=sort)
    except TypeError:  # an integer beyond 64 bits
        return _same_types(one, other)


def _same_types(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_same_types(item, other[key]) for key, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return all(map(_same_types, one, other))
    return True
