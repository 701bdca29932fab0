"""The screen of a terminal, rebuilt from the bytes that the program wrote.

People who attach get ``redraw`` first and then live bytes, never the raw history: that may hold
queries, which their terminal would answer into the pod.

A line is a row as it is on the screen: one that was too long and wrapped is several. Full-screen
programs have a screen of their own without history; while it is on, its rows are all there is.
"""

import re
from itertools import groupby
from typing import Final

from pyghostty import ffi, lib
from pyghostty.core import check

from runner.drivers.ghostty import (
    GhosttyError,
    Terminal,
    copied,
    formatted,
    limit,
)

_ALTERNATE: Final = (1049, 1047, 47)
"""Modes that switch to the alternate screen; it must be on before the screen is drawn."""

_BEFORE: Final = frozenset({"modes"})
"""What the library writes ahead of the cells. Not the palette: that is the viewer's own."""

_BEHIND: Final = frozenset(
    {"cursor", "style", "hyperlink", "protection", "kitty_keyboard", "charsets"}
    | {"scrolling_region", "keyboard"}
)
"""All that the library writes behind the cells."""

_BENEATH: Final = frozenset({"cursor", "style", "kitty_keyboard"})
"""What a program finds again when it leaves the alternate screen."""

_PLAIN: Final = b"\x1b[0m"
"""No colours: the primary screen's pen was saved with its cursor, on entering."""

_SAVE, _RESTORE = b"\x1b7", b"\x1b8"
"""The cursor with its pen, of each screen. Mode 1049 does it by itself, the older two do not."""

_UNFINISHED: Final = re.compile(
    rb"(?:\x1b(?:\[[0-?]*[ -/]*|[ -/]*|[\]P_^X][^\x07\x1b]*)"  # CSI, charset and the like, OSC
    rb"|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"  # UTF-8
)
_LONGEST_HELD: Final = 256
"""The library copies no terminal in the middle of a sequence or letter: so many bytes wait."""

_NEUTRAL: Final = (
    b"\x1b[!p\x1b[?1049l\x1b[?1l\x1b[?7h\x1b[?25h\x1b[r"
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l\x1b[0m"
)
"""Undoes what an earlier screen may have left on: main screen, no mouse, no paste brackets.

Not a full reset, which would take the viewer's scrollback.
"""


_FRESH: Final = (
    _NEUTRAL
    + b"\x1b[?6l\x1b[?25h\x1b[?69l\x1b[<99u\x1b[?1004l\x1b[?5l\x1b[4l\x1b[20l\x0f\x1b(B\x1b)B"
)
"""What a program may have left on, undone, as in a terminal that was just made."""

_CANCEL: Final = b"\x18"
"""Ends any sequence without carrying it out."""

_CELL_BYTES: Final = 8
_SELF_BYTES: Final = 64 * 1024
_LOOK_EVERY: Final = 8
"""A row without text is looked at this coarsely for colour: looking costs 10 us a cell."""


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

    def redraw(self) -> bytes:
        """Return the bytes that draw this screen on a terminal of the same size.

        Rows are placed one by one, then come modes, cursor and pen, so that the program's next
        bytes do on that terminal what they would have done on this one. Beneath a full-screen
        program comes the primary screen first: there the program leaves to.
        """
        _, rows = self._terminal.size
        switches = [b"\x1b[?%dh" % mode for mode in _ALTERNATE if self._terminal.mode(mode)]
        cells = self._format(0, rows - 1)
        modes = self._format(0, rows - 1, _BEFORE).removesuffix(cells)
        for switch in switches:
            modes = modes.replace(switch, b"")
        drawn = [_NEUTRAL]
        if switches:
            drawn += [self._primary(), switches[0], _PLAIN]
        return b"".join([*drawn, self._rows(), modes, self._behind(_BEHIND), self._held])

    def _primary(self) -> bytes:
        """Return the bytes that draw the screen beneath the alternate one."""
        try:
            copy = Screen(1, 1, terminal=copied(self._terminal))
        except GhosttyError:
            return b""  # then that one alone is not brought back
        try:
            for mode in reversed(_ALTERNATE):
                if self._terminal.mode(mode):
                    copy.feed(b"\x1b[?%dl%b" % (mode, _RESTORE))
            return copy._rows() + copy._behind(_BENEATH) + _SAVE
        finally:
            copy.close()

    def _rows(self) -> bytes:
        """Return the bytes that clear a screen and draw the rows of this one."""
        _, rows = self._terminal.size
        drawn = [b"\x1b[2J"]
        for row in range(rows):
            cells = self._format(row, row) or self._blank(row)
            if cells:
                drawn.append(b"\x1b[%d;1H\x1b[0m%b" % (row + 1, cells))
        return b"".join([*drawn, b"\x1b[0m"])

    def _behind(self, extras: frozenset[str]) -> bytes:
        """Return what comes behind the cells: cursor, pen and the like."""
        _, rows = self._terminal.size
        return self._format(0, rows - 1, extras).removeprefix(self._format(0, rows - 1))

    def _blank(self, row: int) -> bytes:
        """Return a row without any text as terminal bytes: the library drops its colours."""
        cols, _ = self._terminal.size
        looks = [*range(0, cols, _LOOK_EVERY), cols - 1]
        if not any(self._background(col, row) for col in looks):
            return b""
        drawn = []
        for colour, run in groupby(range(cols), lambda col: self._background(col, row)):
            width = len(list(run))
            if colour:  # erasing leaves the colour and, unlike spaces, no text
                drawn.append(b"\x1b[0m%b\x1b[%dX" % (colour, width))
            drawn.append(b"\x1b[%dC" % width)
        return b"".join([*drawn, b"\x1b[0m"])

    def _background(self, col: int, row: int) -> bytes:
        """Return the sequence for the colour of a cell that holds nothing but colour."""
        cell, tag = ffi.new("GhosttyCell*"), ffi.new("GhosttyCellContentTag*")
        check(lib.ghostty_grid_ref_cell(self._terminal.ref(col, row), cell), "cell")
        check(lib.ghostty_cell_get(cell[0], lib.GHOSTTY_CELL_DATA_CONTENT_TAG, tag), "tag")
        if tag[0] == lib.GHOSTTY_CELL_CONTENT_BG_COLOR_PALETTE:
            number = ffi.new("GhosttyColorPaletteIndex*")
            check(lib.ghostty_cell_get(cell[0], lib.GHOSTTY_CELL_DATA_COLOR_PALETTE, number), "bg")
            return b"\x1b[48;5;%dm" % number[0]
        if tag[0] == lib.GHOSTTY_CELL_CONTENT_BG_COLOR_RGB:
            rgb = ffi.new("GhosttyColorRgb*")
            check(lib.ghostty_cell_get(cell[0], lib.GHOSTTY_CELL_DATA_COLOR_RGB, rgb), "bg")
            return b"\x1b[48;2;%d;%d;%dm" % (rgb.r, rgb.g, rgb.b)
        return b""

    def close(self) -> None:
        """Free its memory."""
        self._terminal.close()

    def _format(self, first: int, last: int, extras: frozenset[str] = frozenset()) -> bytes:
        """Return rows as terminal bytes, and what is asked for around them."""
        return formatted(self._terminal, first, last, extras=extras)
