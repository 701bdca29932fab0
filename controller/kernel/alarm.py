"""Notices an object that is written again and again: a status that never settles."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from controller.kernel.key import Key

_WINDOW_SECONDS: Final = 60.0
_REMEMBERED: Final = 4096


class WriteAlarm:
    """Counts writes per key over the last minute."""

    def __init__(self, limit: int = 20, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._writes: OrderedDict[Key, deque[float]] = OrderedDict()
        self._told: dict[Key, float] = {}

    def note(self, key: Key) -> bool:
        """Take note of a write; return True when an alarm is due, once a minute per key."""
        now = self._clock()
        writes = self._writes.setdefault(key, deque(maxlen=self._limit + 1))
        self._writes.move_to_end(key)
        writes.append(now)
        while len(self._writes) > _REMEMBERED:
            self._told.pop(self._writes.popitem(last=False)[0], None)
        if len(writes) <= self._limit or now - writes[0] > _WINDOW_SECONDS:
            return False
        if now - self._told.get(key, float("-inf")) < _WINDOW_SECONDS:
            return False
        self._told[key] = now
        return True
