"""Patches: RFC 7386 merge, RFC 6902 operations, strategic merge of built-in kinds.

All are pure: they return a new object and leave what they were given as it is.
"""

from collections.abc import Callable
from typing import Any

from apiserver.patches import merge, operations, strategic
from apiserver.patches.errors import PatchError

__all__ = ["PatchError", "json_patch", "merge_patch", "strategic_merge"]


def merge_patch(target: Any, patch: Any) -> Any:
    """Return *target* with *patch* merged in. Source: RFC 7386.

    Raises:
        PatchError: 422, nested too deeply.
    """
    return _bounded(lambda: merge.merge_patch(target, patch))


def json_patch(target: Any, ops: Any) -> Any:
    """Return *target* after the operations *ops*, all of them or none. Source: RFC 6902.

    Raises:
        PatchError: 400, *ops* is no list of operations; 413, too many; 422, one cannot be carried
            out, or a test failed.
    """
    return _bounded(lambda: operations.json_patch(target, ops))


def strategic_merge(kind: str, target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return *target*, an object of the built-in *kind*, with *patch* merged in.

    Raises:
        PatchError: 400, a directive is malformed; 422, nested too deeply.
    """
    merged: dict[str, Any] = _bounded(lambda: strategic.strategic_merge(kind, target, patch))
    return merged


def _bounded(patching: Callable[[], Any]) -> Any:
    try:
        return patching()
    except RecursionError:
        raise PatchError(422, "Invalid", "the object or the patch is nested too deeply") from None
