"""Which changes share a commit, and what its message says. Pure.

A commit has one author. Changes of one author share it, as long as no change by somebody else to
the same file lies between them: who did what to a ticket, and in which order, stays readable.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from controller.gitops.values import Author, Operation

TRAILER_TICKET: Final = "Ticket"
TRAILER_OPERATION: Final = "Operation-Id"
TRAILER_POD: Final = "Agent-Pod"

_SUBJECT: Final = 72
_SHOWN: Final = 40
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Edit:
    """What one operation does to files."""

    operation: Operation
    files: Mapping[str, bytes] = field(repr=False)
    """By path: their whole content afterwards."""


@dataclass(slots=True)
class Draft:
    """A commit that is still to be made."""

    author: Author
    operations: list[Operation] = field(default_factory=list)
    files: dict[str, bytes | None] = field(default_factory=dict, repr=False)


def drafts(edits: Iterable[Edit]) -> list[Draft]:
    """Return the commits of *edits*, which come in their order."""
    made: list[Draft] = []
    latest: dict[str, int] = {}  # which commit has touched a file last
    of_author: dict[Author, int] = {}
    for edit in edits:
        author = edit.operation.author
        floor = max((latest.get(path, -1) for path in edit.files), default=-1)
        number = of_author.get(author, -1)
        if number < floor or number < 0:
            made.append(Draft(author))
            number = of_author[author] = len(made) - 1
        made[number].operations.append(edit.operation)
        made[number].files.update(edit.files)
        latest.update(dict.fromkeys(edit.files, number))
    return made


def message(operations: Sequence[Operation]) -> str:
    """Return the commit's message: a subject, the changes where there are many, trailers."""
    summaries = [line(operation.summary) for operation in operations]
    tickets = list(dict.fromkeys(operation.ticket for operation in operations))
    if len(operations) == 1:
        parts = [cut(summaries[0], _SUBJECT)]
        if parts[0] != summaries[0]:
            parts.append(summaries[0])
    else:
        what = f"{len(tickets)} tickets" if len(tickets) > 1 else f"ticket {tickets[0]}"
        parts = [f"Change {what}", "\n".join(f"- {summary}" for summary in summaries)]
    return "\n\n".join((*parts, _trailers(operations, tickets))) + "\n"


def subject(ticket: str, changes: Mapping[str, Any]) -> str:
    """Return the subject of a commit: the ticket, and what it is to be."""
    parts = []
    for key, value in changes.items():
        short = isinstance(value, str) and len(value) <= _SHOWN and "\n" not in value
        parts.append(f"{key} {value}" if short and key != "body" else key)
    return f"Update {ticket}: {', '.join(parts)}"


def line(text: str) -> str:
    """Return *text* as one line without control characters."""
    return _CONTROL.sub(" ", text).strip()


def cut(text: str, characters: int) -> str:
    """Return *text*, at most so long."""
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"


def _trailers(operations: Sequence[Operation], tickets: Iterable[str]) -> str:
    lines = [f"{TRAILER_TICKET}: {ticket}" for ticket in tickets]
    given = dict.fromkeys(
        f"{key}: {line(value)}"
        for operation in operations
        for key, value in operation.trailers.items()
    )
    lines += given
    lines += [f"{TRAILER_OPERATION}: {operation.id}" for operation in operations]
    return "\n".join(lines)
