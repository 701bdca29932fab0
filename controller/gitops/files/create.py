"""New files: tickets, and comments beside them."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from controller.gitops.files import emit, shape, ticketfile
from controller.gitops.files.edit import EditError
from controller.gitops.files.shape import ShapeError
from controller.gitops.values import MAX_FILE_BYTES
from schemas.names import TICKET

FLAT: Final = 1_000
"""So many tickets lie side by side; the web pages of forges cut longer lists."""

_FOLDER: Final = "tickets"
_MAX_SLUG: Final = 48
_MAX_AUTHOR: Final = 63
_MAX_BODY_BYTES: Final = 65_536


def new_ticket(ticket: str, spec: Mapping[str, Any]) -> bytes:
    """Return the Markdown file of a new ticket, which says *spec* (camelCase).

    What is empty is left out. State, type and priority always stand there: they are what people
    change most.

    Raises:
        EditError: The ticket would not be valid.
    """
    try:
        name = ticketfile.check_name(("id",), ticket)
        model = shape.spec_of(TICKET.kind, spec)
    except ShapeError as exc:
        raise EditError(f"{shape.field_name(exc.path)}: {exc.message}") from None
    whole = shape.canonical(model)
    body = str(whole["body"])
    if len(body.encode()) > _MAX_BODY_BYTES:
        raise EditError("body: must be at most 64 KiB")
    lines = emit.entry("id", name, 0)
    for field in ticketfile.FIELDS:
        value = whole.get(field)
        if value not in (None, []):
            lines += emit.entry(field, value, 0)
    data = "\n".join(["---", *lines, "---", body]).encode()
    if len(data) > MAX_FILE_BYTES:
        raise EditError(f"the file would be larger than {MAX_FILE_BYTES // 1024} KiB")
    return data


def ticket_path(folder: str, ticket: str, title: str, existing: int) -> str:
    """Return where a new ticket goes: ``<folder>/tickets/<id>-<slug>.md``.

    *folder* is ``spec.path``; if it is itself called tickets, right there. With 1,000 *existing*
    tickets or more: in a folder named after the first two characters of the id's last part.
    """
    parts = [_tickets(folder)]
    if existing >= FLAT:
        last = ticket.rpartition("-")[2]
        parts.append((last if len(last) > 1 else ticket)[:2])
    slug = _slug(title, _MAX_SLUG)
    parts.append(f"{ticket}-{slug}.md" if slug else f"{ticket}.md")
    return "/".join(parts)


def comment_path(folder: str, ticket_path: str, ticket: str, ulid: str, author: str) -> str:
    """Return where a comment on the ticket goes: ``…/tickets/<id>/comments/<ulid>-<author>.md``.

    Next to the ticket's file, where that lies below a folder called tickets.
    """
    beside, slash, _ = ticket_path.rpartition("/")
    inside = slash and _FOLDER in _shallow(beside)
    place = beside if inside else _tickets(folder)
    return f"{place}/{ticket}/comments/{ulid}-{_slug(author, _MAX_AUTHOR) or 'unknown'}.md"


def new_comment(text: str, author: str, about: str) -> bytes:
    """Return a comment's file: who says it, *about* what (one line), and the text as it is.

    Markdown without an id, below ``comments/``: no source takes it for a ticket.
    """
    head = [*emit.entry("author", author, 0), *emit.entry("about", about, 0)]
    return "\n".join(["---", *head, "---", text]).encode(errors="replace")


def _tickets(folder: str) -> str:
    folder = folder.strip("/")
    if folder in {"", "."}:
        return _FOLDER
    if folder.rpartition("/")[2] == _FOLDER:
        return folder
    return f"{folder}/{_FOLDER}"


def _shallow(folder: str) -> list[str]:
    """Return the last two names of a path: where ``select`` looks for the folder of tickets."""
    parts = folder.split("/")
    sharded = len(parts) > 1 and 1 <= len(parts[-1]) <= 2  # noqa: PLR2004 - as in ticket_path
    return parts[-2:] if sharded else parts[-1:]


def _slug(text: str, longest: int) -> str:
    """Return the text in lower-case letters, digits and single dashes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    slug = ""
    for word in words:
        longer = f"{slug}-{word}" if slug else word[:longest]
        if len(longer) > longest:
            break
        slug = longer
    return slug
