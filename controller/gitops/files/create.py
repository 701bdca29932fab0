"""New files: tickets, and comments beside them."""

from collections.abc import Mapping
from typing import Any


def new_ticket(ticket: str, spec: Mapping[str, Any]) -> bytes:
    """Return the Markdown file of a new ticket, which says *spec* (camelCase) and no defaults.

    Raises:
        EditError: The ticket would not be valid.
    """
    raise NotImplementedError


def ticket_path(folder: str, ticket: str, title: str, existing: int) -> str:
    """Return where a new ticket goes: ``<folder>/tickets/<id>-<slug>.md``.

    *folder* is ``spec.path``; if it is itself called tickets, right there. With 1,000 *existing*
    tickets or more: in a folder named after the first two characters of the id's last part.
    """
    raise NotImplementedError


def comment_path(folder: str, ticket_path: str, ticket: str, ulid: str, author: str) -> str:
    """Return where a comment on the ticket goes: ``…/tickets/<id>/comments/<ulid>-<author>.md``."""
    raise NotImplementedError


def new_comment(text: str, author: str, about: str) -> bytes:
    """Return a comment's file: who says it, *about* what (one line), and the text as it is."""
    raise NotImplementedError
