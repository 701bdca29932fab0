"""Follows a transcript: history from the files, then live whenever the shim tells of more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from runner.drivers.terminal_client import Channel, connected
from runner.drivers.terminal_observe import observe
from runner.drivers.terminal_transcript import Reader, size
from runner.drivers.terminal_values import Absent, Alive, Chunk, Ended, Exited, Gap, NotRunning
from runner.shim.frames import OFFSET, Kind

CHUNK_BYTES: Final = 1024 * 1024
"""Read at once at most; live output comes in smaller pieces."""

_FLOWING_BYTES: Final = 2 * 1024
_BATCH_BYTES: Final = 256 * 1024
_BATCH_SECONDS: Final = 0.008
"""Output that flows is given in batches: pieces of more than the first are followed by a pause,
unless they have the size of a batch already. What answers a key is smaller and never waits."""

_FAR: Final = 2**64 - 1
_LOOK_AGAIN_SECONDS: Final = 0.02


class Head:
    """Tells where the output of one run ends, as it grows. Use as a context manager."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._stack = AsyncExitStack()
        self._channel: Channel | None = None

    async def __aenter__(self) -> "Head":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def beyond(self, offset: int) -> int | Exited | Absent:
        """Wait until the output goes beyond *offset* and return its end; or how the run ended."""
        while True:
            try:
                return await self._ask(offset)
            except NotRunning:
                await self._stack.aclose()
                self._channel = None
            observed = await asyncio.to_thread(observe, self._run_dir)
            if not isinstance(observed, Alive):
                return observed
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)  # between its last breath and the lock

    async def _ask(self, offset: int) -> int:
        if self._channel is None:
            self._channel = await self._stack.enter_async_context(connected(self._run_dir))
        await self._channel.send(Kind.SUBSCRIBE, OFFSET.pack(offset))
        kind, payload = await self._channel.receive()
        if kind != Kind.HEAD:
            raise NotRunning("the run has ended")
        head: int = OFFSET.unpack(payload)[0]
        return head


async def watch_exit(run_dir: Path) -> Exited | Absent:
    """Wait for the end of the run."""
    async with Head(run_dir) as head:
        while True:
            observed = await head.beyond(_FAR)
            if not isinstance(observed, int):
                return observed


async def follow(
    transcript_dir: Path, run_dir: Path | None, offset: int
) -> AsyncIterator[Chunk | Gap | Ended]:
    """Give everything from *offset* on, ``Ended`` last."""
    with Reader(transcript_dir) as reader:
        if run_dir is None:
            end = await asyncio.to_thread(size, transcript_dir)
            async for item in _until(reader, offset, end):
                yield item
            yield Ended(max(offset, end), None)
            return
        async with Head(run_dir) as head:
            while isinstance(told := await head.beyond(offset), int):
                async for item in _until(reader, offset, told):
                    yield item
                if _FLOWING_BYTES < told - offset < _BATCH_BYTES:
                    await asyncio.sleep(_BATCH_SECONDS)
                offset = told
        end = told.offset if isinstance(told, Exited) else size(transcript_dir)
        async for item in _until(reader, offset, end):
            yield item
        yield Ended(max(offset, end), told)


async def _until(reader: Reader, offset: int, end: int) -> AsyncIterator[Chunk | Gap]:
    """Give all from *offset* to *end*."""
    while offset < end:
        if end - offset <= _BATCH_BYTES:  # a moment old: it is in memory, a thread costs more
            item = reader.read(offset, CHUNK_BYTES, end)
        else:
            item = await asyncio.to_thread(reader.read, offset, CHUNK_BYTES, end)
        if item is None:
            return
        offset = item.end
        yield item
