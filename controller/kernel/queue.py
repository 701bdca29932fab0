"""A queue of keys: each at most once, and never worked by two at a time.

The semantics of client-go's work queue: a key that is added while it is being worked on is worked
again afterwards; delays and backoff are per key.
"""

import asyncio
import heapq
import itertools
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from controller.kernel.key import Key

_FIRST_RETRY_SECONDS: Final = 0.05
_LAST_RETRY_SECONDS: Final = 300.0


@dataclass(slots=True)
class Metrics:
    """How the queue fares."""

    added: int = 0
    done: int = 0
    retries: int = 0
    longest_wait_seconds: float = 0.0


class WorkQueue:
    """Keys that wait, keys that are worked on, and keys that are due later. For one event loop."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._ready: OrderedDict[Key, float] = OrderedDict()  # in order of arrival: since when
        self._working: set[Key] = set()
        self._dirty: set[Key] = set()
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = itertools.count()
        self._failures: dict[Key, int] = {}
        self._wakeup = asyncio.Event()
        self.metrics = Metrics()

    def __len__(self) -> int:
        """Return how many keys wait to be worked on now."""
        return len(self._ready) + len(self._dirty)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is worked on; keys due later do not count."""
        return not self._ready and not self._working

    def add(self, key: Key) -> None:
        """Have the key worked on as soon as possible."""
        if key in self._working:
            self._dirty.add(key)
        elif key not in self._ready:
            self._ready[key] = self._clock()
            self.metrics.added += 1
            self._wakeup.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Have the key worked on in *seconds*, or earlier if that was asked for already."""
        if seconds <= 0:
            self.add(key)
            return
        at = self._clock() + seconds
        if key in self._due and self._due[key] <= at:
            return
        self._due[key] = at
        heapq.heappush(self._heap, (at, next(self._order), key))
        self._wakeup.set()

    def retry(self, key: Key) -> float:
        """Have the key worked on again after its backoff, and return that in seconds.

        Full jitter below 50 ms doubled with each failure, at most 5 minutes.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        ceiling = min(_LAST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2 ** min(failures, 20))
        delay = self._jitter(_FIRST_RETRY_SECONDS / 2, ceiling)
        self.metrics.retries += 1
        self.add_after(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """Start the key's backoff anew: it was worked on successfully."""
        self._failures.pop(key, None)

    def failures(self, key: Key) -> int:
        """Return how often in a row the key has failed."""
        return self._failures.get(key, 0)

    async def take(self) -> Key:
        """Return the next key. It is the caller's until ``done``."""
        while True:
            now = self._clock()
            self._promote(now)
            if self._ready:
                key, since = self._ready.popitem(last=False)
                waited = now - since
                self.metrics.longest_wait_seconds = max(self.metrics.longest_wait_seconds, waited)
                self._working.add(key)
                self._due.pop(key, None)  # whoever wanted it later has it now
                if self._ready:
                    self._wakeup.set()
                return key
            self._wakeup.clear()
            await self._pause(now)

    def done(self, key: Key) -> None:
        """Give the key back; if it was added meanwhile it waits again."""
        self._working.discard(key)
        self.metrics.done += 1
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def _promote(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == at:
                del self._due[key]
                self.add(key)

    async def _pause(self, now: float) -> None:
        timeout = self._heap[0][0] - now if self._heap else None
        try:
            async with asyncio.timeout(timeout):
                await self._wakeup.wait()
        except TimeoutError:
            return
