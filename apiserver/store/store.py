"""The store as the rest of the server sees it. All of it runs on the event loop.

A write is decided at once against the newest state, including writes that are still on their way
to the disk (`latest`), and shown to readers and watchers only when the disk has it. Whoever
acknowledges a write, or an answer that builds on one, awaits its ticket first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from apiserver.store import log as disk
from apiserver.store.history import History, Subscription, rewind
from apiserver.store.records import (
    Change,
    ChangeType,
    Entry,
    ExpiredError,
    Key,
    Object,
    StoreError,
)
from apiserver.store.table import Table
from apiserver.store.writer import Append, Compact, Writer

logger = logging.getLogger(__name__)

COMPACT_EVERY_SECONDS: Final = 60.0
KEEP_SECONDS: Final = 300.0
"""History is kept at least this long, unless there is too much of it."""

KEEP_CHANGES: Final = 100_000
"""History beyond this many versions is compacted whatever its age."""

Ticket = asyncio.Future[None]
"""Done when a write is durable and visible; fails with `StoreError`."""


class Store:
    """Current objects, their history, and the way to change them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = disk.Log(path)
        self._tables: dict[str, Table] = {}
        self._histories: dict[str, History] = {}
        self._pending: dict[Key, tuple[Change, Ticket]] = {}
        self._in_flight: dict[int, tuple[Change, Ticket]] = {}
        self._epoch = 0
        self._listeners: list[Callable[[Change], None]] = []
        self._samples: deque[tuple[float, int]] = deque()
        self._writer: Writer | None = None
        self.revision = self._log.revision()
        """Newest visible version."""
        self.compacted = self._log.compacted()
        """History up to this version is gone."""
        self._start_rv = self.revision
        self._next_rv = self.revision + 1
        self._load()

    def _load(self) -> None:
        for row in self._log.rows():
            key = Key(row.resource, row.namespace, row.name)
            table = self._tables.setdefault(key.resource, Table())
            if row.type == ChangeType.DELETED:
                table.remove(key)
            else:
                table.set(Entry.parsed(key, row.rv, row.body))

    def start(self) -> None:
        """Begin to accept writes; needs the running event loop."""
        loop = asyncio.get_running_loop()
        self._writer = Writer(self._log, loop, self._on_committed, self._on_failed)
        self._writer.start()

    async def stop(self) -> None:
        """Make durable what was accepted, end all watchers, close the file."""
        if self._writer is not None:
            await asyncio.to_thread(self._writer.stop)
        self.end_watches()
        self._log.close()

    def end_watches(self, resource: str = "") -> None:
        """End the subscriptions to *resource*, or all; their readers see the stream end."""
        for name, history in self._histories.items():
            if not resource or name == resource:
                for subscription in list(history.subscriptions):
                    subscription.end()

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call *listener* for each visible change, in order, before its writer hears of it."""
        self._listeners.append(listener)

    # Reading: what is durable.

    def get(self, key: Key) -> Entry | None:
        """Return the current entry of *key*."""
        table = self._tables.get(key.resource)
        return table.entries.get(key) if table else None

    def entries(self, resource: str, namespace: str = "") -> list[Entry]:
        """Return the current entries of *resource*, ordered by namespace and name."""
        table = self._tables.get(resource)
        return table.slice(resource, namespace) if table else []

    def resources(self) -> list[str]:
        """Return the names of all resources that have objects."""
        return [name for name, table in self._tables.items() if table.entries]

    async def list_at(self, resource: str, namespace: str, rv: int) -> list[Entry]:
        """Return what `entries` returned at version *rv*.

        Raises:
            ExpiredError: That version is compacted.
        """
        if rv < self.compacted:
            raise ExpiredError
        until = self.revision
        table = self._tables.get(resource)
        current = dict(table.entries) if table else {}
        past = rewind(current, await self._changes(resource, rv, until))
        keys = sorted(key for key in past if not namespace or key.namespace == namespace)
        return [past[key] for key in keys]

    # Watching.

    def subscribe(self, resource: str, namespace: str, name: str) -> Subscription:
        """Return a subscription to all changes after the current revision; `unsubscribe` it."""
        subscription = Subscription(namespace, name, self.revision)
        self._history(resource).subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, resource: str, subscription: Subscription) -> None:
        """Stop delivering to *subscription*."""
        self._history(resource).subscriptions.discard(subscription)

    async def changes_before(
        self, resource: str, subscription: Subscription, rv: int
    ) -> list[Change]:
        """Return the changes after *rv* that happened before *subscription* began.

        Raises:
            ExpiredError: That history is compacted.
        """
        if rv < self.compacted:
            raise ExpiredError
        changes = await self._changes(resource, rv, subscription.start)
        return [change for change in changes if subscription.wants(change.key)]

    async def _changes(self, resource: str, after: int, until: int) -> list[Change]:
        try:
            recent = self._history(resource).since(after)
            return [change for change in recent if change.rv <= until]
        except ExpiredError:
            rows = await asyncio.to_thread(disk.history, self._path, after, until)
        if after < self.compacted:  # compacted while we were reading
            raise ExpiredError
        return [_change(row, old) for row, old in rows if row.resource == resource]

    def _history(self, resource: str) -> History:
        history = self._histories.get(resource)
        if history is None:
            # Nothing of this resource changed since the start, or it would be here.
            history = self._histories[resource] = History(max(self._start_rv, self.compacted))
        return history

    # Writing.

    def latest(self, key: Key) -> Entry | None:
        """Return the newest entry of *key*, also one that is not yet durable."""
        pending = self._pending.get(key)
        if pending is None:
            return self.get(key)
        change = pending[0]
        return None if change.type is ChangeType.DELETED else change.entry

    def ticket(self, key: Key) -> Ticket | None:
        """Return what to await before acknowledging what `latest` told; None if durable."""
        pending = self._pending.get(key)
        return pending[1] if pending else None

    def newest(self, resource: str, namespace: str) -> list[Entry]:
        """Return what `latest` tells of all objects of *resource* in *namespace*, in any order."""
        found = {entry.key: entry for entry in self.entries(resource, namespace)}
        for change, _ in self._pending_in(resource, namespace):
            found.pop(change.key, None)
            if change.type is not ChangeType.DELETED:
                found[change.key] = change.entry
        return list(found.values())

    def count(self, resource: str, namespace: str) -> int:
        """Return how many objects `newest` has, without looking at each."""
        table = self._tables.get(resource)
        number = table.count(resource, namespace) if table else 0
        for change, _ in self._pending_in(resource, namespace):
            number += change.type is not ChangeType.DELETED
            number -= self.get(change.key) is not None
        return number

    async def settled(self, resource: str, namespace: str) -> None:
        """Wait until what `newest` and `count` told is durable.

        Raises:
            StoreError: It could not be written.
        """
        for _, ticket in list(self._pending_in(resource, namespace)):
            await ticket

    def _pending_in(self, resource: str, namespace: str) -> Iterator[tuple[Change, Ticket]]:
        for key, pending in self._pending.items():
            if key.resource == resource and key.namespace == namespace:
                yield pending

    def put(self, key: Key, obj: Object) -> tuple[Entry, Ticket]:
        """Write *obj* as the newest version of *key*; its resourceVersion is set here.

        The caller has checked against `latest` that this is wanted, without awaiting in between.
        """
        previous = self.latest(key)
        kind = ChangeType.MODIFIED if previous else ChangeType.ADDED
        return self._submit(kind, Entry.of(key, self._take_rv(), obj), previous)

    def remove(self, key: Key, final: Object) -> tuple[Entry, Ticket]:
        """Delete *key*; *final* is what watchers get to see as its last state."""
        previous = self.latest(key)
        if previous is None:
            raise KeyError(key)
        return self._submit(ChangeType.DELETED, Entry.of(key, self._take_rv(), final), previous)

    def _take_rv(self) -> int:
        rv = self._next_rv
        self._next_rv += 1
        return rv

    def _submit(
        self, kind: ChangeType, entry: Entry, previous: Entry | None
    ) -> tuple[Entry, Ticket]:
        if self._writer is None:
            raise StoreError("the store is not started")
        ticket: Ticket = asyncio.get_running_loop().create_future()
        change = Change(entry.rv, kind, entry, previous)
        self._pending[entry.key] = self._in_flight[entry.rv] = (change, ticket)
        prev_rv = previous.rv if previous else 0
        row = disk.Row(entry.rv, *entry.key, kind.value, prev_rv, entry.body)
        self._writer.submit(Append((row,), self._epoch))
        return entry, ticket

    def _on_committed(self, jobs: list[Append]) -> None:
        for row in _rows(jobs):
            change, ticket = self._in_flight.pop(row.rv)
            if self._pending.get(change.key, (None,))[0] is change:
                del self._pending[change.key]
            self._publish(change)
            if not ticket.done():
                ticket.set_result(None)

    def _publish(self, change: Change) -> None:
        resource = change.key.resource
        history = self._history(resource)
        table = self._tables.setdefault(resource, Table())
        if change.type is ChangeType.DELETED:
            table.remove(change.key)
        else:
            table.set(change.entry)
        self.revision = change.rv
        history.add(change)
        for listener in self._listeners:
            listener(change)

    def _on_failed(self, jobs: list[Append], cause: BaseException) -> None:
        # Everything still pending was decided on top of what is lost: none of it may live on.
        self._epoch = max(self._epoch, max(job.epoch for job in jobs) + 1)
        self._pending.clear()
        for row in _rows(jobs):
            _, ticket = self._in_flight.pop(row.rv)
            if not ticket.done():
                ticket.set_exception(StoreError(f"the change could not be written: {cause}"))
                ticket.exception()  # a writer that went away must not cause a warning

    # Compaction.

    async def run(self) -> None:
        """Compact again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._samples.append((loop.time(), self.revision))
            self.compact(self._compactable(loop.time()))
            await asyncio.sleep(COMPACT_EVERY_SECONDS)

    def _compactable(self, now: float) -> int:
        rv = self.revision - KEEP_CHANGES
        while self._samples and self._samples[0][0] <= now - KEEP_SECONDS:
            rv = max(rv, self._samples.popleft()[1])
        return rv

    def compact(self, rv: int) -> None:
        """Forget the history up to *rv*; current objects stay."""
        if self._writer is None or rv <= self.compacted:
            return
        self.compacted = min(rv, self.revision)
        for history in self._histories.values():
            history.forget(self.compacted)
        self._writer.submit(Compact(self.compacted))


def _rows(jobs: Iterable[Append]) -> Iterable[disk.Row]:
    return (row for job in jobs for row in job.rows)


def _change(row: disk.Row, old: disk.Row | None) -> Change:
    key = Key(row.resource, row.namespace, row.name)
    previous = Entry.parsed(key, old.rv, old.body) if old else None
    entry = Entry.parsed(key, row.rv, row.body)
    return Change(row.rv, ChangeType(row.type), entry, previous)
