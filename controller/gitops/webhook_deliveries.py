"""Which deliveries of webhooks were taken before, and how often a source is poked. No clock."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

WINDOW_SECONDS: Final = 3600.0
"""So long a delivery is known."""
MAX_KNOWN: Final = 1024
"""So many deliveries of a source are known."""
PACE_SECONDS: Final = 1.0
"""Between two pokes of a source."""
_MAX_SOURCES: Final = 10_000

Address = tuple[str, str]
"""Namespace and name of a GitSource."""


class Deliveries:
    """What every source was told, by the marks of the deliveries.

    Only of callers that proved who they are: nobody else can fill it.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Address, OrderedDict[str, float]] = OrderedDict()

    def take(self, source: Address, marks: Iterable[str], now: float) -> bool:
        """Tell whether the delivery is new, and remember all of its *marks*."""
        known = self._known.setdefault(source, OrderedDict())
        self._known.move_to_end(source)
        while known and next(iter(known.values())) <= now - WINDOW_SECONDS:
            known.popitem(last=False)
        wanted = list(marks)
        if any(mark in known for mark in wanted):
            return False
        known.update(dict.fromkeys(wanted, now))
        while len(known) > MAX_KNOWN:
            known.popitem(last=False)
        while len(self._known) > _MAX_SOURCES:
            self._known.popitem(last=False)
        return True


class Pace:
    """Lets a source be poked once in a second. What comes in between is one poke at its end."""

    def __init__(self) -> None:
        self._next: OrderedDict[Address, float] = OrderedDict()
        """When the last poke was, or will be."""

    def ask(self, source: Address, now: float) -> float | None:
        """Return after how many seconds to poke; None where a poke is under way already."""
        last = self._next.get(source)
        if last is not None and last > now:
            return None
        due = now if last is None else max(now, last + PACE_SECONDS)
        self._next[source] = due
        self._next.move_to_end(source)
        while len(self._next) > _MAX_SOURCES:
            self._next.popitem(last=False)
        return due - now
