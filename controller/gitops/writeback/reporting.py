"""Writes into tickets' files what the controller knows of them: ``x-status``.

It goes along with changes of the state. Whatever remains is written by itself, at most once a
minute per ticket, and never twice the same.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from controller.gitops.values import Author, Operation, OperationKind
from controller.gitops.writeback.compose import X_STATUS
from controller.gitops.writeback.journal import Journal, JournalError
from controller.gitops.writeback.ports import Syncing
from controller.gitops.writeback.timing import Timing
from controller.gitops.writeback.writeback import WriteBack
from controller.gitops.writeback.xstatus import x_status
from controller.kernel.store import Change, Store
from controller.placement.indexes import OF_PARENT
from schemas.gitsource import GitSource
from schemas.ticket import Ticket

logger = logging.getLogger(__name__)

_TICK_SECONDS: Final = 1.0

Name = tuple[str, str]
"""Namespace and name of a Ticket."""


def reports_of(store: Store) -> Callable[[str, str], Mapping[str, Any] | None]:
    """Return what says what x-status is to say of a ticket."""
    tickets = store.of(Ticket)

    def report(namespace: str, name: str) -> Mapping[str, Any] | None:
        ticket = tickets.get(namespace, name)
        if ticket is None:
            return None
        return x_status(ticket, tickets.indexed(OF_PARENT, (namespace, name)))

    return report


class Reporting:
    """Notices what is to be said of tickets, and has it written."""

    def __init__(  # noqa: PLR0913 - what it works with, by name
        self,
        store: Store,
        journal: Journal,
        syncing: Syncing,
        write_back: WriteBack,
        *,
        clock: Callable[[], float],
        ticks: Callable[[], float] = time.monotonic,
        timing: Timing | None = None,
    ) -> None:
        self._tickets = store.of(Ticket)
        self._sources = store.of(GitSource)
        self._report = reports_of(store)
        self._journal = journal
        self._syncing = syncing
        self._write_back = write_back
        self._clock = clock
        self._ticks = ticks
        self._timing = timing or Timing()
        self._due: dict[Name, float] = {}
        self._noticed = asyncio.Event()
        store.listen(Ticket, self._changed)

    async def run(self) -> None:
        """Write what is to be said, until cancelled."""
        for ticket in self._tickets:
            self._notice(ticket)
        while True:
            await self._noticed.wait()
            self._noticed.clear()
            while self._due:
                await self._some()
                await asyncio.sleep(_TICK_SECONDS)

    async def _some(self) -> None:
        now = self._ticks()
        for name in [name for name, due in self._due.items() if due <= now]:
            del self._due[name]
            try:
                await self._look(name)
            except JournalError as exc:
                logger.warning("x-status is not written", extra={"reason": str(exc)})

    def _changed(self, change: Change[Ticket]) -> None:
        for one in (change.old, change.new):
            if one is not None and one.spec.parent:
                parent = self._tickets.get(one.metadata.namespace, one.spec.parent)
                if parent is not None:
                    self._notice(parent)
        if change.new is not None:
            self._notice(change.new)

    def _notice(self, ticket: Ticket) -> None:
        """Have the ticket looked at soon, if there may be something to say."""
        if ticket.status.claim is None and ticket.status.outcome is None:
            return
        name = (ticket.metadata.namespace, ticket.metadata.name)
        self._due.setdefault(name, self._ticks() + self._timing.report_settle)
        self._noticed.set()

    async def _look(self, name: Name) -> None:
        """Have it written what is to be said, unless that is so already or was so just now."""
        namespace, ticket = name
        said = self._report(namespace, ticket)
        origin = self._syncing.of_ticket(namespace, ticket)
        source = self._sources.by_uid(origin.source_uid) if origin is not None else None
        if not said or source is None or not _writes(source):
            return
        uid = source.metadata.uid
        waits = any(
            {X_STATUS, "state"} & kept.operation.changes.keys()
            for kept in self._journal.waiting_for(uid, ticket)
        )
        before = self._journal.reported(uid, ticket)
        if waits or (before is not None and before[0] == said):
            return  # it goes along, or stands there
        if before is not None and (left := before[1] + self._timing.report_gap - self._clock()) > 0:
            self._due.setdefault(name, self._ticks() + min(left, self._timing.report_gap))
            return
        author = source.spec.write_back.author
        operation = Operation(
            id=secrets.token_hex(16),
            kind=OperationKind.UPDATE,
            source_uid=uid,
            namespace=namespace,
            source=source.metadata.name,
            ticket=ticket,
            changes={X_STATUS: said},
            base=None,
            author=Author(author.name, author.email),
            person=False,
            summary=f"Say how {ticket} does",
        )
        await self._write_back.submit(operation, wait_seconds=0)


def _writes(source: GitSource) -> bool:
    spec = source.spec
    return spec.write_back.enabled and not spec.suspend and not source.metadata.deleting
