"""Writes terminal output as protobuf would, with one copy where it would make three."""

from typing import Final

_VIEW: Final = b"\x08"  # TerminalUp.view, field 1, varint
_OUTPUT: Final = b"\x1a"  # TerminalUp.output, field 3, length-delimited
_OFFSET: Final = b"\x08"  # Output.offset, field 1, varint
_DATA: Final = b"\x12"  # Output.data, field 2, length-delimited


def encoded(view: int, offset: int, data: memoryview) -> bytes:
    """Return the serialized ``TerminalUp`` that carries *data*, which is not empty."""
    inner = _OFFSET + _varint(offset) if offset else b""
    inner += _DATA + _varint(len(data))
    outer = _VIEW + _varint(view) if view else b""
    return b"".join((outer, _OUTPUT, _varint(len(inner) + len(data)), inner, data))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
