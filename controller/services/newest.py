"""The streams of runners, one each: the newest counts, and one that comes back is waited for."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar


class Stream(Protocol):
    """What is kept."""

    def close(self) -> None:
        """End it."""
        ...

    @property
    def closed(self) -> bool:
        """Whether it is of no more use."""
        ...


S = TypeVar("S", bound=Stream)


class Newest(Generic[S]):
    """One stream for each key."""

    def __init__(self) -> None:
        self._streams: dict[str, S] = {}
        self._changed = asyncio.Event()

    @contextlib.contextmanager
    def kept(self, key: str, stream: S) -> Iterator[None]:
        """Keep the stream for as long as the block runs; an older one of the key is closed."""
        before = self._streams.get(key)
        self._streams[key] = stream
        if before is not None:
            before.close()
        self._changed.set()
        self._changed = asyncio.Event()
        try:
            yield
        finally:
            if self._streams.get(key) is stream:
                del self._streams[key]

    async def some(self, fits: Callable[[S], bool], wait_seconds: float) -> list[S]:
        """Return every stream that fits; wait a moment while there is none."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                while not (found := self._fitting(fits)):
                    await self._changed.wait()
                return found
        return []

    def _fitting(self, fits: Callable[[S], bool]) -> list[S]:
        return [each for each in self._streams.values() if not each.closed and fits(each)]

    async def get(self, key: str, wait_seconds: float) -> S | None:
        """Return the stream; wait a moment for one that is just coming back. None: it is away."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                while (found := self._streams.get(key)) is None or found.closed:
                    await self._changed.wait()
                return found
        return None
