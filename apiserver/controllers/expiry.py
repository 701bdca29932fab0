"""Old events: Kubernetes keeps them for an hour, and so do we."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Final

from apiserver import clock
from apiserver.store.records import Object, StoreError
from apiserver.store.store import Store

logger = logging.getLogger(__name__)

EVENT_LIFE: Final = timedelta(hours=1)
_EVERY_SECONDS: Final = 60.0
_EVENTS: Final = "events"
_TIMES: Final = ("lastTimestamp", "eventTime", "firstTimestamp")


class Expiry:
    """Removes events that nobody has repeated for an hour."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self) -> None:
        """Look once a minute, until cancelled."""
        while True:
            try:
                await self.sweep()
            except StoreError:
                logger.warning("old events stay until the next round", exc_info=True)
            await asyncio.sleep(_EVERY_SECONDS)

    async def sweep(self) -> int:
        """Remove what is too old; return how many that were."""
        before = clock.now() - EVENT_LIFE
        removed = 0
        for entry in self._store.entries(_EVENTS):
            obj = entry.load()
            seen = _last_seen(obj)
            moment = clock.parse(seen)
            if moment is not None and moment < before and self._store.latest(entry.key) is entry:
                await self._store.remove(entry.key, obj)[1]
                removed += 1
        return removed


def _last_seen(obj: Object) -> str:
    series = obj.get("series") or {}
    found = [series.get("lastObservedTime"), *(obj.get(name) for name in _TIMES)]
    found.append(obj["metadata"].get("creationTimestamp"))
    return max((text for text in found if isinstance(text, str)), default="")
