"""Which modes an agent has switched on in the user's terminal, to switch them off on leaving."""

import re
from typing import Final

_MODE: Final = re.compile(rb"\x1b\[\?([0-9;]{1,64})([hl])")
_LONGEST: Final = 72
_CURSOR: Final = 25
_ALTERNATE: Final = frozenset({47, 1047, 1049})
_UNDONE: Final = (
    frozenset({1, 9, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, 2026, 2031})
    | _ALTERNATE
)
"""Private modes that make a shell unusable when they stay: keys, mouse, focus, paste, screen.

Source: xterm's control sequences, DECSET."""


class Modes:
    """Reads along with the output."""

    def __init__(self) -> None:
        self._on: set[int] = set()
        self._cursor_hidden = False
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Take note of what the next bytes of output switch on and off."""
        text = self._tail + data
        end = 0
        for match in _MODE.finditer(text):
            self._switch(match[1], on=match[2] == b"h")
            end = match.end()
        self._tail = text[max(end, len(text) - _LONGEST) :]

    def undo(self) -> bytes:
        """Return the bytes that bring an ordinary terminal back."""
        off = sorted(self._on - _ALTERNATE) + sorted(self._on & _ALTERNATE)
        switches = b"".join(b"\x1b[?%dl" % mode for mode in off)
        cursor = b"\x1b[?25h" if self._cursor_hidden else b""
        return switches + cursor + b"\x1b[0m\x1b7\x1b[r\x1b8"  # resetting margins moves the cursor

    def _switch(self, numbers: bytes, *, on: bool) -> None:
        for number in (int(text) for text in numbers.split(b";") if text):
            if number == _CURSOR:
                self._cursor_hidden = not on
            elif number in _UNDONE:
                (self._on.add if on else self._on.discard)(number)
