"""Turns a terminal back into bytes that draw it, on one of the same size.

Rows are placed one by one, then come modes, cursors and pen, so that the program's next bytes do on
that terminal what they would have done on this one. Beneath a full-screen program comes the primary
screen first: there the program leaves to.
"""

import re
from itertools import groupby
from typing import Any, Final

from pyghostty import ffi, lib
from pyghostty.core import check

from runner.drivers.ghostty import GhosttyError, Terminal, copied, formatted

_ALTERNATE: Final = (1049, 1047, 47)
"""Modes that switch to the alternate screen; it must be on before the screen is drawn."""

_BEFORE: Final = frozenset({"modes"})
"""What the library writes ahead of the cells. Not the palette: that is the viewer's own."""

_REGION: Final = frozenset({"scrolling_region"})
_CURSOR: Final = frozenset({"cursor"})
_TABS: Final = frozenset({"tabstops"})
_BEHIND: Final = frozenset(
    {"style", "hyperlink", "protection", "kitty_keyboard", "charsets", "keyboard"}
)
"""What the library writes behind the cells, besides region and cursor."""

_BENEATH: Final = frozenset({"cursor", "style", "kitty_keyboard"})
"""What a program finds again when it leaves the alternate screen."""

_SAVED: Final = frozenset({"cursor", "style", "charsets", "protection"})
"""What a program finds again when it restores the cursor."""

_UNSAVED: Final = b"\x1b[1;1H\x1b[0m"
"""What it finds when it never saved one."""

_PLAIN: Final = b"\x1b[0m"
"""No colours: the primary screen's pen was saved with its cursor, on entering."""

_SAVE, _RESTORE = b"\x1b7", b"\x1b8"
"""The cursor with its pen, of each screen. Mode 1049 does it by itself, the older two do not."""

_ORIGIN: Final = b"\x1b[?6h"
"""Positions count from the region's corner; to be switched on when all others are done."""

_AT: Final = re.compile(rb"\x1b\[(\d+);(\d+)H")
_ROWS_FROM: Final = re.compile(rb"\x1b\[(\d+);\d+r")
_COLUMNS_FROM: Final = re.compile(rb"\x1b\[(\d+);\d+s")
_TAB_EVERY: Final = 8

NEUTRAL: Final = (
    b"\x1b[!p\x1b[?1049l\x1b[?1l\x1b[?7h\x1b[?25h\x1b[r"
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l\x1b[0m"
)
"""Undoes what an earlier screen may have left on: main screen, no mouse, no paste brackets.

Not a full reset, which would take the viewer's scrollback.
"""

LEAVE: Final = b"".join(b"\x1b[?%dl" % mode for mode in reversed(_ALTERNATE))
"""Leaves the alternate screen, whichever mode it was entered with."""

_LOOK_EVERY: Final = 8
"""A row without text is looked at this coarsely for colour: looking costs 10 us a cell."""


def redrawn(terminal: Terminal) -> bytes:
    """Return the bytes that draw the terminal; it is not in the middle of a sequence."""
    switches = [b"\x1b[?%dh" % mode for mode in _ALTERNATE if terminal.mode(mode)]
    cells = _format(terminal)
    modes = _format(terminal, _BEFORE).removesuffix(cells)
    for switch in (*switches, _ORIGIN):
        modes = modes.replace(switch, b"")
    drawn = [NEUTRAL, _tabs(terminal, cells)]
    if switches:
        drawn += [_primary(terminal), switches[0], _PLAIN]
    drawn += [_rows(terminal), _saved(terminal), modes]
    return b"".join([*drawn, _placed(terminal), _behind(terminal, _BEHIND)])


def _placed(terminal: Terminal) -> bytes:
    """Return the bytes that set the scrolling region and, in it or not, the cursor."""
    region, cursor = _behind(terminal, _REGION), _behind(terminal, _CURSOR)
    if terminal.get("cursor_pending_wrap", "bool") and cursor.endswith(b"H"):
        cursor += b" "  # the cell it waits behind is empty
    if not terminal.mode(6):
        return region + cursor
    top, left = _ROWS_FROM.search(region), _COLUMNS_FROM.search(region)
    above, beside = int(top[1]) - 1 if top else 0, int(left[1]) - 1 if left else 0

    def within(at: re.Match[bytes]) -> bytes:
        return b"\x1b[%d;%dH" % (max(1, int(at[1]) - above), max(1, int(at[2]) - beside))

    return region + _ORIGIN + _AT.sub(within, cursor, count=1)


def _tabs(terminal: Terminal, cells: bytes) -> bytes:
    """Return the bytes that set the tab stops, if they are not where they usually are."""
    cols, _ = terminal.size
    stops = range(_TAB_EVERY + 1, cols + 1, _TAB_EVERY)
    usual = b"\x1b[3g" + b"".join(b"\x1b[%dG\x1bH" % column for column in stops) + b"\x1b[H"
    tabs = _format(terminal, _TABS).removesuffix(cells)
    return b"" if tabs == usual else tabs


def _saved(terminal: Terminal) -> bytes:
    """Return the bytes that save the cursor which was saved on the present screen."""
    try:
        copy = copied(terminal)
    except GhosttyError:
        return b""  # then that alone is not brought back
    try:
        copy.feed(_RESTORE)
        found = _behind(copy, _SAVED)
        return b"" if found == _UNSAVED else found + _SAVE + b"\x1b[0m\x1b(B\x0f"
    finally:
        copy.close()


def _primary(terminal: Terminal) -> bytes:
    """Return the bytes that draw the screen beneath the alternate one."""
    try:
        copy = copied(terminal)
    except GhosttyError:
        return b""  # then that one alone is not brought back
    try:
        for mode in reversed(_ALTERNATE):
            if terminal.mode(mode):
                copy.feed(b"\x1b[?%dl%b" % (mode, _RESTORE))
        return _rows(copy) + _behind(copy, _BENEATH) + _SAVE
    finally:
        copy.close()


def _rows(terminal: Terminal) -> bytes:
    """Return the bytes that clear a screen and draw the rows of this one."""
    _, rows = terminal.size
    drawn = [b"\x1b[2J"]
    for row in range(rows):
        cells = formatted(terminal, row, row) or _blank(terminal, row)
        if cells:
            drawn.append(b"\x1b[%d;1H\x1b[0m%b" % (row + 1, cells))
    return b"".join([*drawn, b"\x1b[0m"])


def _behind(terminal: Terminal, extras: frozenset[str]) -> bytes:
    """Return what comes behind the cells: cursor, pen and the like."""
    return _format(terminal, extras).removeprefix(_format(terminal))


def _format(terminal: Terminal, extras: frozenset[str] = frozenset()) -> bytes:
    """Return all rows as terminal bytes, and what is asked for around them."""
    _, rows = terminal.size
    return formatted(terminal, 0, rows - 1, extras=extras)


def _blank(terminal: Terminal, row: int) -> bytes:
    """Return a row without any text as terminal bytes: the library drops its colours."""
    cols, _ = terminal.size
    looks = [*range(0, cols, _LOOK_EVERY), cols - 1]
    if not any(_background(terminal, col, row) for col in looks):
        return b""
    drawn = []
    for colour, run in groupby(range(cols), lambda col: _background(terminal, col, row)):
        width = len(list(run))
        if colour:  # erasing leaves the colour and, unlike spaces, no text
            drawn.append(b"\x1b[0m%b\x1b[%dX" % (colour, width))
        drawn.append(b"\x1b[%dC" % width)
    return b"".join([*drawn, b"\x1b[0m"])


def _background(terminal: Terminal, col: int, row: int) -> bytes:
    """Return the sequence for the colour of a cell that holds nothing but colour."""
    cell, tag = ffi.new("GhosttyCell*"), ffi.new("GhosttyCellContentTag*")
    check(lib.ghostty_grid_ref_cell(terminal.ref(col, row), cell), "cell")
    check(_get(cell, lib.GHOSTTY_CELL_DATA_CONTENT_TAG, tag), "tag")
    if tag[0] == lib.GHOSTTY_CELL_CONTENT_BG_COLOR_PALETTE:
        number = ffi.new("GhosttyColorPaletteIndex*")
        check(_get(cell, lib.GHOSTTY_CELL_DATA_COLOR_PALETTE, number), "bg")
        return b"\x1b[48;5;%dm" % number[0]
    if tag[0] == lib.GHOSTTY_CELL_CONTENT_BG_COLOR_RGB:
        rgb = ffi.new("GhosttyColorRgb*")
        check(_get(cell, lib.GHOSTTY_CELL_DATA_COLOR_RGB, rgb), "bg")
        return b"\x1b[48;2;%d;%d;%dm" % (rgb.r, rgb.g, rgb.b)
    return b""


def _get(cell: Any, what: Any, target: Any) -> Any:
    return lib.ghostty_cell_get(cell[0], what, target)
