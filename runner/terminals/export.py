"""A view that gives what was recorded of a pod's terminal, with times, as fast as credit allows."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from meshwire.v1 import link_pb2

from runner.terminals.recording import recorded

_BATCH: Final = 64
"""So many pieces are read in one go: reading each in a thread of its own would take longer."""

_LEAST_COST: Final = 256
"""What a piece costs of the credit: its length on the wire, but at least this. So a window of
credit is no more messages than may wait on the way."""

Send = Callable[[link_pb2.TerminalUp | bytes], Awaitable[None]]
"""Takes a message, or its bytes."""


class ExportView:
    """Serves one request. ``run`` does the work; ``credit`` only leaves word."""

    def __init__(self, number: int, directory: Path, cols: int, rows: int, send: Send) -> None:
        self._number = number
        self._directory = directory
        self._size = cols, rows
        self._send = send
        self._credit = 0
        self._credited = asyncio.Event()

    def credit(self, bytes_more: int) -> None:
        """Allow pieces of so much more cost."""
        self._credit += bytes_more
        self._credited.set()

    def take(self, message: Any) -> bool:  # noqa: ARG002 - of another kind of view
        """Take nothing: there is nothing to type into."""
        return True

    async def run(self) -> None:
        """Answer until everything is told, or until cancelled."""
        ended = link_pb2.ViewEnded(reason="EndOfTranscript")
        try:
            pieces = await asyncio.to_thread(recorded, self._directory, *self._size)
            while batch := await asyncio.to_thread(_next, pieces):
                for piece in batch:
                    await self._piece(piece)
        except OSError as exc:
            text = f"The transcript cannot be read: {exc.strerror or exc}"
            ended = link_pb2.ViewEnded(reason="Failed", message=text[:300])
        await self._send(link_pb2.TerminalUp(view=self._number, ended=ended))

    async def _piece(self, piece: link_pb2.Recorded) -> None:
        """Send it whole, when there is credit for all of it."""
        cost = max(_LEAST_COST, piece.ByteSize())
        while self._credit < cost:
            self._credited.clear()
            await self._credited.wait()
        self._credit -= cost
        await self._send(link_pb2.TerminalUp(view=self._number, recorded=piece))


def _next(pieces: Iterator[link_pb2.Recorded]) -> list[link_pb2.Recorded]:
    return list(islice(pieces, _BATCH))
