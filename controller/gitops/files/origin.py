"""Which pod made a ticket: said in ``x-status`` of its file, and so on the Ticket resource.

What a pod made stays known as that on its way through git: it bounds what pods start by tickets.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from schemas.names import (
    ANNOTATION_CREATED_BY,
    ANNOTATION_CREATED_BY_UID,
    ANNOTATION_DEPTH,
)

_NAME: Final = "createdBy"
_UID: Final = "createdByUid"
_DEPTH: Final = "depth"
_MOST: Final = 1_000_000
_WORD: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9._]{0,251}[A-Za-z0-9])?")


def made_by(pod: str, uid: str, depth: int) -> dict[str, Any]:
    """Return what ``x-status`` says of the pod that made the ticket."""
    return {_NAME: pod, _UID: uid, _DEPTH: depth}


def creation(x_status: object) -> dict[str, Any]:
    """Return what *x_status* says of who made the ticket; empty: nothing that could be used."""
    if not isinstance(x_status, Mapping):
        return {}
    name, uid, depth = (x_status.get(key) for key in (_NAME, _UID, _DEPTH))
    words = all(isinstance(word, str) and _WORD.fullmatch(word) for word in (name, uid))
    if not words or isinstance(depth, bool) or not isinstance(depth, int):
        return {}
    return made_by(str(name), str(uid), min(max(depth, 0), _MOST))


def annotations(x_status: object) -> dict[str, str]:
    """Return the annotations of the Ticket that tell of who made it."""
    found = creation(x_status)
    if not found:
        return {}
    return {
        ANNOTATION_CREATED_BY: found[_NAME],
        ANNOTATION_CREATED_BY_UID: found[_UID],
        ANNOTATION_DEPTH: str(found[_DEPTH]),
    }
