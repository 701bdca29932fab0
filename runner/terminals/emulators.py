"""The terminals that are watched: those that change are live, the others packed or forgotten.

A look feeds its terminal only what is new. Memory is bounded, whoever watches: when the live ones
take too much, those not needed for the longest time are packed; when the packed ones do, they
are forgotten, and built again from their transcripts when they are wanted.
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

from runner.terminals.emulator import Emulator, Subject

_LIVE_PART: Final = 16
_LIVE_LEAST: Final = 128 * 1024 * 1024
_LIVE_MOST: Final = 2 * 1024 * 1024 * 1024
"""Live terminals get this part of the machine's memory, within these bounds."""

_PACKED_PART: Final = 4
"""Packed ones get this part of that."""

_INLINE_BYTES: Final = 32 * 1024
"""So much output is fed within half a millisecond: handing it to a thread takes longer."""

_SLICE_BYTES: Final = 4 * 1024 * 1024
"""Some 50 ms of feeding: terminals that are built take turns, and none waits for all."""

_THREADS: Final = 2

_PACKED_AT_ONCE: Final = 2
"""A look makes one live at most, so that two are enough. Packing takes some 15 ms."""

_MARGIN_PART: Final = 8
"""Live terminals may take this part more for a moment, before everybody must wait."""

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
    packed_bytes: int = 0


class Emulators:
    """The watched terminals of one runner. Close it before the loop ends."""

    def __init__(self, live_bytes: int | None = None) -> None:
        self._live_most = live_budget_bytes() if live_bytes is None else live_bytes
        self._packed_most = self._live_most // _PACKED_PART
        self._places: OrderedDict[str, _Place] = OrderedDict()
        """By uid; the one that was needed live last is at the end.

        A look at one that has not changed since the same look is answered from memory, and so one
        that is watched but idle is among the first to be packed.
        """
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="emulator")
        self._packers = ThreadPoolExecutor(1, thread_name_prefix="packer")
        self._packing = 0
        self.live_bytes = 0
        """Memory that live terminals take."""
        self.packed_bytes = 0
        """Memory that packed ones take."""

    def close(self) -> None:
        """Free all."""
        self._threads.shutdown()
        self._packers.shutdown()
        for place in self._places.values():
            place.emulator.drop()
        self._places.clear()

    def __contains__(self, uid: str) -> bool:
        return uid in self._places

    def retain(self, uids: Collection[str]) -> None:
        """Forget the terminals of all other pods."""
        for uid, place in list(self._places.items()):
            if uid not in uids and not place.users:
                self._forget(uid, place)

    @asynccontextmanager
    async def current(self, subject: Subject) -> AsyncIterator[Emulator]:
        """Give the terminal as it is now; nobody else has it meanwhile.

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
                    await self._catch_up(place.emulator)
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
        await self._make_room()

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Carry it out in a thread; cancelled, still wait for its end: it uses a terminal."""
        return await self._run(self._threads, work)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        running = asyncio.get_running_loop().run_in_executor(threads, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            while not running.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({running})
            raise

    async def _catch_up(self, emulator: Emulator) -> None:
        emulator.look()
        if emulator.is_current:
            return
        if emulator.behind_bytes <= _INLINE_BYTES and not emulator.packed_bytes:
            emulator.advance(_INLINE_BYTES)
        while not emulator.is_current:
            await self.in_thread(lambda: emulator.advance(_SLICE_BYTES))

    def _count(self, place: _Place) -> None:
        live, packed = place.emulator.live_bytes, place.emulator.packed_bytes
        self.live_bytes += live - place.live_bytes
        self.packed_bytes += packed - place.packed_bytes
        place.live_bytes, place.packed_bytes = live, packed

    async def _make_room(self) -> None:
        """Pack and forget those not needed for the longest time.

        Whoever finds too much live packs a few, while others go on; beyond a margin all do.
        """
        over = self.live_bytes - self._live_most
        if over <= 0 or (self._packing and over < self._live_most // _MARGIN_PART):
            return
        self._packing += 1
        try:
            for _ in range(_PACKED_AT_ONCE):
                places = self._places.values()
                place = next((each for each in places if each.live_bytes and not each.users), None)
                if place is None or self.live_bytes <= self._live_most:
                    break
                await self._pack(place)
        finally:
            self._packing -= 1
        for uid, place in list(self._places.items()):
            if self.packed_bytes <= self._packed_most:
                break
            if place.packed_bytes and not place.users:
                self._forget(uid, place)

    async def _pack(self, place: _Place) -> None:
        place.users += 1
        try:
            async with place.lock:
                try:
                    await self._run(self._packers, place.emulator.pack)
                finally:
                    self._count(place)
        finally:
            place.users -= 1

    def _forget(self, uid: str, place: _Place) -> None:
        del self._places[uid]
        place.emulator.drop()
        self._count(place)
