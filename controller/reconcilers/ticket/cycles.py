"""Knows which tickets wait for themselves: looked at once for all, and not for each anew.

A namespace is looked over when an edge came that can close a cycle, or one of a cycle changed; in
slices between which others get their turn, and with a rest after each time. Until then what was
known before is told; the tickets of which other things are true afterwards are looked at again.
"""

import asyncio
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final

from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kernel.store import Change, Store
from controller.placement.indexes import BY_NAMESPACE
from controller.tickets.loops import Loops, loops
from schemas.names import TICKET
from schemas.ticket import Ticket

_REST: Final = 4.0
"""So many times as long as it took there is a rest: a fifth of a processor at the most."""
_AT_ONCE: Final = 1_000
"""So many tickets are read before others get their turn."""


@dataclass(frozen=True, slots=True)
class Cycles:
    """Tickets of a namespace that are a part of themselves, or wait for themselves."""

    parents: Loops = field(default_factory=Loops)
    dependencies: Loops = field(default_factory=Loops)


@dataclass(slots=True)
class _Namespace:
    """What is known of one."""

    cycles: Cycles | None = None
    dirty: bool = True
    """An edge has changed since."""
    asked: Key | None = None
    """The ticket that will be looked at when the rest is over."""
    rested_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class CycleFinder:
    """The cycles of all namespaces."""

    def __init__(
        self,
        store: Store,
        queue: WorkQueue | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without *queue* there is no rest: what is told is true of what is there now."""
        self._tickets = store.of(Ticket)
        self._queue = queue
        self._ticks = ticks
        self._namespaces: dict[str, _Namespace] = {}
        store.listen(Ticket, self._ticket)

    async def of(self, key: Key) -> Cycles:
        """Return the cycles of the ticket's namespace, as they were a short while ago.

        The first one who asks waits until all was looked at, and whoever comes meanwhile.
        """
        here = self._namespaces.setdefault(key.namespace, _Namespace())
        if here.cycles is None or (here.dirty and self._may_look(here, key)):
            async with here.lock:
                if here.cycles is None or (here.dirty and self._rested(here)):
                    await self._look(here, key.namespace)
        return here.cycles or Cycles()

    def _may_look(self, here: _Namespace, key: Key) -> bool:
        """Whether it is time to look; if not, *key* comes again when it is."""
        if self._queue is None:
            return True
        if here.lock.locked():
            return False  # what comes of it is told to whom it concerns
        if self._rested(here):
            return True
        if here.asked in {None, key}:  # it may have come earlier than it was asked to
            here.asked = key
            self._queue.add_after(key, here.rested_at - self._ticks())
        return False

    def _rested(self, here: _Namespace) -> bool:
        return self._queue is None or self._ticks() >= here.rested_at

    async def _look(self, here: _Namespace, namespace: str) -> None:
        began = self._ticks()
        here.dirty, here.asked = False, None
        try:
            now = await self._found(namespace)
        except BaseException:
            here.dirty = True
            raise
        before, here.cycles = here.cycles, now
        took = self._ticks() - began
        here.rested_at = self._ticks() + _REST * took
        if self._queue is None:
            return
        for name in _changed(before, now) if before is not None else ():
            self._queue.add(Key(TICKET.kind, namespace, name))
        if here.dirty and (again := next(iter(self._some(namespace)), None)) is not None:
            here.asked = again
            self._queue.add_after(again, here.rested_at - self._ticks())

    async def _found(self, namespace: str) -> Cycles:
        parents: dict[str, tuple[str, ...]] = {}
        needed: dict[str, tuple[str, ...]] = {}
        for number, ticket in enumerate(self._tickets.indexed(BY_NAMESPACE, namespace)):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            name, spec = ticket.metadata.name, ticket.spec
            parents[name] = (spec.parent,) if spec.parent else ()
            needed[name] = spec.depends_on
        return Cycles(await _in_slices(loops(parents)), await _in_slices(loops(needed)))

    def _some(self, namespace: str) -> list[Key]:
        found = self._tickets.indexed(BY_NAMESPACE, namespace)[:1]
        return [Key(TICKET.kind, namespace, ticket.metadata.name) for ticket in found]

    def _ticket(self, change: Change[Ticket]) -> None:
        """Have it looked at again where an edge is new, or one that was in a cycle has changed."""
        here = self._namespaces.get(change.subject.metadata.namespace)
        if here is None or here.dirty or here.cycles is None:
            if here is not None:
                here.dirty = True
            return
        before, now = _edges(change.old), _edges(change.new)
        name, known = change.subject.metadata.name, here.cycles
        if now - before or (
            before != now and (name in known.parents or name in known.dependencies)
        ):
            here.dirty = True


async def _in_slices(slices: Generator[None, None, Loops]) -> Loops:
    while True:
        try:
            next(slices)
        except StopIteration as end:
            found: Loops = end.value
            return found
        await asyncio.sleep(0)


def _edges(ticket: Ticket | None) -> frozenset[tuple[str, str]]:
    if ticket is None:
        return frozenset()
    parent = [("parent", ticket.spec.parent)] if ticket.spec.parent else []
    return frozenset([*parent, *(("dependsOn", name) for name in ticket.spec.depends_on)])


def _changed(before: Cycles, now: Cycles) -> set[str]:
    """Return the tickets of which something else is true, or may be told otherwise."""
    found: set[str] = set()
    for old, new in (
        (before.parents, now.parents),
        (before.dependencies, now.dependencies),
    ):
        names = {*old, *new}
        found |= {name for name in names if old.edges.get(name) != new.edges.get(name)}
    return found
