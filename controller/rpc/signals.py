"""Tells waiting streams that something may have changed. Level-triggered: look again, then wait."""

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Subscription:
    """One listener of one key. A change between two waits is never missed, several count as one."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Say that something may have changed."""
        self._changed.set()

    async def wait(self) -> None:
        """Return as soon as there was a change since the subscription began or the last wait."""
        await self._changed.wait()
        self._changed.clear()


class Signals(Generic[K]):
    """Changes by key. For use on one event loop.

    Implements what ``ports.Placement.changes`` and ``ports.Registry.changes`` ask for.
    """

    def __init__(self) -> None:
        self._listeners: dict[K, set[Subscription]] = {}

    @contextmanager
    def subscribe(self, key: K) -> Iterator[Subscription]:
        """Listen to the key for as long as the block runs."""
        subscription = Subscription()
        self._listeners.setdefault(key, set()).add(subscription)
        try:
            yield subscription
        finally:
            listeners = self._listeners[key]
            listeners.discard(subscription)
            if not listeners:
                del self._listeners[key]

    def notify(self, key: K) -> None:
        """Wake those who listen to the key."""
        for subscription in self._listeners.get(key, ()):
            subscription.notify()

    def notify_all(self) -> None:
        """Wake everybody, for instance after a full list."""
        for key in self._listeners:
            self.notify(key)
