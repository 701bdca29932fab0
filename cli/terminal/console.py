"""The user's own terminal: raw while attached, as it was before in any case afterwards."""

import asyncio
import contextlib
import os
import termios
import tty
from collections.abc import Iterator
from typing import Final

from cli.errors import CommandError
from cli.terminal.modes import Modes

_READ_BYTES: Final = 32 << 10
_ERASE_LINE: Final = "\x1b[0m\x1b[K"
_ERASE_BELOW: Final = "\x1b[0m\x1b[J"
_INVERSE: Final = "\x1b[0;7m\x1b[2K"
_PLAIN: Final = "\x1b[0m"


class Console:
    """Standard input and output, which may be a terminal, a pipe or a file."""

    def __init__(self, stdin: int = 0, stdout: int = 1, stderr: int = 2) -> None:
        self._stdin, self._stdout, self._stderr = stdin, stdout, stderr
        self._modes = Modes()
        self.interactive = os.isatty(stdin)
        """Whether somebody types; otherwise input has an end."""

    def size(self) -> tuple[int, int] | None:
        """Return columns and rows; None if the output is no terminal."""
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(self._stdout)
            if size.columns > 0 and size.lines > 0:
                return size.columns, size.lines
        return None

    @contextlib.contextmanager
    def raw(self) -> Iterator[None]:
        """Pass on every key while the context lasts; bring the terminal back after it."""
        if not self.interactive:
            yield
            return
        before = termios.tcgetattr(self._stdin)
        try:
            tty.setraw(self._stdin, termios.TCSANOW)
            yield
        finally:
            with contextlib.suppress(OSError, termios.error):  # it may have been closed
                if os.isatty(self._stdout):
                    os.write(self._stdout, self._modes.undo())
            with contextlib.suppress(termios.error):
                # Without flushing input: what was typed ahead belongs to the shell.
                termios.tcsetattr(self._stdin, termios.TCSADRAIN, before)

    async def write(self, data: bytes) -> None:
        """Write all of *data*; a slow terminal does not stop the keys from being read.

        Raises:
            CommandError: Nobody reads it, or the disk is full.
        """
        self._modes.feed(data)
        try:
            await asyncio.to_thread(_write_all, self._stdout, data)
        except OSError as exc:
            raise CommandError(f"the output cannot be written: {exc.strerror}") from exc

    def tell(self, text: str) -> None:
        """Write a line of our own, apart from the agent's."""
        self._tell(text, _ERASE_LINE)

    def note(self, text: str) -> None:
        """Write a line of our own at the foot of the screen, where the agent's output is on it."""
        size = self.size() if self.interactive and os.isatty(self._stderr) else None
        if size is None:
            self.tell(text)
            return
        cols, rows = size
        line = f"[agentsmesh] {text}"[:cols]
        with contextlib.suppress(OSError):
            _write_all(self._stderr, f"\x1b7\x1b[{rows};1H{_INVERSE}{line}{_PLAIN}\x1b8".encode())

    def part(self, text: str) -> None:
        """Write the last line of our own; what the agent showed below it goes."""
        self._tell(text, _ERASE_BELOW)

    def _tell(self, text: str, erase: str) -> None:
        end = "\r\n" if self.interactive else "\n"
        start = end if self.interactive else ""
        start += erase if self.interactive and os.isatty(self._stderr) else ""
        with contextlib.suppress(OSError):
            _write_all(self._stderr, f"{start}[agentsmesh] {text}{end}".encode())

    def bell(self) -> None:
        """Say without words that a key was not taken."""
        with contextlib.suppress(OSError):
            _write_all(self._stderr, b"\a")

    async def read(self) -> bytes:
        """Return the next bytes of input; empty at its end."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        try:
            try:
                loop.add_reader(self._stdin, ready.set)
            except PermissionError:  # files and /dev/null are always ready, epoll refuses them
                return await asyncio.to_thread(os.read, self._stdin, _READ_BYTES)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(self._stdin)
            return os.read(self._stdin, _READ_BYTES)
        except OSError:  # the terminal is gone, or there never was an input
            return b""


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(handle, view) :]
        except BlockingIOError:  # somebody made our output non-blocking
            os.set_blocking(handle, True)
