"""Speaks with shims over their sockets."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

from runner.drivers.terminal_values import NotRunning, TerminalError
from runner.shim import records
from runner.shim.frames import HEADER, MAX_REQUEST, Kind, encode

ANSWER_SECONDS: Final = 10.0
"""A shim answers in far less than a millisecond; one that does not is stuck or was stopped."""


class Channel:
    """Frames over one stream. End of stream and a broken one are both ``NotRunning``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, kind: Kind, payload: bytes = b"") -> None:
        """Send one frame; waits while the other side does not read."""
        await self.send_raw(encode(kind, payload))

    async def send_raw(self, data: bytes) -> None:
        """Send bytes of frames."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as exc:
            raise NotRunning("the shim has ended") from exc

    async def receive(self) -> tuple[Kind, bytes]:
        """Return the next frame."""
        try:
            number, length = HEADER.unpack(await self._reader.readexactly(HEADER.size))
            if length > MAX_REQUEST:
                raise TerminalError(f"the shim sent a frame of {length} bytes")
            return Kind(number), await self._reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as exc:
            raise NotRunning("the shim has ended") from exc

    async def ask(self, kind: Kind, payload: bytes = b"") -> bytes:
        """Send a request that is answered at once; return the answer's payload.

        Raises:
            NotRunning: The shim has ended.
            TimeoutError: It does not answer.
            TerminalError: It refused.
        """
        async with asyncio.timeout(ANSWER_SECONDS):
            await self.send(kind, payload)
            answer, content = await self.receive()
        if answer == Kind.REFUSED:
            raise TerminalError(content.decode(errors="replace"))
        return content

    async def close(self) -> None:
        """Close the stream."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


def _key(directory: int) -> bytes:
    fd = os.open(records.KEY, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(fd, MAX_REQUEST)
    finally:
        os.close(fd)


@contextmanager
def door(run_dir: Path) -> Iterator[tuple[str, bytes]]:
    """Give the address of the run's shim, good as long as the context, and the first frame.

    Raises:
        NotRunning: No run is there. An ``OSError`` within the context is turned into it, too.
    """
    try:
        directory = os.open(run_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise NotRunning(f"no run in {run_dir}") from exc
    try:
        # Through the descriptor: the path itself may be longer than a socket address.
        path = f"/proc/self/fd/{directory}/{records.SOCKET}"
        yield path, encode(Kind.HELLO, _key(directory))
    except OSError as exc:
        raise NotRunning(f"no shim answers in {run_dir}") from exc
    finally:
        os.close(directory)


@asynccontextmanager
async def connected(run_dir: Path) -> AsyncIterator[Channel]:
    """Connect to the shim of a run.

    Raises:
        NotRunning: None answers there.
    """
    with door(run_dir) as (path, hello):
        reader, writer = await asyncio.open_unix_connection(path)
    channel = Channel(reader, writer)
    try:
        await channel.send_raw(hello)
        yield channel
    finally:
        await channel.close()
