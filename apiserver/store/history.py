"""Recent changes of one resource in memory, and those who watch them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from apiserver.store.records import Change, Entry, ExpiredError, Key

RING_CHANGES: Final = 4096
"""Changes kept in memory for each resource; older ones are read from disk."""

RING_BYTES: Final = 8 << 20
"""Bodies kept in memory for each resource, unless they are current anyway."""

BACKLOG_CHANGES: Final = 16_384
"""A watcher that lags further behind is ended; it comes back and reads on from its version."""


@dataclass(eq=False, slots=True)
class Subscription:
    """The changes of one resource from now on, for one watcher."""

    namespace: str
    """Only this namespace; empty for all."""
    name: str
    """Only this name; empty for all."""
    start: int
    """Version after which changes are delivered."""
    ended: bool = False
    """No more changes will come: overrun, or the server stops."""
    _pending: deque[Change] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def wants(self, key: Key) -> bool:
        """Tell whether changes of *key* belong here."""
        return (not self.namespace or key.namespace == self.namespace) and (
            not self.name or key.name == self.name
        )

    def offer(self, change: Change) -> None:
        """Queue *change*; ends the subscription when its reader is too slow."""
        if len(self._pending) >= BACKLOG_CHANGES:
            self.end()
            return
        self._pending.append(change)
        self._wake.set()

    def end(self) -> None:
        """Deliver nothing more after what is queued."""
        self.ended = True
        self._wake.set()

    def drain(self) -> list[Change]:
        """Return what is queued, in order, without waiting."""
        changes = list(self._pending)
        self._pending.clear()
        self._wake.clear()
        if self.ended:
            self._wake.set()
        return changes

    async def wait(self, seconds: float) -> bool:
        """Wait until something is queued or the end; False when *seconds* passed first."""
        try:
            async with asyncio.timeout(seconds):
                return await self._wake.wait()
        except TimeoutError:
            return False


class History:
    """The ring of one resource."""

    def __init__(self, floor: int) -> None:
        self._ring: deque[Change] = deque()
        self._bytes = 0
        self.floor = floor
        """Changes after this version are all in the ring."""
        self.subscriptions: set[Subscription] = set()

    def add(self, change: Change) -> None:
        """Remember *change* and deliver it."""
        self._ring.append(change)
        self._bytes += len(change.entry.body)
        while len(self._ring) > RING_CHANGES or (self._bytes > RING_BYTES and len(self._ring) > 1):
            dropped = self._ring.popleft()
            self._bytes -= len(dropped.entry.body)
            self.floor = dropped.rv
        for subscription in self.subscriptions:
            if subscription.wants(change.key):
                subscription.offer(change)

    def since(self, rv: int) -> list[Change]:
        """Return the changes after *rv*, oldest first.

        Raises:
            ExpiredError: The ring does not reach back that far.
        """
        if rv < self.floor:
            raise ExpiredError
        return list(reversed(list(self._newer(rv))))

    def _newer(self, rv: int) -> Iterator[Change]:
        for change in reversed(self._ring):
            if change.rv <= rv:
                return
            yield change

    def forget(self, rv: int) -> None:
        """Drop changes up to *rv*: the log no longer has them either."""
        while self._ring and self._ring[0].rv <= rv:
            self._bytes -= len(self._ring.popleft().entry.body)
        self.floor = max(self.floor, rv)


def rewind(current: dict[Key, Entry], changes: list[Change]) -> dict[Key, Entry]:
    """Return what *current* was before *changes* (oldest first)."""
    past = dict(current)
    for change in reversed(changes):
        if change.previous is None:
            past.pop(change.key, None)
        else:
            past[change.key] = change.previous
    return past
