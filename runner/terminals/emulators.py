"""The terminals that are watched: those that change are live, the others at rest.

A look feeds its terminal only what is new. Memory is bounded, whoever watches: when the live ones
take too much, those not needed for the longest time are given up, and built again from their
transcripts when more than the last answers is wanted of them.
"""

import asyncio
import contextlib
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from runner.terminals.emulator import Emulator, Question, Subject

_LIVE_PART: Final = 8
_LIVE_LEAST: Final = 256 * 1024 * 1024
_LIVE_MOST: Final = 4 * 1024 * 1024 * 1024
"""Live terminals get this part of the machine's memory, within these bounds. One with all of its
history takes 10 MiB at 120 columns, and the agent in it twenty times that."""

_INLINE_BYTES: Final = 32 * 1024
"""So much output is fed within half a millisecond: handing it to a thread takes longer."""

_SLICE_BYTES: Final = 4 * 1024 * 1024
"""Some 50 ms of feeding: terminals that are built take turns, and none waits for all."""

_THREADS: Final = 2

T = TypeVar("T")


def live_budget_bytes() -> int:
    """Return how much memory live terminals may take on this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(_LIVE_MOST, max(_LIVE_LEAST, memory // _LIVE_PART))


@dataclass(slots=True)
class _Place:
    """One terminal, and who uses it."""

    emulator: Emulator
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    live_bytes: int = 0


class Emulators:
    """The watched terminals of one runner. Close it before the loop ends."""

    def __init__(self, live_bytes: int | None = None) -> None:
        self._live_most = live_budget_bytes() if live_bytes is None else live_bytes
        self._places: OrderedDict[str, _Place] = OrderedDict()
        """By uid; the one that was needed live last is at the end.

        A look at one that has not changed since the same look is answered from memory, and so one
        that is watched but idle is among the first to be given up.
        """
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="emulator")
        self.live_bytes = 0
        """Memory that live terminals take."""

    def close(self) -> None:
        """Free all."""
        self._threads.shutdown()
        for place in self._places.values():
            place.emulator.drop()
        self._places.clear()

    def __contains__(self, uid: str) -> bool:
        return uid in self._places

    def retain(self, uids: Collection[str]) -> None:
        """Forget the terminals of all other pods."""
        for uid, place in list(self._places.items()):
            if uid not in uids and not place.users:
                del self._places[uid]
                place.emulator.drop()
                self._count(place)

    @asynccontextmanager
    async def current(
        self, subject: Subject, question: Question | None = None
    ) -> AsyncIterator[Emulator]:
        """Give the terminal as it is now; nobody else has it meanwhile.

        With a question that it knows the answer to it may be at rest.

        Raises:
            OSError: The transcript cannot be read.
        """
        place = self._places.get(subject.uid)
        if place is None:
            place = self._places[subject.uid] = _Place(Emulator(subject))
        uses, place.users = place.emulator.uses, place.users + 1
        try:
            async with place.lock:
                try:
                    await self._catch_up(place.emulator, question)
                    yield place.emulator
                except Exception:
                    place.emulator.drop()  # it may be half fed; the next look builds it again
                    raise
                finally:
                    self._count(place)
                    if place.emulator.uses != uses:
                        self._places.move_to_end(subject.uid)
        finally:
            place.users -= 1
        self._make_room()

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Carry it out in a thread; cancelled, still wait for its end: it uses a terminal."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            while not running.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({running})
            raise

    async def _catch_up(self, emulator: Emulator, question: Question | None) -> None:
        emulator.look()
        if emulator.is_current or (question is not None and emulator.knows(question)):
            return
        if emulator.behind_bytes <= _INLINE_BYTES:
            emulator.advance(_INLINE_BYTES)
        while not emulator.is_current:
            await self.in_thread(lambda: emulator.advance(_SLICE_BYTES))

    def _count(self, place: _Place) -> None:
        live = place.emulator.live_bytes
        self.live_bytes += live - place.live_bytes
        place.live_bytes = live

    def _make_room(self) -> None:
        """Give up those not needed for the longest time."""
        if self.live_bytes <= self._live_most:
            return
        for place in self._places.values():
            if place.live_bytes and not place.users:
                place.emulator.rest()
                self._count(place)
                if self.live_bytes <= self._live_most:
                    return
