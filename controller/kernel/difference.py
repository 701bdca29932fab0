"""The merge patch between two manifests. Source: RFC 7386."""

from collections.abc import Mapping
from typing import Any


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the patch that turns *old* into *new*; empty if they are equal.

    Lists are replaced whole; what *new* lacks is removed with a null.
    """
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if deeper := merge_patch(before, value):
                patch[key] = deeper
        elif key not in old or before != value:
            patch[key] = value
    return patch
