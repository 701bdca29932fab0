"""Events for changes of tickets in git that were not taken: whoever asked may not wait any more."""

from typing import Final, Protocol

from controller.gitops.values import Operation
from controller.gitops.writeback.values import End, Outcome
from controller.gitops.writeback.writeback import somebodys
from controller.kernel.events import About, Subject
from controller.kernel.store import Store
from schemas.names import TICKET
from schemas.ticket import Ticket

CONFLICT: Final = "WriteBackConflict"
REFUSED: Final = "WriteBackRefused"


class Recorder(Protocol):
    """Writes Events. ``controller.kernel.events.Recorder`` is one."""

    def event(self, about: Subject, *, warning: bool, reason: str, message: str) -> None:
        """Note that something happened to the subject."""
        ...


class Telling:
    """Writes an Event on the Ticket where a change of it was not taken."""

    def __init__(self, store: Store, recorder: Recorder) -> None:
        self._tickets = store.of(Ticket)
        self._recorder = recorder

    def ended(self, operation: Operation, outcome: Outcome) -> None:
        """Hear how the operation ended."""
        refused = outcome.end is End.REFUSED
        ticket = self._tickets.get(operation.namespace, operation.ticket)
        if ticket is None or not somebodys(operation) or not (refused or outcome.conflicts):
            return
        about = About(TICKET, operation.namespace, operation.ticket, ticket.metadata.uid)
        who = "of a person" if operation.person else f"of {operation.author.name}"
        self._recorder.event(
            about,
            warning=True,
            reason=REFUSED if refused else CONFLICT,
            message=f"a change {who}: {outcome.message}",
        )
