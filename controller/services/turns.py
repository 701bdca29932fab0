"""Long looks through many objects: done on the event loop in short turns, so that all are answered.

Between two turns others have the loop for as long as a turn takes. Turns go round: among
organizations first, then among those who ask in one; who asks for much at once waits for itself.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final
from weakref import WeakValueDictionary

TURN_SECONDS: Final = 0.005


class Turns:
    """The turns of all organizations."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._all = asyncio.Lock()
        self._locks: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()

    async def carry_out(self, organization: str, who: str, steps: Iterator[None]) -> None:
        """Take all *steps*: each is to be short, a millisecond at most."""
        ours, theirs = self._lock(organization, who), self._lock(organization)
        async with ours:
            while True:
                async with theirs, self._all:  # whoever waits is served in order
                    if not self._turn(steps):
                        return
                    await asyncio.sleep(TURN_SECONDS)

    def _turn(self, steps: Iterator[None]) -> bool:
        """Take steps for a while; return whether there may be more."""
        end = self._ticks() + TURN_SECONDS
        return any(self._ticks() >= end for _ in steps)

    def _lock(self, *name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())
