"""Fields that only grow: a resource that has all that its file asks for, and more, agrees. Pure.

Pods ask for further scopes of a PodBinding that a pod has made. These cannot be taken back: the
API server refuses it, and the file is not wrong.
"""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

from controller.bindings.rules import made_by_tool
from schemas.base import Object
from schemas.podbinding import PodBinding

_SCOPES = "scopes"


def smaller(item: Object, spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the specs that its file may have meant, *spec* being what pods have made of it."""
    if not isinstance(item, PodBinding) or not made_by_tool(item):
        return
    scopes = item.spec.scopes  # two at the most
    for count in range(1, len(scopes) + 1):
        for some in permutations(scopes, count):
            yield {**spec, _SCOPES: [str(scope) for scope in some]}


def without_grown(item: Object, change: dict[str, Any]) -> dict[str, Any]:
    """Return the *change* of its spec but for what it has, as far as that has grown by pods."""
    if not isinstance(item, PodBinding) or not made_by_tool(item):
        return change
    if set(change.get(_SCOPES) or ()) <= {str(scope) for scope in item.spec.scopes}:
        return {key: value for key, value in change.items() if key != _SCOPES}
    return change
