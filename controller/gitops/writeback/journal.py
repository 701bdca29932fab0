"""Operations on the disk: SQLite, one thread, each commit fsynced before anybody hears of it.

A file of its own: the index beside it can be built again from the repository, what people and
agents were promised cannot. Reading is from memory. Writes that come together share one commit.
"""

import asyncio
import collections
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from controller.gitops.values import Operation, OperationKind
from controller.gitops.writeback import rows
from controller.gitops.writeback.backlog import Backlog
from controller.gitops.writeback.values import End, Kept, Outcome

KEPT_SECONDS: Final = 2 * 24 * 3600.0
"""So long it is known how an operation ended."""
_CLEANING_SECONDS: Final = 3600.0

_PRAGMAS: Final = (
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",  # macOS: fsync alone does not reach the disk there
)

_Statement = tuple[str, Sequence[Any]]


class JournalError(Exception):
    """The journal could not be read or written; the text is a sentence for the operator."""


class FullError(JournalError):
    """Too much waits already; the text is a sentence for whoever asks."""


@dataclass(slots=True)
class _Write:
    """Statements that are committed together, and what follows from them in memory."""

    statements: Sequence[_Statement]
    apply: Callable[[], None]
    done: "asyncio.Future[None]"


@dataclass(slots=True)
class _Memory:
    """What is kept of one ticket."""

    waiting: dict[str, Kept] = field(default_factory=dict)
    """By id, in order: not ended."""
    unapplied: dict[str, Kept] = field(default_factory=dict)
    """By id, in order: landed, and not yet brought back by the sync."""
    last: Kept | None = None
    """The one that ended last."""


class Journal:
    """All operations of all sources. Open it with ``open``, close it before the loop ends."""

    def __init__(self, path: Path, backlog: Backlog | None = None) -> None:
        self._path = path
        self._backlog = backlog or Backlog()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="operations")
        self._connection: sqlite3.Connection | None = None
        self._tickets: dict[tuple[str, str], _Memory] = {}
        self._waiting: dict[str, dict[str, Kept]] = {}
        self._pushing: dict[str, str] = {}
        self._pushed: dict[str, set[str]] = {}
        self._reported: dict[tuple[str, str], tuple[Mapping[str, Any], float]] = {}
        self._created: collections.Counter[str] = collections.Counter()
        self._number = 0
        self._cleaned_at = 0.0
        self._queue: collections.deque[_Write] = collections.deque()

    async def open(self, now: float) -> None:
        """Read everything; forget what ended long before *now*.

        Raises:
            JournalError: The file cannot be opened, or is no journal.
        """
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._open, now - KEPT_SECONDS)
        except (sqlite3.Error, ValueError, KeyError, OSError) as exc:
            raise JournalError(
                f"the changes of tickets in {self._path} cannot be opened: {exc}"
            ) from exc

    async def close(self) -> None:
        """Write what is under way and close."""
        loop = asyncio.get_running_loop()
        connection = self._connection
        if connection is not None:
            await loop.run_in_executor(self._thread, connection.close)
            self._connection = None
        self._thread.shutdown(wait=False)

    # --- reading ---

    def sources(self) -> tuple[str, ...]:
        """Return the uids of sources with operations that are not ended."""
        return tuple(uid for uid, waiting in self._waiting.items() if waiting)

    def waiting(self, source_uid: str) -> tuple[Kept, ...]:
        """Return the operations of the source that are not ended, in order."""
        return tuple(self._waiting.get(source_uid, {}).values())

    def waiting_for(self, source_uid: str, ticket: str) -> tuple[Kept, ...]:
        """Return those of one ticket that are not ended, in order."""
        return tuple(self._of(source_uid, ticket).waiting.values())

    def ahead(self, source_uid: str, ticket: str) -> tuple[Kept, ...]:
        """Return the changes that the Ticket resource does not show yet, in order."""
        memory = self._of(source_uid, ticket)
        return (*memory.unapplied.values(), *memory.waiting.values())

    def tickets_ahead(self, source_uid: str) -> Iterator[str]:
        """Give the tickets with changes that their resources do not show yet."""
        for (uid, ticket), memory in self._tickets.items():
            if uid == source_uid and (memory.waiting or memory.unapplied):
                yield ticket

    def unapplied(self, source_uid: str) -> tuple[str, ...]:
        """Return the ids of what landed and was not brought back by the sync yet."""
        return tuple(
            id_
            for (uid, _), memory in self._tickets.items()
            if uid == source_uid
            for id_ in memory.unapplied
        )

    def last(self, source_uid: str, ticket: str) -> Kept | None:
        """Return the operation of the ticket that ended last."""
        return self._of(source_uid, ticket).last

    async def find(self, id_: str) -> Kept | None:
        """Return the operation, if it was accepted and is remembered. Raises JournalError."""
        for waiting in self._waiting.values():
            if id_ in waiting:
                return waiting[id_]
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._find, id_)
        except sqlite3.Error as exc:
            raise JournalError(f"changes of tickets cannot be read from {self._path}") from exc

    def _find(self, id_: str) -> Kept | None:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the file is closed")
        row = self._connection.execute(rows.ONE, (id_,)).fetchone()
        return None if row is None else rows.read(row).kept

    def outstanding(self, source_uid: str) -> str:
        """Return the tip under the first push whose end is not known; empty: there is none."""
        return self._pushing.get(source_uid, "")

    def is_ours(self, source_uid: str, commit: str) -> bool:
        """Whether the commit is of a push whose end is not known."""
        return commit in self._pushed.get(source_uid, ())

    def reported(self, source_uid: str, ticket: str) -> tuple[Mapping[str, Any], float] | None:
        """Return what the controller last wrote into the ticket's ``x-status``, and when."""
        return self._reported.get((source_uid, ticket))

    def created_by(self, pod_uid: str) -> int:
        """Return how many tickets the pod has made as files, lately."""
        return self._created[pod_uid]

    def _of(self, source_uid: str, ticket: str) -> _Memory:
        return self._tickets.get((source_uid, ticket)) or _Memory()

    # --- writing ---

    async def accept(self, operation: Operation, pod_uid: str, now: float) -> Kept:
        """Keep the operation: it is not lost from here on. One that is known already stays as is.

        *pod_uid* is the pod's that asks, empty for others.

        Raises:
            FullError: Too much waits already, and it is not the controller's own.
            JournalError: It could not be written, and is not accepted.
        """
        if known := await self.find(operation.id):
            return known
        document = rows.document_of(operation)
        if why := self._backlog.full(operation, pod_uid):
            raise FullError(why)
        self._number += 1
        kept = Kept(self._number, operation, now)
        self._backlog.add(operation, pod_uid, len(document))

        def apply() -> None:
            self._admit(kept)
            if pod_uid and operation.kind is OperationKind.CREATE:
                self._created[pod_uid] += 1

        try:
            await self._write([rows.accepted(kept, pod_uid, document)], apply)
        except JournalError:
            self._backlog.remove(operation.id)
            raise
        return kept

    async def begin(self, source_uid: str, parent: str, commits: Sequence[str]) -> None:
        """Take note that the commits are about to be pushed onto *parent*. Raises JournalError."""

        def apply() -> None:
            # of an earlier one it may not be known how it ended: that one stands on less
            self._pushing.setdefault(source_uid, parent)
            self._pushed.setdefault(source_uid, set()).update(commits)

        await self._write(rows.began(source_uid, parent, commits), apply)

    async def settle(self, source_uid: str) -> None:
        """Take note that of no push the end is unknown any more. Raises JournalError."""
        if source_uid in self._pushing:
            await self._write(rows.settled(source_uid), lambda: self._settled(source_uid))

    async def finish(
        self,
        source_uid: str,
        outcomes: Mapping[str, Outcome],
        now: float,
        *,
        reports: Mapping[str, Mapping[str, Any]] | None = None,
        settled: bool = False,
    ) -> None:
        """Take note how operations ended and, by ticket, what ``x-status`` says now.

        *settled*: and that of no push the end is unknown.

        Raises:
            JournalError: It could not be written, and counts as not ended.
        """
        said = dict(reports or {})
        statements = [rows.ended(id_, outcome, now) for id_, outcome in outcomes.items()]
        waiting = self._waiting.get(source_uid, {})
        statements += [
            rows.applied(waiting[id_].operation)  # nothing of it is to come back
            for id_, outcome in outcomes.items()
            if outcome.end is End.REFUSED and id_ in waiting
        ]
        statements += [rows.reported(source_uid, *report, now) for report in said.items()]
        if settled:
            statements += rows.settled(source_uid)
        if now - self._cleaned_at > _CLEANING_SECONDS:
            statements.append(rows.forgotten(now - KEPT_SECONDS))
            self._cleaned_at = now

        def apply() -> None:
            for id_, outcome in outcomes.items():
                self._end(source_uid, id_, outcome)
            for ticket, document in said.items():
                self._reported[source_uid, ticket] = (document, now)
            if settled:
                self._settled(source_uid)

        await self._write(statements, apply)

    async def applied(self, source_uid: str, ids: Iterable[str]) -> None:
        """Take note that the sync brought these back. Raises JournalError."""
        gone = set(ids)
        found = [
            (memory, kept.operation)
            for (uid, _), memory in self._tickets.items()
            if uid == source_uid
            for id_, kept in memory.unapplied.items()
            if id_ in gone
        ]

        def apply() -> None:
            for memory, operation in found:
                memory.unapplied.pop(operation.id, None)
                self._backlog.remove(operation.id)

        if found:
            await self._write([rows.applied(operation) for _, operation in found], apply)

    # --- memory, as committed ---

    def _admit(self, kept: Kept) -> None:
        operation = kept.operation
        self._memory(operation).waiting[operation.id] = kept
        self._waiting.setdefault(operation.source_uid, {})[operation.id] = kept

    def _end(self, source_uid: str, id_: str, outcome: Outcome) -> None:
        found = self._waiting.get(source_uid, {}).pop(id_, None)
        if found is None:
            return
        ended = replace(found, outcome=outcome)
        memory = self._memory(found.operation)
        del memory.waiting[id_]
        memory.last = replace(ended, operation=rows.over(found.operation))
        if outcome.end is End.LANDED:
            memory.unapplied[id_] = ended
        else:
            self._backlog.remove(id_)

    def _settled(self, source_uid: str) -> None:
        self._pushing.pop(source_uid, None)
        self._pushed.pop(source_uid, None)

    def _memory(self, operation: Operation) -> _Memory:
        return self._tickets.setdefault((operation.source_uid, operation.ticket), _Memory())

    # --- the disk ---

    async def _write(self, statements: Sequence[_Statement], apply: Callable[[], None]) -> None:
        """Commit the statements, then *apply*, even if whoever asked waits no more."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._queue.append(_Write(statements, apply, done))
        self._thread.submit(self._flush, loop)
        await done

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Commit all that is queued, together. In the thread."""
        writes: list[_Write] = []
        while self._queue:
            writes.append(self._queue.popleft())
        if not writes:
            return
        error: JournalError | None = None
        try:
            self._commit([one for write in writes for one in write.statements])
        except (sqlite3.Error, OSError) as exc:
            error = JournalError(f"changes of tickets cannot be written to {self._path}: {exc}")
        loop.call_soon_threadsafe(_settle, writes, error)

    def _commit(self, statements: Iterable[_Statement]) -> None:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the file is closed")
        with rows.transaction(self._connection) as connection:
            for sql, values in statements:
                connection.execute(sql, values)

    def _open(self, forget_before: float) -> None:
        rows.prepare(self._path)
        connection = sqlite3.connect(
            self._path, check_same_thread=False, isolation_level=None
        )  # one thread uses it, and close may come from it too
        try:
            self._read(connection, forget_before)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _read(self, connection: sqlite3.Connection, forget_before: float) -> None:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        with rows.transaction(connection):
            for statement in rows.SCHEMA:
                connection.execute(statement)
            connection.execute(*rows.forgotten(forget_before))
        for row in connection.execute(rows.REMEMBERED):
            self._recall(rows.read(row))
        self._created.update(dict(connection.execute(rows.CREATED)))
        self._pushing = dict(connection.execute(rows.PUSHES))
        for uid, id_ in connection.execute(rows.COMMITS):
            self._pushed.setdefault(uid, set()).add(id_)
        self._reported = rows.reports(connection.execute(rows.REPORTS))

    def _recall(self, found: rows.Found) -> None:
        kept = found.kept
        self._number = max(self._number, kept.number)
        self._backlog.add(kept.operation, found.pod_uid, found.size)
        self._admit(replace(kept, outcome=None))
        if kept.outcome is not None:
            self._end(kept.operation.source_uid, kept.operation.id, kept.outcome)
            if found.applied:
                self._memory(kept.operation).unapplied.pop(kept.operation.id, None)
                self._backlog.remove(kept.operation.id)


def _settle(writes: Iterable[_Write], error: JournalError | None) -> None:
    for write in writes:
        if error is None:
            write.apply()
        if not write.done.done():  # else whoever asked waits no more
            if error is None:
                write.done.set_result(None)
            else:
                write.done.set_exception(error)
