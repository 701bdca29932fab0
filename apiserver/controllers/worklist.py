"""A set of things to look at, worked off one after the other; what fails is looked at again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable
from typing import Final, Generic, TypeVar

from apiserver.errors import ApiError
from apiserver.store.records import StoreError
from apiserver.store.store import Ticket

logger = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 2.0
_YIELD_EVERY: Final = 50
"""Items after which requests get a turn."""

T = TypeVar("T", bound=Hashable)

Tickets = Iterable[Ticket | None]


class Worklist(Generic[T]):
    """Items are added from anywhere on the loop; `run` hands each to *work* once per addition."""

    def __init__(self, name: str, work: Callable[[T], Tickets]) -> None:
        self._name = name
        self._work = work
        self._items: dict[T, None] = {}
        self._wake = asyncio.Event()

    def add(self, item: T) -> None:
        """Look at *item* soon; adding it twice means looking once."""
        self._items[item] = None
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            failed = await self._round(list(self._items))
            if failed:
                await asyncio.sleep(_RETRY_SECONDS)
                for item in failed:
                    self.add(item)

    async def _round(self, items: list[T]) -> list[T]:
        self._items.clear()
        tickets: list[tuple[T, Ticket]] = []
        failed: list[T] = []
        for number, item in enumerate(items, start=1):
            try:
                tickets += [(item, ticket) for ticket in self._work(item) if ticket is not None]
            except (ApiError, StoreError) as exc:
                self._failed(item, exc)
                failed.append(item)
            except Exception:  # one broken object must not stop the care for all others
                logger.exception("an object could not be looked at", extra={"key": str(item)})
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        for item, ticket in tickets:
            try:
                await ticket
            except StoreError as exc:
                self._failed(item, exc)
                failed.append(item)
        return failed

    def _failed(self, item: T, exc: Exception) -> None:
        logger.warning(
            "%s will try again", self._name, extra={"key": str(item), "reason": str(exc)}
        )
