"""The current objects of one resource, in memory, in key order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

from apiserver.store.records import Entry, Key

_LAST = "\U0010ffff"


class Table:
    """Current entries by key; iteration is ordered by namespace, then name."""

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}
        self._order: list[Key] = []

    def set(self, entry: Entry) -> Entry | None:
        """Store *entry*; return what it replaces."""
        previous = self.entries.get(entry.key)
        if previous is None:
            if self._order and entry.key < self._order[-1]:
                insort(self._order, entry.key)
            else:
                self._order.append(entry.key)
        self.entries[entry.key] = entry
        return previous

    def remove(self, key: Key) -> Entry | None:
        """Forget *key*; return what was there."""
        previous = self.entries.pop(key, None)
        if previous is not None:
            del self._order[bisect_left(self._order, key)]
        return previous

    def slice(self, resource: str, namespace: str) -> list[Entry]:
        """Return the entries of *namespace*, or all where it is empty, in order."""
        if not namespace:
            return [self.entries[key] for key in self._order]
        low, high = self._span(resource, namespace)
        return [self.entries[key] for key in self._order[low:high]]

    def count(self, resource: str, namespace: str) -> int:
        """Return how many entries there are in *namespace*."""
        low, high = self._span(resource, namespace)
        return high - low

    def _span(self, resource: str, namespace: str) -> tuple[int, int]:
        low = bisect_left(self._order, Key(resource, namespace, ""))
        return low, bisect_right(self._order, Key(resource, namespace, _LAST))
