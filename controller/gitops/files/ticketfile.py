"""A ticket's file, parsed: where its fields are, and what it says besides them."""

from collections.abc import Mapping as Fields
from dataclasses import dataclass
from typing import Any, Final

from controller.gitops.files import shape
from controller.gitops.files.dialect import Parsed
from controller.gitops.files.shape import Path, ShapeError
from schemas.names import API_VERSION, TICKET
from schemas.ticket import TicketSpec

X_STATUS: Final = "x-status"
"""The key of the front matter that is the controller's."""
EXTRA_PREFIX: Final = "x-"
"""Keys of the front matter that are anybody's: kept, and not looked at."""

FIELDS: Final = tuple(
    str(info.alias) for name, info in TicketSpec.model_fields.items() if name != "body"
)
"""Fields of a ticket in the order in which they are written, all but the body."""
ORDER: Final = ("id", *FIELDS, "apiVersion", X_STATUS)
"""Keys of the front matter, in the order in which they are written."""
_KNOWN: Final = frozenset({*FIELDS, "id", "apiVersion", "kind"})


@dataclass(frozen=True, slots=True)
class Front:
    """What the front matter of a ticket says."""

    ticket: str
    """The id."""
    spec: dict[str, Any]
    """Its fields as they are written, without the body."""


def front(parsed: Parsed) -> Front:
    """Return what the front matter says, its fields unchecked.

    Raises:
        ShapeError: It is not a ticket's.
    """
    said = parsed.value
    if not isinstance(said, dict):
        raise ShapeError((), "the front matter must be keys and values, such as 'title: …'")
    if said.get("id") is None:
        raise ShapeError(("id",), "is missing: add the ticket's id, such as tk-7f3kq9xw2m")
    for key in said:
        _check_key(key)
    check_constant(said, "apiVersion", API_VERSION, required=False)
    check_constant(said, "kind", TICKET.kind, required=False)
    return Front(check_name(("id",), said["id"]), {key: said[key] for key in FIELDS if key in said})


def check_name(path: Path, name: Any) -> str:
    """Return the name of a resource. Raises ShapeError."""
    if not isinstance(name, str):
        raise ShapeError(path, "must be a text: put it in quotes")
    try:
        return _as_name(name)
    except ValueError:
        raise ShapeError(
            path,
            "must be 1 to 63 lower-case letters, digits and '-', which neither begins nor ends it",
        ) from None


def check_constant(said: Fields[str, Any], key: str, value: str, *, required: bool) -> None:
    """Refuse any other value of *key*. Raises ShapeError."""
    if said.get(key) is None and not required:
        return
    if said.get(key) != value:
        raise ShapeError((key,), f"must be {value}")


def _check_key(key: str) -> None:
    if key in _KNOWN or key.startswith(EXTRA_PREFIX):
        return
    if key == "body":
        raise ShapeError((key,), "leave it out: the body is what follows the front matter")
    raise ShapeError((key,), shape.unknown(key, sorted(_KNOWN)))


_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_MAX_NAME: Final = 63


def _as_name(name: str) -> str:
    if not 1 <= len(name) <= _MAX_NAME or not _LETTERS.issuperset(name):
        raise ValueError(name)
    if name[0] == "-" or name[-1] == "-":
        raise ValueError(name)
    return name
