"""Changes some fields of a ticket's file: every line that says something else stays as it is."""

from collections.abc import Mapping
from typing import Any

from controller.gitops.values import Style


class EditError(ValueError):
    """The file cannot be changed so: it cannot be read, or would say what is not allowed."""


def edit(data: bytes, style: Style, changes: Mapping[str, Any]) -> bytes:
    """Return the file with those fields of the ticket's spec changed; None removes a field.

    *changes* are camelCase fields of ``TicketSpec`` as its manifest has them, and ``x-status``
    (kept in Markdown only: a manifest stays what ``kubectl apply`` takes). What the file says
    already is not touched: no change at all returns *data* itself. Comments, order, quoting,
    newlines, a byte order mark and a missing last newline stay.

    Raises:
        EditError: One sentence that says why.
    """
    raise NotImplementedError
