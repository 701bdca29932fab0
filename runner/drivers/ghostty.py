"""What pyghostty offers only below its surface: formatting, copies, limits.

Besides ``runner.drivers.screen`` nobody needs this, and the library is known to these two only.
"""

import weakref
from typing import Any, Final

from pyghostty import GhosttyError, Terminal, ffi, lib
from pyghostty.core import check, init_sized

__all__ = ["GhosttyError", "Terminal", "copied", "formatted", "limit"]

_SCREEN: Final = frozenset(
    {"cursor", "style", "hyperlink", "protection", "kitty_keyboard", "charsets"}
)
"""What the library writes behind the cells and each of the two screens has for itself."""

_PAGE_CELLS: Final = 60_000
"""The library forgets history by pages of at most so many cells: so much more must be allowed."""

_WIDEST: Final = 2**16

_NO_LIMIT_BYTES: Final = 2**40
"""Lines limit the history; the library's own limit of bytes would be reached after 400 of them."""


def limit(terminal: Terminal, history: int, next_cols: int = _WIDEST) -> None:
    """Let it keep at least so many lines of history, and no images.

    Images are turned off: a program could have files of this machine read as such. To be called
    before the width becomes *next_cols*, and after it.
    """
    cols, _ = terminal.size
    lines = history + _PAGE_CELLS // min(cols, next_cols) if history else 0
    for option, ctype, value in (
        (lib.GHOSTTY_TERMINAL_OPT_SCROLLBACK_MAX_BYTES, "size_t*", _NO_LIMIT_BYTES),
        (lib.GHOSTTY_TERMINAL_OPT_SCROLLBACK_MAX_LINES, "size_t*", lines),
        (lib.GHOSTTY_TERMINAL_OPT_KITTY_IMAGE_STORAGE_LIMIT, "uint64_t*", 0),
    ):
        check(lib.ghostty_terminal_set(_raw(terminal), option, ffi.new(ctype, value)), "limit")


def formatted(
    terminal: Terminal,
    first: int,
    last: int,
    *,
    plain: bool = False,
    tag: str = "active",
    extras: frozenset[str] = frozenset(),
) -> bytes:
    """Return rows as text or terminal bytes, and what is asked for around them.

    Blanks at the end of a row are left out, and rows at the end that hold no text. Rows of text
    end with a newline, those of terminal bytes with a carriage return before it, none the last.
    """
    cols, _ = terminal.size
    selection = init_sized("GhosttySelection")
    selection.start = terminal.ref(0, first, tag)[0]
    selection.end = terminal.ref(cols - 1, last, tag)[0]
    options = init_sized("GhosttyFormatterTerminalOptions")
    options.emit = lib.GHOSTTY_FORMATTER_FORMAT_PLAIN if plain else lib.GHOSTTY_FORMATTER_FORMAT_VT
    options.trim = plain
    options.selection = selection
    for name in extras:
        setattr(options.extra.screen if name in _SCREEN else options.extra, name, True)
    formatter = ffi.new("GhosttyFormatter*")
    made = lib.ghostty_formatter_terminal_new(ffi.NULL, formatter, _raw(terminal), options[0])
    check(made, "new")
    try:
        return _written(formatter[0])
    finally:
        lib.ghostty_formatter_free(formatter[0])


def copied(terminal: Terminal) -> Terminal:
    """Return a copy of what both screens show. Not to be fed for long.

    The library's snapshots lose history now and then, and terminals made of them may crash when
    much is fed to them: so nothing is kept as a snapshot.

    Raises:
        GhosttyError: It is in the middle of a sequence or letter.
    """
    size, raw = ffi.new("size_t*"), _raw(terminal)
    lib.ghostty_snapshot_encode_buf(raw, ffi.NULL, 0, size)
    buffer = ffi.new("uint8_t[]", max(1, size[0]))
    check(lib.ghostty_snapshot_encode_buf(raw, buffer, len(buffer), size), "encode")
    return _restored(buffer, size[0])


def _restored(buffer: Any, size: int) -> Terminal:
    decoder, made = ffi.new("GhosttySnapshotDecoder*"), ffi.new("GhosttyTerminal*")
    check(lib.ghostty_snapshot_decoder_new_buf(ffi.NULL, decoder, buffer, size), "decoder")
    try:
        check(lib.ghostty_snapshot_decoder_decode(decoder[0], made), "decode")
    finally:
        lib.ghostty_snapshot_decoder_free(decoder[0])
    terminal = Terminal(1, 1, scrollback=0)
    terminal.close()
    terminal._t = made  # noqa: SLF001  the binding has no public way to wrap a raw one
    terminal._free = weakref.finalize(  # noqa: SLF001  likewise
        terminal, lib.ghostty_terminal_free, made[0]
    )
    return terminal


def _raw(terminal: Terminal) -> Any:
    return terminal._t[0]  # noqa: SLF001  the binding has no public way to the raw one


def _written(formatter: Any) -> bytes:
    needed = ffi.new("size_t*")
    lib.ghostty_formatter_format_buf(formatter, ffi.NULL, 0, needed)
    buffer = ffi.new("uint8_t[]", max(1, needed[0]))
    check(lib.ghostty_formatter_format_buf(formatter, buffer, len(buffer), needed), "format")
    return bytes(ffi.buffer(buffer, needed[0]))
