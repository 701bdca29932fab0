"""Takes changes of tickets that live in git, and sees to it that they get there.

Accepted means durable. Who asks waits for a bounded time until the change is pushed and brought
back by the sync; after that it goes on by itself, however long the repository is away.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from controller.gitops.values import Operation, OperationKind
from controller.gitops.writeback.bringing import Bringing
from controller.gitops.writeback.commits import TRAILER_POD
from controller.gitops.writeback.drain import MOST, Done, Drain, HinderedError, Reports
from controller.gitops.writeback.journal import Journal, JournalError
from controller.gitops.writeback.ports import Syncing
from controller.gitops.writeback.timing import Timing
from controller.gitops.writeback.values import (
    End,
    Kept,
    Outcome,
    SourceWrites,
    TicketWrites,
    Trouble,
)
from controller.kernel.clock import wall
from controller.kernel.key import Key
from controller.kernel.store import Change, Store
from schemas.gitsource import GitSource
from schemas.names import GIT_SOURCE, TICKET

logger = logging.getLogger(__name__)

SOURCE_GONE: Final = "SourceGone"
_WAIT_SECONDS: Final = 10.0


class Answer(NamedTuple):
    """What is known of an operation after the wait for it."""

    outcome: Outcome | None
    """None: it is accepted, and still on its way."""
    applied: bool = False
    """Whether the Ticket resource shows it."""


class Watching(Protocol):
    """Who is told how operations of tickets end: for Events."""

    def ended(self, operation: Operation, outcome: Outcome) -> None:
        """Hear that it ended. It must neither wait nor raise."""
        ...


@dataclass(slots=True)
class _Line:
    """What is known of one source."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """An operation came."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """The GitSource changed: what hindered us may be over."""
    busy: bool = False
    """Somebody works on it."""
    trouble: Trouble | None = None
    failures: int = 0
    last_commit: str | None = None
    last_push_at: float | None = None


@dataclass(slots=True)
class _Waiter:
    """Somebody who waits for an operation."""

    settled: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: Outcome | None = None
    applied: bool = False


class WriteBack:
    """The write-back of all sources. ``run`` carries it out; before that, nothing is pushed."""

    def __init__(  # noqa: PLR0913 - what it works with, by name
        self,
        store: Store,
        journal: Journal,
        syncing: Syncing,
        *,
        reports: Reports,
        touched: Callable[[Key], None],
        watching: Watching | None = None,
        clock: Callable[[], float] = wall,
        timing: Timing | None = None,
    ) -> None:
        """*touched* is called with the key of a source or ticket whose status may differ now."""
        self._sources = store.of(GitSource)
        self._journal = journal
        self._timing = timing or Timing()
        self._touched = touched
        self._watching = watching
        self._clock = clock
        self._drain = Drain(journal, syncing, reports, store, clock, self._timing)
        self._bringing = Bringing(journal, syncing, self._sources, self._timing, self._brought)
        self._lines: dict[str, _Line] = {}
        self._waiters: dict[str, list[_Waiter]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        store.listen(GitSource, self._source_changed)

    # --- what is known ---

    def facts(self, source_uid: str) -> SourceWrites:
        """Return how the write-back of the source does. What was pushed last: since the start."""
        line = self._lines.get(source_uid) or _Line()
        return SourceWrites(
            pending=len(self._journal.waiting(source_uid)),
            last_commit=line.last_commit,
            last_push_at=line.last_push_at,
            trouble=line.trouble,
        )

    def ticket(self, source_uid: str, name: str) -> TicketWrites:
        """Return how the write-back of the ticket does, once it takes longer than usual."""
        waiting = self._journal.waiting_for(source_uid, name)
        late = self._clock() - self._timing.shown
        shown = [kept for kept in waiting if kept.accepted_at <= late]
        line = self._lines.get(source_uid)
        last = self._journal.last(source_uid, name)
        conflict = ""
        if last is not None and last.outcome is not None and somebodys(last.operation):
            conflict = last.outcome.message
        return TicketWrites(
            pending=len(waiting) if shown else 0,
            since=shown[0].accepted_at if shown else None,
            why=line.trouble.message if shown and line is not None and line.trouble else "",
            conflict=conflict,
        )

    def ahead(self, source_uid: str, name: str) -> tuple[Operation, ...]:
        """Return the changes that the Ticket resource does not show yet, in order."""
        return tuple(kept.operation for kept in self._journal.ahead(source_uid, name))

    def tickets_ahead(self, namespace: str) -> frozenset[str]:
        """Return the tickets with changes that their resources do not show yet."""
        uids = (one.metadata.uid for one in self._sources if one.metadata.namespace == namespace)
        return frozenset(name for uid in uids for name in self._journal.tickets_ahead(uid))

    def unborn(self, namespace: str, name: str) -> tuple[Operation, ...]:
        """Return how a ticket is to be whose file is not there yet: its making and what follows."""
        for source in self._sources:
            if source.metadata.namespace == namespace:
                found = self.ahead(source.metadata.uid, name)
                if found and found[0].kind is OperationKind.CREATE:
                    return found
        return ()

    def accepted_at(self, operation: Operation) -> float | None:
        """Return when an operation was accepted that the Ticket resource does not show yet."""
        for kept in self._journal.ahead(operation.source_uid, operation.ticket):
            if kept.operation.id == operation.id:
                return kept.accepted_at
        return None

    def made_by(self, pod_uid: str) -> int:
        """Return how many tickets the pod has made as files, lately."""
        return self._journal.created_by(pod_uid)

    # --- what is asked ---

    async def submit(
        self, operation: Operation, pod_uid: str = "", wait_seconds: float = _WAIT_SECONDS
    ) -> Answer:
        """Accept the operation, durably, and wait so long for its end. Given twice it is one.

        Raises:
            JournalError: It could not be accepted.
        """
        with self._waiter(operation.id) as waiter:
            kept = await self._journal.accept(operation, pod_uid, self._clock())
            if kept.outcome is not None:
                return Answer(kept.outcome, self._shown(kept))
            self._wake(operation)
            if wait_seconds > 0:
                try:
                    async with asyncio.timeout(wait_seconds):
                        await waiter.settled.wait()
                except TimeoutError:
                    pass  # it goes on by itself
            return Answer(waiter.outcome, waiter.applied)

    async def run(self) -> None:
        """Push what is accepted, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                for uid in self._journal.sources():
                    self._work(uid)
                for source in self._sources:
                    self._bring(source.metadata.uid)
                await asyncio.get_running_loop().create_future()  # until cancelled
            finally:
                self._tasks = None

    # --- work ---

    def _wake(self, operation: Operation) -> None:
        uid = operation.source_uid
        self._line(uid).arrived.set()
        self._work(uid)
        key = Key(TICKET.kind, operation.namespace, operation.ticket)
        late = self._timing.shown + 0.1
        asyncio.get_running_loop().call_later(late, self._show, operation.id, uid, key)

    def _show(self, id_: str, uid: str, key: Key) -> None:
        if any(kept.operation.id == id_ for kept in self._journal.waiting(uid)):
            self._touched(key)
            self._tell(uid)

    def _work(self, uid: str) -> None:
        line = self._line(uid)
        if self._tasks is not None and not line.busy:
            line.busy = True
            self._tasks.create_task(self._serve(uid, line))

    def _bring(self, uid: str) -> None:
        if self._tasks is not None:
            self._bringing.begin(uid, self._tasks)

    async def _serve(self, uid: str, line: _Line) -> None:
        """Work until nothing waits for this source any more."""
        try:
            while self._journal.waiting(uid):
                await self._once(uid, line)
        finally:
            line.busy = False

    async def _once(self, uid: str, line: _Line) -> None:
        source = self._sources.by_uid(uid)
        try:
            if source is None:
                await self._refuse_all(uid)
                return
            _check(source)
            if not line.failures:
                await self._company(uid, line)
            done = await self._drain.round(source)
        except HinderedError as exc:
            await self._hindered(uid, line, exc.reason, str(exc))
        except JournalError as exc:
            await self._hindered(uid, line, "JournalUnwritable", str(exc))
        except Exception:
            logger.exception("write-back failed", extra={"key": f"GitSource/{uid}"})
            await self._hindered(uid, line, "InternalError", "see the controller's log")
        else:
            self._went_well(uid, line, done)

    async def _company(self, uid: str, line: _Line) -> None:
        """Wait a little for others to share the push."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timing.longest_company
        while (left := deadline - loop.time()) > 0 and len(self._journal.waiting(uid)) < MOST:
            line.arrived.clear()
            try:
                async with asyncio.timeout(min(left, self._timing.company)):
                    await line.arrived.wait()
            except TimeoutError:
                return

    async def _hindered(self, uid: str, line: _Line, reason: str, message: str) -> None:
        line.failures += 1
        since = line.trouble.since if line.trouble is not None else self._clock()
        fresh = line.trouble is None or line.trouble.reason != reason
        line.trouble = Trouble(reason, message, since)
        if fresh:
            logger.warning(
                "changes of tickets wait", extra={"key": f"GitSource/{uid}", "reason": message}
            )
            self._tell(uid)
            for kept in self._journal.waiting(uid):
                self._touched(_key(kept.operation))
        line.changed.clear()
        try:
            async with asyncio.timeout(self._timing.away(line.failures)):
                await line.changed.wait()
        except TimeoutError:
            pass  # the next try

    def _went_well(self, uid: str, line: _Line, done: Done) -> None:
        line.trouble, line.failures = None, 0
        if done.commit:
            line.last_commit, line.last_push_at = done.commit, self._clock()
            logger.info(
                "pushed changes of tickets",
                extra={"key": f"GitSource/{uid}", "change": len(done.outcomes)},
            )
        self._tell(uid)
        self._ended(done)
        self._bring(uid)

    async def _refuse_all(self, uid: str) -> None:
        """The GitSource is gone: nothing of it can be pushed ever."""
        outcome = Outcome(End.REFUSED, reason=SOURCE_GONE, message="the GitSource was deleted")
        waiting = {kept.operation.id: kept.operation for kept in self._journal.waiting(uid)}
        outcomes = dict.fromkeys(waiting, outcome)
        await self._journal.finish(uid, outcomes, self._clock(), settled=True)
        self._ended(Done(outcomes, waiting))

    def _ended(self, done: Done) -> None:
        for id_, outcome in done.outcomes.items():
            operation = done.operations[id_]
            self._touched(_key(operation))
            if self._watching is not None:
                self._watching.ended(operation, outcome)
            for waiter in self._waiters.get(id_, ()):
                waiter.outcome = outcome
                if outcome.end is End.REFUSED:
                    waiter.settled.set()

    def _brought(self, ids: frozenset[str]) -> None:
        for id_ in ids:
            for waiter in self._waiters.get(id_, ()):
                waiter.applied = True
                waiter.settled.set()

    # --- small things ---

    def _source_changed(self, change: Change[GitSource]) -> None:
        line = self._lines.get(change.subject.metadata.uid)
        if line is not None and (change.new is None or _asked_anew(change)):
            line.changed.set()

    def _line(self, uid: str) -> _Line:
        return self._lines.setdefault(uid, _Line())

    def _tell(self, uid: str) -> None:
        source = self._sources.by_uid(uid)
        if source is not None:
            self._touched(Key(GIT_SOURCE.kind, source.metadata.namespace, source.metadata.name))

    def _shown(self, kept: Kept) -> bool:
        return kept.operation.id not in self._journal.unapplied(kept.operation.source_uid)

    @contextmanager
    def _waiter(self, id_: str) -> Iterator[_Waiter]:
        waiter = _Waiter()
        self._waiters.setdefault(id_, []).append(waiter)
        try:
            yield waiter
        finally:
            there = self._waiters[id_]
            there.remove(waiter)
            if not there:
                del self._waiters[id_]


def somebodys(operation: Operation) -> bool:
    """Whether a person or a pod asked for it, and not the controller itself."""
    return operation.person or TRAILER_POD in operation.trailers


def _check(source: GitSource) -> None:
    """Make sure that something may be written. Raises HinderedError."""
    name = source.metadata.name
    if source.metadata.deleting:
        raise HinderedError("Deleting", f"GitSource {name} is being deleted")
    if source.spec.suspend:
        raise HinderedError("Suspended", f"GitSource {name} is suspended (spec.suspend)")
    if not source.spec.write_back.enabled:
        raise HinderedError("Disabled", f"GitSource {name} writes nothing (spec.writeBack.enabled)")


def _asked_anew(change: Change[GitSource]) -> bool:
    """Whether spec or annotations changed: not the status that we cause ourselves."""
    old, new = change.old, change.new
    if old is None or new is None:
        return True
    same = old.spec == new.spec and old.metadata.annotations == new.metadata.annotations
    return not same or old.metadata.deleting != new.metadata.deleting


def _key(operation: Operation) -> Key:
    return Key(TICKET.kind, operation.namespace, operation.ticket)
