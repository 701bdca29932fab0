"""The screen of a run, as long as a prompt for it is under way: fed by its output, looked at."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Final, Protocol

from runner.converge.delivery_screen import Look
from runner.converge.screen_line import typed_line
from runner.drivers.terminal_values import Chunk, Ended, Gap
from schemas.patterns import Pattern

_PASTE_MODE: Final = 2004


class Screen(Protocol):
    """What is needed of ``runner.drivers.screen.Screen``."""

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row of the cursor."""
        ...

    def feed(self, data: bytes) -> None:
        """Take output."""
        ...

    def resize(self, cols: int, rows: int) -> None:
        """Change the size."""
        ...

    def text(self) -> str:
        """Return what one sees."""
        ...

    def mode(self, number: int) -> bool:
        """Whether a mode is on."""
        ...

    def close(self) -> None:
        """Free its memory."""
        ...


class Sight:
    """A screen and what is told by time: since when it is calm, since when it shows a sign."""

    def __init__(
        self,
        screen: Screen,
        size: tuple[int, int],
        span: tuple[int, int],
        sign: Pattern | None,
        others_at: Callable[[], float],
        keep: Iterable[int],
    ) -> None:
        """Look at the output from the first to the second offset of *span*, then at what comes.

        The screen as it was at each of the offsets to *keep* is remembered.
        """
        self._screen = screen
        self._size = size
        self.begin, self._history_end = span
        self._offset = self.begin
        self._line_mode = False
        self._unread_at = float("-inf")
        self._sign = sign
        self._sign_at: float | None = None
        self._others_at = others_at
        self._changed_at = time.monotonic()
        self._changed = asyncio.Event()
        self._keep = sorted(offset for offset in set(keep) if offset >= self.begin)
        self._kept: dict[int, Look] = {}
        self.ended = False
        """Whether the run is over."""
        self.unread = False
        """Whether the program has not read all that was typed, as last told."""

    async def read(self, stream: AsyncIterator[Chunk | Gap | Ended]) -> None:
        """Feed the screen until the run ends."""
        try:
            async for item in stream:
                if isinstance(item, Chunk):
                    self._feed(item)
                elif isinstance(item, Gap):
                    self._offset = item.end
                self._changed.set()
        finally:
            self.ended = True
            self._changed.set()

    async def caught_up(self) -> None:
        """Wait until the screen shows what there was at the beginning."""
        while self._offset < self._history_end and not self.ended:
            self._changed.clear()
            await self._changed.wait()
        while self._keep and self._keep[0] <= self._offset:
            self._kept[self._keep.pop(0)] = self.look()

    async def changed(self, until: float, pause_seconds: float) -> None:
        """Wait for output and a pause behind it, or for the moment *until*."""
        left = until - time.monotonic()
        if self.ended or left <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(None if left == float("inf") else left):
                await self._changed.wait()
                await asyncio.sleep(pause_seconds)

    def wake(self) -> None:
        """End a wait: something else than the screen has changed."""
        self._changed.set()

    def told(self, size: tuple[int, int], *, line_mode: bool, unread: bool = False) -> None:
        """Follow the terminal's size and mode, and whether its program reads its input."""
        self._line_mode, self.unread = line_mode, unread
        if size != self._size:
            self._size = size
            self._screen.resize(*size)

    def look(self) -> Look:
        """Return the screen as it is."""
        self._changed.clear()
        text, now = self._screen.text(), time.monotonic()
        column, row = self._screen.cursor
        if not self._shows_sign(text, typed_line(text, (column, row))):
            self._sign_at = None
        elif self._sign_at is None:
            self._sign_at = now
        if self.unread:
            self._unread_at = now
        return Look(
            text,
            column,
            row,
            self._size,
            self._screen.mode(_PASTE_MODE),
            self._line_mode,
            self._offset,
            is_blank=self._offset == self.begin,
            at=now,
            changed_at=self._changed_at,
            sign_at=self._sign_at,
            others_at=self._others_at(),
            unread_at=self._unread_at,
        )

    def _shows_sign(self, text: str, typed: str) -> bool:
        sign = self._sign
        return sign is not None and (sign.is_in(text) or bool(typed and sign.is_in(typed)))

    def at(self, offset: int) -> Look | None:
        """Return the screen as it was when the output had that length, if it is remembered."""
        return self._kept.get(offset)

    def _feed(self, chunk: Chunk) -> None:
        data, self._offset = chunk.data, chunk.offset
        while self._keep and self._keep[0] <= chunk.end:
            cut = max(0, self._keep[0] - self._offset)
            self._write(data[:cut])
            data = data[cut:]
            self._kept[self._keep.pop(0)] = self.look()
        self._write(data)
        self._changed_at = time.monotonic()

    def _write(self, data: bytes) -> None:
        if data:
            self._screen.feed(data)
            self._offset += len(data)

    def close(self) -> None:
        """Free the screen."""
        self._screen.close()
