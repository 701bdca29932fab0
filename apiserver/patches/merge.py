"""JSON merge patch. Source: RFC 7386."""

import copy
from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """Return *target* with *patch* merged in: a null removes, a map merges, all else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = merge_patch(merged.get(key), value)
        else:
            merged[key] = copy.deepcopy(value)
    for key in merged.keys() - patch.keys():
        merged[key] = copy.deepcopy(merged[key])
    return merged
