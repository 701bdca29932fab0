"""Terminal output as text: what remains when control sequences are left out."""

import re
from typing import Final

_STRINGS: Final = b"]P_^X"
"""What follows the escape of OSC, DCS, APC, PM and SOS, which go on to their terminator."""

_SEQUENCE: Final = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    rb"|\x1b[\]P_^X](?:[^\x07\x1b]|\x1b(?!\\))*(?:\x07|\x1b\\)"  # OSC, DCS, APC, PM, SOS
    rb"|\x1b[ -/]+[0-~]"  # character sets and the like
    rb"|\x1b[0-OQ-WYZ\\`-~]"  # all other escapes of two bytes
    rb"|[\x00-\x07\x0b\x0c\x0e-\x1f\x7f]"  # controls that are no text, and an escape of nothing
    rb"|\xc2[\x80-\x9f]"  # controls of the upper half, which begin sequences, too
    rb"|(?P<letters>(?:\xc2[\xa0-\xbf]|[\xc3-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]"
    rb"|[\xe1-\xef][\x80-\xbf]{2}|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf4][\x80-\xbf]{3})+)"
    rb"|[\x80-\x9f]"  # the same controls for terminals of eight bits
)
_UNFINISHED: Final = re.compile(
    rb"(?:\x1b(?:\[[0-?]*[ -/]*|[ -/]*|[\]P_^X](?:[^\x07\x1b]|\x1b(?!\\))*\x1b?)?"
    rb"|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"
)
_STRING_END: Final = re.compile(rb"\x07|\x1b\\")
_OTHER_END: Final = re.compile(rb"[^ -?]")
_COLOUR: Final = re.compile(rb"\x1b\[[0-9;:]*m")
_LINE_END: Final = re.compile(rb"\r+\n?")
_LONGEST_HELD: Final = 1 << 16
"""A longer sequence is dropped as it comes."""


class Plain:
    """Leaves out everything but text, and colours if they are wanted.

    The line ends of a terminal become those of a file; a carriage return alone ends a line, too.
    """

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours
        self._sequence = b""
        """The beginning of a sequence whose end has not come."""
        self._end: re.Pattern[bytes] | None = None
        """What ends the sequence that is being dropped; None when none is."""
        self._return = b""
        """Carriage returns that the next byte decides about."""

    def feed(self, data: bytes) -> bytes:
        """Return the text in the next bytes of output."""
        data = self._sequence + data
        if self._end is not None:
            found = self._end.search(data)
            if found is None:
                self._sequence = self._tail(data)
                return b""
            data, self._end = data[found.end() :], None
        unfinished = _UNFINISHED.search(data)
        cut = unfinished.start() if unfinished else len(data)
        self._sequence = data[cut:]
        if len(self._sequence) > _LONGEST_HELD:
            is_string = self._sequence[1:2] in {bytes((byte,)) for byte in _STRINGS}
            self._end = _STRING_END if is_string else _OTHER_END
            self._sequence = self._tail(self._sequence)
        text = self._return + _SEQUENCE.sub(self._keep, data[:cut])
        whole = text.rstrip(b"\r")
        self._return = text[len(whole) :]
        return _LINE_END.sub(b"\n", whole)

    def finish(self) -> bytes:
        """Return what is left at the end of the output."""
        left, self._return, self._sequence, self._end = self._return, b"", b"", None
        return b"\n" if left else b""

    def _tail(self, data: bytes) -> bytes:
        """Return the last byte if it may begin the terminator."""
        return b"\x1b" if self._end is _STRING_END and data.endswith(b"\x1b") else b""

    def _keep(self, match: re.Match[bytes]) -> bytes:
        if match["letters"]:
            return match[0]
        return match[0] if self._colours and _COLOUR.fullmatch(match[0]) else b""
