"""The screen of a terminal, rebuilt from the bytes that the program wrote.

People who attach get ``redraw`` first and then live bytes, never the raw history: that may hold
queries, which their terminal would answer into the pod.

A line is a row as it is on the screen: one that was too long and wrapped is several. Full-screen
programs have a screen of their own without history; while it is on, its rows are all there is.
"""

import re
from typing import Final

from runner.drivers.ghostty import Terminal, formatted, limit
from runner.drivers.redraw import LEAVE, NEUTRAL, redrawn

_UNFINISHED: Final = re.compile(
    rb"(?:\x1b(?:\[[0-?]*[ -/]*|[ -/]*"  # CSI, charset and the like
    rb"|\][^\x07\x18\x1a\x1b]*\x1b?|[P_^X][^\x18\x1a\x1b]*\x1b?)"  # OSC; DCS and the other strings
    rb"|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"  # UTF-8
)
_LONGEST_HELD: Final = 64 * 1024
"""The library copies no terminal in the middle of a sequence or letter: so many bytes wait."""

_FRESH: Final = (
    NEUTRAL
    + b"\x1b[?6l\x1b[?25h\x1b[?69l\x1b[<99u\x1b[?1004l\x1b[?5l\x1b[4l\x1b[20l\x0f\x1b(B\x1b)B"
)
"""What a program may have left on, undone, as in a terminal that was just made."""

_CANCEL: Final = b"\x18"
"""Ends any sequence without carrying it out."""

_CELL_BYTES: Final = 8
_SELF_BYTES: Final = 64 * 1024


class Screen:
    """A terminal without glass. Not for several threads at once; close it when done."""

    def __init__(
        self,
        cols: int,
        rows: int,
        history: int = 0,
        *,
        terminal: Terminal | None = None,
    ) -> None:
        self._terminal = terminal or Terminal(cols, rows, scrollback=0)
        self._history = history
        """So many lines above the screen count; more may be there."""
        self._held = b""
        """The beginning of a sequence whose end has not come."""
        limit(self._terminal, history)

    @property
    def size_bytes(self) -> int:
        """About so much memory it takes."""
        cols, rows = self._terminal.size
        lines = rows + self._terminal.get("scrollback_rows", "size_t")
        return int(_SELF_BYTES + lines * cols * _CELL_BYTES)

    def feed(self, data: bytes) -> None:
        """Take what the program wrote; sequences may be cut anywhere."""
        data = self._held + data
        unfinished = _UNFINISHED.search(data, max(0, len(data) - _LONGEST_HELD))
        whole = unfinished.start() if unfinished else len(data)
        self._held = data[whole:]
        self._terminal.feed(data[:whole])

    def skip(self) -> None:
        """Take that some of what the program wrote is missing here."""
        self._held = b""
        self._terminal.feed(_CANCEL)

    def begin(self) -> None:
        """Be as new for another program: what is on the screen goes into the history."""
        self.skip()
        self._terminal.feed(_FRESH)
        _, rows = self._terminal.size
        written = self._written_rows()
        self._terminal.feed(b"\x1b[%d;1H%b\x1b[H" % (rows, b"\n" * written))

    def resize(self, cols: int, rows: int) -> None:
        """Change the size, as the program's terminal did."""
        if (cols, rows) != self._terminal.size:
            limit(self._terminal, self._history, cols)  # or it forgets more on the way
            self._terminal.resize(cols, rows)
            limit(self._terminal, self._history)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        cols, rows = self._terminal.size
        return cols, rows

    @property
    def total_lines(self) -> int:
        """Lines there are: the history, and the screen down to the last row that holds text.

        Rows below that are no lines, even if the cursor is there; blank ones above it are.
        """
        return self._history_lines() + self._written_rows()

    def lines(self, count: int, *, raw: bool = False) -> list[str]:
        """Return the last *count* lines, or all there are, without the blanks at their ends.

        With *raw*, colours and other looks are in them as terminal sequences (SGR, in xterm's
        way to write them), each line for itself: any of them can be shown alone. Colours of
        blanks at the end of a line are kept, those of lines without any text are not.
        """
        history, written = self._history_lines(), self._written_rows()
        count = min(count, history + written)
        if not count:
            return []
        last = self._terminal.get("scrollback_rows", "size_t") + written - 1
        text = formatted(self._terminal, last - count + 1, last, plain=not raw, tag="screen")
        found = text.decode(errors="replace").split("\r\n" if raw else "\n")
        return found + [""] * (count - len(found))  # those without text are left out at the end

    def _history_lines(self) -> int:
        return int(min(self._history, self._terminal.get("scrollback_rows", "size_t")))

    def _written_rows(self) -> int:
        text = self.text().rstrip("\n")  # rows of nothing but spaces are in it
        return text.count("\n") + 1 if text else 0

    def text(self) -> str:
        """Return what one sees, rows joined by newlines, trailing blanks cut."""
        text: str = self._terminal.text()
        return text

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row of the cursor, from 0."""
        column, row = self._terminal.cursor
        return column, row

    def mode(self, number: int) -> bool:
        """Whether a private mode is on, such as 2004 of those who want pastes to be marked."""
        return bool(self._terminal.mode(number))

    @property
    def held(self) -> bytes:
        """The last bytes it was fed and does not show: their sequence has not ended."""
        return self._held

    def take_history(self) -> list[str]:
        """Return the lines above the primary screen, raw. It is of no use behind that."""
        self._terminal.feed(LEAVE)
        count = self._history_lines()
        if not count:
            return []
        last = self._terminal.get("scrollback_rows", "size_t") - 1
        text = formatted(self._terminal, last - count + 1, last, tag="screen")
        found = text.decode(errors="replace").split("\r\n")
        return found + [""] * (count - len(found))  # those without text are left out at the end

    def put_history(self, text: bytes, lines: int) -> None:
        """Have these lines above a screen that is new; they are joined by line ends."""
        _, rows = self._terminal.size
        self._terminal.feed(text + b"\x1b[0m\r\n")
        self._terminal.feed(b"\x1b[%d;1H%b\x1b[H" % (rows, b"\n" * min(lines, rows - 1)))

    def redraw(self) -> bytes:
        """Return the bytes that draw this screen on a terminal of the same size.

        See ``runner.drivers.redraw``. What is held comes next: the stream goes on before it.
        """
        return redrawn(self._terminal)

    def close(self) -> None:
        """Free its memory."""
        self._terminal.close()
