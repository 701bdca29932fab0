"""The screen of a terminal, rebuilt from the bytes that the program wrote.

The one place that knows pyghostty. People who attach get ``redraw`` first and then live bytes,
never the raw history: that may hold queries, which their terminal would answer into the pod.
"""

from itertools import groupby
from typing import Any, Final

from pyghostty import Terminal, ffi, lib
from pyghostty.core import check, init_sized

_ALTERNATE: Final = (1049, 1047, 47)
"""Modes that switch to the alternate screen; it must be on before the screen is drawn."""

_BEFORE: Final = frozenset({"modes"})
"""What the library writes ahead of the cells. Not the palette: that is the viewer's own."""

_BEHIND: Final = frozenset({"scrolling_region", "keyboard"})
"""What the library writes behind the cells, besides all that belongs to the screen."""

_NEUTRAL: Final = (
    b"\x1b[!p\x1b[?1049l\x1b[?1l\x1b[?7h\x1b[?25h\x1b[r"
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l\x1b[0m"
)
"""Undoes what an earlier screen may have left on: main screen, no mouse, no paste brackets.

Not a full reset, which would take the viewer's scrollback.
"""


_LOOK_EVERY: Final = 8
"""A row without text is looked at this coarsely for colour: looking costs 10 us a cell."""


class Screen:
    """A terminal without glass. Not for several threads at once; close it when done."""

    def __init__(self, cols: int, rows: int) -> None:
        self._terminal = Terminal(cols, rows, scrollback=0)

    def feed(self, data: bytes) -> None:
        """Take what the program wrote; sequences may be cut anywhere."""
        self._terminal.feed(data)

    def resize(self, cols: int, rows: int) -> None:
        """Change the size, as the program's terminal did."""
        self._terminal.resize(cols, rows)

    def text(self) -> str:
        """Return what one sees, rows joined by newlines, trailing blanks cut."""
        text: str = self._terminal.text()
        return text

    def redraw(self) -> bytes:
        """Return the bytes that draw this screen on a terminal of the same size.

        Rows are placed one by one, then come modes, cursor and pen, so that the program's next
        bytes do on that terminal what they would have done on this one.
        """
        _, rows = self._terminal.size
        switches = [b"\x1b[?%dh" % mode for mode in _ALTERNATE if self._terminal.mode(mode)]
        cells = self._format(0, rows - 1)
        modes = self._format(0, rows - 1, _BEFORE).removesuffix(cells)
        for switch in switches:
            modes = modes.replace(switch, b"")
        behind = self._format(0, rows - 1, _BEHIND).removeprefix(cells)
        drawn = [_NEUTRAL, *switches[:1], b"\x1b[2J"]
        for row in range(rows):
            cells = self._format(row, row) or self._blank(row)
            if cells:
                drawn.append(b"\x1b[%d;1H\x1b[0m%b" % (row + 1, cells))
        return b"".join([*drawn, b"\x1b[0m", modes, behind])

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
        cols, _ = self._terminal.size
        selection = init_sized("GhosttySelection")
        selection.start = self._terminal.ref(0, first)[0]
        selection.end = self._terminal.ref(cols - 1, last)[0]
        options = init_sized("GhosttyFormatterTerminalOptions")
        options.emit = lib.GHOSTTY_FORMATTER_FORMAT_VT
        options.selection = selection
        for name in extras:
            setattr(options.extra, name, True)
        if extras == _BEHIND:
            for name in (
                "cursor",
                "style",
                "hyperlink",
                "protection",
                "kitty_keyboard",
                "charsets",
            ):
                setattr(options.extra.screen, name, True)
        formatter = ffi.new("GhosttyFormatter*")
        handle = self._terminal._t[0]  # noqa: SLF001  the binding has no public way to the raw one
        check(lib.ghostty_formatter_terminal_new(ffi.NULL, formatter, handle, options[0]), "new")
        try:
            return _formatted(formatter[0])
        finally:
            lib.ghostty_formatter_free(formatter[0])


def _formatted(formatter: Any) -> bytes:
    needed = ffi.new("size_t*")
    lib.ghostty_formatter_format_buf(formatter, ffi.NULL, 0, needed)
    buffer = ffi.new("uint8_t[]", max(1, needed[0]))
    check(lib.ghostty_formatter_format_buf(formatter, buffer, len(buffer), needed), "format")
    return bytes(ffi.buffer(buffer, needed[0]))
