"""One viewer of one pod's terminal.

Output is read from the transcript's files only as fast as the viewer gives credit: a slow one
holds nothing up and costs no memory, it reads later. Input is typed in the order it came.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from meshwire.v1 import link_pb2

from runner.drivers.redraw import NEUTRAL
from runner.drivers.terminal_values import (
    Absent,
    Alive,
    Chunk,
    Ended,
    Exited,
    Gap,
    NotRunning,
    Observed,
    State,
)
from runner.terminals.aside import Drawn, WorkerError
from runner.terminals.wire import encoded

logger = logging.getLogger(__name__)

CHUNK_BYTES: Final = 256 * 1024
_INPUT_MESSAGES: Final = 1024
_EMPTY: Final = NEUTRAL + b"\x1b[2J\x1b[H"
_COLS, _ROWS = 120, 40

Send = Callable[[link_pb2.TerminalUp | bytes], Awaitable[None]]
"""Takes a message, or its bytes."""


class Terminals(Protocol):
    """What is needed of ``runner.drivers.terminal.Terminals``."""

    async def observe(self, run_dir: Path) -> Observed:
        """Return what is known of the run."""
        ...

    async def state(self, run_dir: Path) -> State:
        """Return what the live shim says."""
        ...

    async def write(self, run_dir: Path, data: bytes) -> None:
        """Type."""
        ...

    async def resize(self, run_dir: Path, cols: int, rows: int) -> None:
        """Set the size."""
        ...

    def follow(
        self, transcript_dir: Path, run_dir: Path | None, offset: int
    ) -> AsyncIterator[Chunk | Gap | Ended]:
        """Give the transcript from an offset on."""
        ...

    def size(self, transcript_dir: Path) -> int:
        """Return the length of the transcript."""
        ...

    def read(self, transcript_dir: Path, offset: int, limit: int) -> Chunk | Gap | None:
        """Return a piece of the transcript."""
        ...


class Drawing(Protocol):
    """What is needed of ``runner.terminals.aside.Aside``."""

    async def draw(self, directory: Path, cols: int, rows: int) -> Drawn:
        """Return the screen of a transcript as of now, or raise WorkerError."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """The pod that is looked at."""

    transcript_dir: Path
    run_dir: Path
    """Of its latest run."""
    exit_code: int | None
    signal: int | None
    cols: int = _COLS
    rows: int = _ROWS


class View:
    """Serves one view until it ends. ``run`` does the work; the other methods only leave word."""

    def __init__(
        self,
        number: int,
        order: link_pb2.OpenView,
        subject: Subject,
        terminals: Terminals,
        drawing: Drawing,
        send: Send,
    ) -> None:
        self._number = number
        self._order = order
        self._subject = subject
        self._terminals = terminals
        self._drawing = drawing
        self._send = send
        self._credit = 0
        self._credited = asyncio.Event()
        self._input: asyncio.Queue[link_pb2.Input | link_pb2.TerminalSize] = asyncio.Queue(
            _INPUT_MESSAGES
        )

    def credit(self, bytes_more: int) -> None:
        """Allow so many more bytes of output."""
        self._credit += bytes_more
        self._credited.set()

    def take(self, message: link_pb2.Input | link_pb2.TerminalSize) -> bool:
        """Queue typing or a new size; False when so much is queued that the view must end."""
        try:
            self._input.put_nowait(message)
        except asyncio.QueueFull:
            return False
        return True

    async def run(self) -> None:
        """Serve until the terminal's end, or until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                typing = tasks.create_task(self._type())
                ended = await self._show()
                typing.cancel()
        except* OSError as group:
            first = group.exceptions[0]
            text = f"The transcript cannot be read: {first}"
            ended = link_pb2.ViewEnded(reason="Failed", message=text[:300])
        await self._send(link_pb2.TerminalUp(view=self._number, ended=ended))

    async def _show(self) -> link_pb2.ViewEnded:
        order, subject = self._order, self._subject
        running = isinstance(await self._terminals.observe(subject.run_dir), Alive)
        if running and order.HasField("size"):
            await self._resize(order.size)
        cols, rows = await self._size()
        drawn = await self._beginning(cols, rows)
        opened = link_pb2.ViewOpened(
            offset=drawn.offset,
            screen=drawn.screen,
            running=running,
            size=link_pb2.TerminalSize(cols=drawn.cols, rows=drawn.rows),
        )
        await self._send(link_pb2.TerminalUp(view=self._number, opened=opened))
        return await self._stream(drawn.offset)

    async def _beginning(self, cols: int, rows: int) -> Drawn:
        """Return where the stream begins, and the screen to draw before it."""
        directory, order = self._subject.transcript_dir, self._order
        if order.start == link_pb2.VIEW_START_SCREEN:
            try:
                return await self._drawing.draw(directory, cols, rows)
            except WorkerError as exc:  # what comes next is still worth seeing
                logger.warning("a screen was not drawn", extra={"reason": str(exc)})
                end = await asyncio.to_thread(self._terminals.size, directory)
                return Drawn(end, cols, rows, _EMPTY)
        return Drawn(await asyncio.to_thread(self._begin), cols, rows, b"")

    async def _stream(self, offset: int) -> link_pb2.ViewEnded:
        subject, order = self._subject, self._order
        if not order.follow:
            return await self._history(offset)
        async for item in self._terminals.follow(subject.transcript_dir, subject.run_dir, offset):
            match item:
                case Chunk():
                    await self._output(item)
                case Gap():
                    await self._gap(item)
                case Ended():
                    return self._ended(item)
        return link_pb2.ViewEnded(reason="EndOfTranscript")

    async def _history(self, offset: int) -> link_pb2.ViewEnded:
        """Give what is there now and end, whether the agent runs or not."""
        directory = self._subject.transcript_dir
        end = await asyncio.to_thread(self._terminals.size, directory)
        while offset < end:
            limit = min(CHUNK_BYTES, end - offset)
            item = await asyncio.to_thread(self._terminals.read, directory, offset, limit)
            if item is None:
                break
            if isinstance(item, Gap):
                await self._gap(item)
                offset = item.end
            else:
                await self._output(item)
                offset = item.offset + len(item.data)
        return link_pb2.ViewEnded(reason="EndOfTranscript", offset=offset)

    async def _output(self, chunk: Chunk) -> None:
        """Send the chunk in pieces, each as soon as there is credit for some of it."""
        sent, total = 0, len(chunk.data)
        while sent < total:
            while self._credit <= 0:
                self._credited.clear()
                await self._credited.wait()
            end = min(total, sent + min(CHUNK_BYTES, self._credit))
            self._credit -= end - sent
            piece = memoryview(chunk.data)[sent:end]
            await self._send(encoded(self._number, chunk.offset + sent, piece))
            sent = end

    async def _gap(self, gap: Gap) -> None:
        said = link_pb2.Gap(from_offset=gap.start, to_offset=gap.end)
        await self._send(link_pb2.TerminalUp(view=self._number, gap=said))

    def _ended(self, end: Ended) -> link_pb2.ViewEnded:
        code, signal = self._subject.exit_code, self._subject.signal
        match end.observed:
            case Exited() as exited:
                code, signal = exited.exit_code, exited.signal
            case Absent():
                return link_pb2.ViewEnded(reason="Failed", message="The run was lost.")
            case None:
                pass
        return link_pb2.ViewEnded(
            reason="Exited", exit_code=code or 0, signal=signal or 0, offset=end.offset
        )

    async def _type(self) -> None:
        while True:
            message = await self._input.get()
            if isinstance(message, link_pb2.TerminalSize):
                await self._resize(message)
                continue
            try:
                await self._terminals.write(self._subject.run_dir, message.data)
            except NotRunning:
                continue  # the end of the view tells
            ack = link_pb2.InputAck(seq=message.seq)
            await self._send(link_pb2.TerminalUp(view=self._number, input_ack=ack))

    async def _resize(self, size: link_pb2.TerminalSize) -> None:
        if not 0 < size.cols <= 1000 or not 0 < size.rows <= 1000:
            return
        try:
            await self._terminals.resize(self._subject.run_dir, size.cols, size.rows)
        except NotRunning:
            return

    async def _size(self) -> tuple[int, int]:
        try:
            state = await self._terminals.state(self._subject.run_dir)
        except NotRunning:
            return self._subject.cols, self._subject.rows
        return state.cols, state.rows

    # --- in a thread -----------------------------------------------------------------------------

    def _begin(self) -> int:
        """Return where the stream begins."""
        end = self._terminals.size(self._subject.transcript_dir)
        if self._order.tail_lines:
            return self._tail(end, self._order.tail_lines)
        return min(self._order.from_offset, end)

    def _slice(self, begin: int, end: int) -> list[Chunk]:
        found: list[Chunk] = []
        while begin < end:
            item = self._terminals.read(self._subject.transcript_dir, begin, end - begin)
            if item is None:
                break
            if isinstance(item, Chunk):
                found.append(item)
            begin = item.end
        return found

    def _tail(self, end: int, lines: int) -> int:
        """Return the offset at which the last lines begin; an unfinished line counts as one.

        Reads no more than it needs, from the end. What is missing ends no line, and is told when
        the stream comes to it.
        """
        wanted, at, oldest = lines + 1, end, end
        while at > 0:
            begin = max(0, at - CHUNK_BYTES)
            chunks = self._slice(begin, at)
            for chunk in reversed(chunks):
                if oldest == end and not chunk.data.endswith(b"\n"):
                    wanted -= 1
                oldest = chunk.offset
                newlines = chunk.data.count(b"\n")
                if newlines >= wanted:
                    return chunk.offset + _nth_from_behind(chunk.data, wanted) + 1
                wanted -= newlines
            if not chunks and begin <= self._first():
                break  # older output was dropped
            at = begin
        return oldest

    def _first(self) -> int:
        """Return the offset of the oldest byte that is kept."""
        item = self._terminals.read(self._subject.transcript_dir, 0, 1)
        return item.end if isinstance(item, Gap) else 0


def _nth_from_behind(data: bytes, count: int) -> int:
    """Return where the newline is that is so many from the end."""
    cut = len(data)
    for _ in range(count):
        cut = data.rindex(b"\n", 0, cut)
    return cut
