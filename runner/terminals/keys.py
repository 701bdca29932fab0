"""The keys that can be pressed, by name, and the bytes that a terminal sends for them.

One table for every path. Bytes are those of xterm: what programs expect whose ``TERM`` is
xterm-256color. Names in any case; a single character is itself.

Source: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html, section PC-Style Function Keys.
"""

import string
from collections.abc import Iterable
from typing import Final

ESCAPE: Final = b"\x1b"

_PLAIN: Final = {
    "enter": b"\r",
    "escape": ESCAPE,
    "tab": b"\t",
    "shift+tab": b"\x1b[Z",
    "backspace": b"\x7f",
    "space": b" ",
    **{f"ctrl+{letter}": bytes([ord(letter) - 0x60]) for letter in string.ascii_lowercase},
}
"""With alt, these have an escape before them."""

_LETTERED: Final = {
    "up": b"A",
    "down": b"B",
    "right": b"C",
    "left": b"D",
    "home": b"H",
    "end": b"F",
}
"""CSI and the letter; SS3 and the letter while the program has application cursor keys on."""

_LETTERED_ALWAYS_SS3: Final = {"f1": b"P", "f2": b"Q", "f3": b"R", "f4": b"S"}

_NUMBERED: Final = {
    "insert": 2,
    "delete": 3,
    "pageup": 5,
    "pagedown": 6,
    "f5": 15,
    "f6": 17,
    "f7": 18,
    "f8": 19,
    "f9": 20,
    "f10": 21,
    "f11": 23,
    "f12": 24,
}
"""CSI, the number and a tilde."""

_ALT: Final = "alt+"
_ALT_PARAMETER: Final = 3
"""How xterm numbers alt in the sequences of the three last tables."""

KEYS: Final = frozenset({*_PLAIN, *_LETTERED, *_LETTERED_ALWAYS_SS3, *_NUMBERED})
"""Every name, in lower case, besides ``alt+`` before any of them and single characters."""

OFFERED: Final = (
    "enter, escape, tab, shift+tab, backspace, delete, insert, up, down, left, right, home, end, "
    "pageup, pagedown, space, f1 to f12, ctrl+a to ctrl+z, alt+<key>, or a single character"
)
"""The names as they are told to people."""


class UnknownKeyError(ValueError):
    """A name that is no key. The text is one sentence and names it and all there are."""

    def __init__(self, name: str) -> None:
        shown = ascii(name[:40])
        super().__init__(f"There is no key {shown}, and nothing was pressed. Keys are: {OFFERED}.")


def presses(names: Iterable[str], *, application_cursor: bool = False) -> list[bytes]:
    """Return what to write for the keys, in pieces to be written with a pause between them.

    A new piece begins behind each escape: in one piece with it the next key would be taken for
    that key with alt.

    Raises:
        UnknownKeyError: A name is no key; nothing shall be written.
    """
    pieces = [b""]
    for name in names:
        pieces[-1] += press(name, application_cursor=application_cursor)
        if name.lower() in {"escape", "alt+escape"}:
            pieces.append(b"")
    return [piece for piece in pieces if piece]


def press(name: str, *, application_cursor: bool = False) -> bytes:
    """Return what a terminal sends for one key.

    Raises:
        UnknownKeyError: There is no such key.
    """
    if len(name) == 1:
        return _character(name)
    key = name.lower()
    if key.startswith(_ALT):
        return _with_alt(name)
    if key in _PLAIN:
        return _PLAIN[key]
    if key in _LETTERED:
        return (b"\x1bO" if application_cursor else b"\x1b[") + _LETTERED[key]
    if key in _LETTERED_ALWAYS_SS3:
        return b"\x1bO" + _LETTERED_ALWAYS_SS3[key]
    if key in _NUMBERED:
        return b"\x1b[%d~" % _NUMBERED[key]
    raise UnknownKeyError(name)


def _with_alt(name: str) -> bytes:
    rest = name[len(_ALT) :]
    key = rest.lower()
    if len(rest) == 1:
        try:
            return ESCAPE + _character(rest)
        except UnknownKeyError:
            raise UnknownKeyError(name) from None
    if key in _PLAIN:
        return ESCAPE + _PLAIN[key]
    letter = _LETTERED.get(key) or _LETTERED_ALWAYS_SS3.get(key)
    if letter:
        return b"\x1b[1;%d%b" % (_ALT_PARAMETER, letter)
    if key in _NUMBERED:
        return b"\x1b[%d;%d~" % (_NUMBERED[key], _ALT_PARAMETER)
    raise UnknownKeyError(name)


def _character(name: str) -> bytes:
    """Return a character as it is; those that are keys are pressed by their names only."""
    if not name.isprintable():
        raise UnknownKeyError(name)
    return name.encode()
