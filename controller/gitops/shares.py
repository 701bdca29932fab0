"""Places for work that costs processes, memory and time, so that nobody holds all of them.

Half of the places are kept for organizations that hold none: more organizations than that would
have to act together before another one finds no place.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Most:
    """How many places there are, and who may hold how many."""

    total: int
    organization: int
    """Of one organization."""
    host: int
    """Of all that speak to one host: others find some while it hangs."""
    both: int
    """Of one organization at one host: its other hosts are spoken to while it hangs."""


SERVERS: Final = Most(total=32, organization=6, host=16, both=3)
"""For speaking to servers: each is a git with all that it starts, and may take minutes."""
PASSES: Final = Most(total=6, organization=3, host=6, both=3)
"""For reading and applying what came: processor and API, and no server that could hang."""


@dataclass(frozen=True, slots=True)
class _Waiter:
    """Somebody who waits for a place."""

    organization: str
    host: str
    given: asyncio.Future[None]


class Shares:
    """Hands out places, first come first served among those who may have one."""

    def __init__(self, most: Most = SERVERS) -> None:
        self._most = most
        self._held = 0
        self._organizations: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter()
        self._both: Counter[tuple[str, str]] = Counter()
        self._waiters: list[_Waiter] = []

    @asynccontextmanager
    async def place(self, organization: str, host: str = "") -> AsyncIterator[None]:
        """Hold a place; wait for it as long as it takes."""
        await self.take(organization, host)
        try:
            yield
        finally:
            self.give_back(organization, host)

    async def take(self, organization: str, host: str = "") -> None:
        """Wait for a place. Whoever has one must not wait for another."""
        if self._may(organization, host):
            self._count(organization, host, 1)
            return
        waiter = _Waiter(organization, host, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            await waiter.given
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            else:  # it was given in the same moment
                self.give_back(organization, host)
            raise

    def give_back(self, organization: str, host: str = "") -> None:
        """Let the next ones have the place."""
        self._count(organization, host, -1)
        for waiter in list(self._waiters):
            if self._held >= self._most.total:
                return
            if self._may(waiter.organization, waiter.host):
                self._waiters.remove(waiter)
                self._count(waiter.organization, waiter.host, 1)
                if not waiter.given.done():  # else it is cancelled, and gives it back itself
                    waiter.given.set_result(None)

    def _may(self, organization: str, host: str) -> bool:
        most, free = self._most, self._most.total - self._held
        held = self._organizations[organization]
        kept = most.total // 2 if held else 0
        return (
            free > kept
            and held < most.organization
            and self._hosts[host] < most.host
            and self._both[organization, host] < most.both
        )

    def _count(self, organization: str, host: str, change: int) -> None:
        self._held += change
        self._organizations[organization] += change
        self._hosts[host] += change
        self._both[organization, host] += change
        if change < 0:  # names come and go: only those that hold something are kept
            self._organizations += Counter()
            self._hosts += Counter()
            self._both += Counter()


class Seat:
    """The place of one source for its passes, which is given up for a while; one user at a time."""

    def __init__(self, shares: Shares, organization: str) -> None:
        self._shares = shares
        self._organization = organization
        self._held = False

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold it."""
        await self._take()
        try:
            yield
        finally:
            self._give_back()

    @asynccontextmanager
    async def left(self) -> AsyncIterator[None]:
        """Let others have it meanwhile, if it is held; afterwards it is waited for again."""
        if not self._held:
            yield
            return
        self._give_back()
        try:
            yield
        finally:
            await self._take()

    async def _take(self) -> None:
        await self._shares.take(self._organization)
        self._held = True

    def _give_back(self) -> None:
        if self._held:  # not if it was cancelled while it was waited for again
            self._held = False
            self._shares.give_back(self._organization)
