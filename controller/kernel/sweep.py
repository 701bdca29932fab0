"""Repairs what a broken watch hides: lists everything and compares it with the store.

kopf lists again after a 410 and says nothing of what vanished meanwhile. A list also fills the
store at the start, so that nothing is decided on half of the truth.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, Protocol

from controller.kernel.store import Collection, Store
from controller.kube.errors import KubeError
from schemas.names import Resource

logger = logging.getLogger(__name__)

_SPREAD: Final = 0.2
_RETRY_SECONDS: Final = 5.0


class Lister(Protocol):
    """What the sweep needs of the API client."""

    def pages(
        self, resource: Resource, namespace: str = "", *, limit: int = 500
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Give all objects page by page."""
        ...


class Sweep:
    """Lists all kinds from time to time, and soon after a sign that a watch was broken."""

    def __init__(
        self,
        kube: Lister,
        store: Store,
        *,
        interval_seconds: float = 600.0,
        after_relist_seconds: float = 30.0,
    ) -> None:
        self._kube = kube
        self._store = store
        self._interval = interval_seconds
        self._after_relist = after_relist_seconds
        self._asked = asyncio.Event()
        self.repaired = 0
        """Objects that had vanished without an event."""

    def ask(self) -> None:
        """Note a sign that a watch was broken: the next sweep comes soon."""
        self._asked.set()

    async def run(self) -> None:
        """Sweep until cancelled."""
        pause = self._spread()
        while True:
            try:
                async with asyncio.timeout(pause):
                    await self._asked.wait()
                await asyncio.sleep(self._after_relist)
            except TimeoutError:
                pass
            self._asked.clear()
            try:
                await self.once()
                pause = self._spread()
            except KubeError as exc:
                pause = min(_RETRY_SECONDS, self._interval)
                logger.warning("sweep failed", extra={"reason": str(exc)})

    async def once(self) -> int:
        """List every kind once; return how many objects had vanished unseen.

        Raises:
            KubeError: A list failed; the kinds after it were not looked at.
        """
        vanished = 0
        for kind in self._store.kinds():
            vanished += await self._kind(self._store.named(kind))
        self.repaired += vanished
        return vanished

    async def _kind(self, collection: Collection[Any]) -> int:
        resource = collection.resource
        before = collection.uids()  # what comes after this moment may be missing in the list
        seen: set[str] = set()
        async for page in self._kube.pages(resource):
            for manifest in page:
                seen.add(str((manifest.get("metadata") or {}).get("uid")))
                self._store.apply(collection.kind, manifest)
            await asyncio.sleep(0)
        return self._bury(collection, before - seen)

    def _bury(self, collection: Collection[Any], uids: Iterable[str]) -> int:
        count = 0
        for uid in uids:
            gone = collection.by_uid(uid)
            if gone is None:
                continue  # its event came meanwhile
            count += 1
            self._store.remove(collection.kind, uid)
            logger.warning(
                "an object had vanished without an event",
                extra={"key": f"{collection.kind}/{gone.metadata.namespace}/{gone.metadata.name}"},
            )
        return count

    def _spread(self) -> float:
        return self._interval * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - no secret
