"""Terminal output as text: what remains when control sequences are left out."""

import re
from typing import Final

_SEQUENCE: Final = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    rb"|\x1b[\]P_^X](?:[^\x07\x1b]|\x1b(?!\\))*(?:\x07|\x1b\\)"  # OSC, DCS, APC, PM, SOS
    rb"|\x1b[ -/]+[0-~]"  # character sets and the like
    rb"|\x1b[0-OQ-WYZ\\`-~]"  # all other escapes of two bytes
    rb"|[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]|\x07|\x0b|\x0c"  # controls that are no text
)
_UNFINISHED: Final = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*|[ -/]*|[\]P_^X](?:[^\x07\x1b]|\x1b(?!\\))*\x1b?)?$"
)
_COLOUR: Final = re.compile(rb"\x1b\[[0-9;:]*m$")
_LINE_END: Final = re.compile(rb"\r+\n?")
_LONGEST_HELD: Final = 1 << 16


class Plain:
    """Leaves out everything but text, and colours if they are wanted.

    The line ends of a terminal become those of a file; a carriage return alone ends a line, too.
    """

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours
        self._sequence = b""
        """The beginning of a sequence whose end has not come."""
        self._return = b""
        """Carriage returns that the next byte decides about."""

    def feed(self, data: bytes) -> bytes:
        """Return the text in the next bytes of output."""
        data = self._sequence + data
        unfinished = _UNFINISHED.search(data)
        cut = unfinished.start() if unfinished else len(data)
        if len(data) - cut > _LONGEST_HELD:  # it never ends: not a sequence then
            cut = len(data)
        self._sequence = data[cut:]
        text = self._return + _SEQUENCE.sub(self._keep, data[:cut])
        whole = text.rstrip(b"\r")
        self._return = text[len(whole) :]
        return _LINE_END.sub(b"\n", whole)

    def finish(self) -> bytes:
        """Return what is left at the end of the output."""
        left, self._return, self._sequence = self._return, b"", b""
        return b"\n" if left else b""

    def _keep(self, match: re.Match[bytes]) -> bytes:
        return match[0] if self._colours and _COLOUR.match(match[0]) else b""
