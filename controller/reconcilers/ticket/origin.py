"""What a Ticket's status says of the file that it is kept in. Pure."""

from typing import Final

from controller.reconcilers.conditions import Conditions
from controller.reconcilers.ticket.snapshot import TicketSnapshot
from schemas.conditions import find
from schemas.ticket import TicketSource

SYNCED: Final = "Synced"
"""Normal-true, absent of a ticket that is kept on the API alone. It is as its file says."""
WRITE_BACK_PENDING: Final = "WriteBackPending"
"""Abnormal-true, absent otherwise. Changes of its file are accepted, and not pushed for a while."""
CONFLICT: Final = "Conflict"
"""Abnormal-true, absent otherwise. The last change that a pod or person asked for was not taken,
or not all of it."""

_MESSAGE: Final = 1000


def source_of(snapshot: TicketSnapshot) -> TicketSource | None:
    """Return where the ticket is kept; as before where that is not known yet."""
    origin = snapshot.origin
    if origin is not None:
        return TicketSource(
            name=origin.source, path=_path(origin.path), blob=origin.blob, commit=origin.commit
        )
    return None if snapshot.origin_known else snapshot.subject.status.source


def digest_of(snapshot: TicketSnapshot) -> str | None:
    """Return the digest of what its file said; as before where that is not known yet."""
    if snapshot.origin is not None:
        return snapshot.origin.digest
    return None if snapshot.origin_known else snapshot.subject.status.observed_digest


def say_synced(said: Conditions, snapshot: TicketSnapshot) -> None:
    """Add the condition of a ticket that lies in git."""
    origin = snapshot.origin
    if origin is None:
        before = find(snapshot.subject.status.conditions, SYNCED)
        if before is not None and not snapshot.origin_known:
            said.items.append(before)
        return
    problem = origin.problem
    if problem is None:
        said.true(SYNCED, "Applied", f"as in {_path(origin.path)} of GitSource {origin.source}")
        return
    at = f"{_path(origin.path)}{f':{problem.line}' if problem.line else ''}"
    text = f"{at} of GitSource {origin.source} cannot be used, what it said before holds: "
    said.false(SYNCED, "InvalidFile", (text + f"{problem.reason}: {problem.message}")[:_MESSAGE])


def say_written(said: Conditions, snapshot: TicketSnapshot) -> None:
    """Add the conditions about changes of the file, where there is something to say."""
    writes = snapshot.writes
    if writes.pending:
        what = "a change is" if writes.pending == 1 else f"{writes.pending} changes are"
        why = f": {writes.why}" if writes.why else ""
        text = f"{what} accepted and not pushed yet{why}"
        said.true(WRITE_BACK_PENDING, "Pending", text[:_MESSAGE])
    if writes.conflict:
        said.true(CONFLICT, "NotTaken", writes.conflict[:_MESSAGE])


def _path(path: str) -> str:
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "�" for char in text)[:1024]
