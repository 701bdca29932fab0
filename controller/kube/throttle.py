"""A token bucket: bursts pass, floods are slowed down."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class Bucket:
    """Lets *burst* takers through at once and *rate* per second after that, in order of asking."""

    def __init__(
        self,
        rate: float,
        burst: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._sleep = sleep
        self._tokens = burst
        self._at = clock()

    async def take(self) -> None:
        """Return when one may pass. Tokens are reserved on arrival, so nobody is overtaken."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1
        if self._tokens < 0:
            await self._sleep(-self._tokens / self._rate)
