"""The screen of a terminal, rebuilt from the bytes that the program wrote.

The one place that knows pyghostty. People who attach get ``redraw`` first and then live bytes,
never the raw history: that may hold queries, which their terminal would answer into the pod.
"""

import contextlib
import re
import weakref
from itertools import groupby
from typing import Any, Final

from pyghostty import GhosttyError, Terminal, ffi, lib
from pyghostty.core import check, init_sized

_ALTERNATE: Final = (1049, 1047, 47)
"""Modes that switch to the alternate screen; it must be on before the screen is drawn."""

_BEFORE: Final = frozenset({"modes"})
"""What the library writes ahead of the cells. Not the palette: that is the viewer's own."""

_SCREEN: Final = frozenset(
    {"cursor", "style", "hyperlink", "protection", "kitty_keyboard", "charsets"}
)
"""What the library writes behind the cells and each of the two screens has for itself."""

_BEHIND: Final = _SCREEN | {"scrolling_region", "keyboard"}
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


_LOOK_EVERY: Final = 8
"""A row without text is looked at this coarsely for colour: looking costs 10 us a cell."""


class Screen:
    """A terminal without glass. Not for several threads at once; close it when done."""

    def __init__(self, cols: int, rows: int) -> None:
        self._terminal = Terminal(cols, rows, scrollback=0)
        self._held = b""
        """The beginning of a sequence whose end has not come."""

    def feed(self, data: bytes) -> None:
        """Take what the program wrote; sequences may be cut anywhere."""
        data = self._held + data
        unfinished = _UNFINISHED.search(data, max(0, len(data) - _LONGEST_HELD))
        whole = unfinished.start() if unfinished else len(data)
        self._held = data[whole:]
        self._terminal.feed(data[:whole])

    def resize(self, cols: int, rows: int) -> None:
        """Change the size, as the program's terminal did."""
        self._terminal.resize(cols, rows)

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
        copy = Screen(1, 1)
        try:
            with contextlib.suppress(GhosttyError):  # then that one alone is not brought back
                copy._become(self._terminal)
                for mode in reversed(_ALTERNATE):
                    if self._terminal.mode(mode):
                        copy.feed(b"\x1b[?%dl%b" % (mode, _RESTORE))
                return copy._rows() + copy._behind(_BENEATH) + _SAVE
            return b""
        finally:
            copy.close()

    def _become(self, other: Terminal) -> None:
        """Be a copy of another terminal, with both of its screens."""
        size, decoder = ffi.new("size_t*"), ffi.new("GhosttySnapshotDecoder*")
        handle = other._t[0]  # noqa: SLF001  the binding has no public way to the raw one
        lib.ghostty_snapshot_encode_buf(handle, ffi.NULL, 0, size)
        buffer = ffi.new("uint8_t[]", max(1, size[0]))
        check(lib.ghostty_snapshot_encode_buf(handle, buffer, len(buffer), size), "encode")
        check(lib.ghostty_snapshot_decoder_new_buf(ffi.NULL, decoder, buffer, size[0]), "decoder")
        try:
            copy = ffi.new("GhosttyTerminal*")
            check(lib.ghostty_snapshot_decoder_decode(decoder[0], copy), "decode")
        finally:
            lib.ghostty_snapshot_decoder_free(decoder[0])
        self._terminal.close()
        self._terminal._t = copy  # noqa: SLF001  nor one to wrap a raw one
        self._terminal._free = weakref.finalize(  # noqa: SLF001  likewise
            self._terminal, lib.ghostty_terminal_free, copy[0]
        )

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
        cols, _ = self._terminal.size
        selection = init_sized("GhosttySelection")
        selection.start = self._terminal.ref(0, first)[0]
        selection.end = self._terminal.ref(cols - 1, last)[0]
        options = init_sized("GhosttyFormatterTerminalOptions")
        options.emit = lib.GHOSTTY_FORMATTER_FORMAT_VT
        options.selection = selection
        for name in extras:
            setattr(options.extra.screen if name in _SCREEN else options.extra, name, True)
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
