"""Passes terminal output from one stream to another without taking it apart.

``TerminalUp.output`` and ``AttachOut.output`` are the same message under two numbers. So the bytes
of an incoming output are kept as they came, and sent behind another tag: one copy, no parsing. Any
other message takes the ordinary road; an output encoded in an unusual way is encoded anew.
"""

from dataclasses import dataclass
from typing import Final

from meshwire.v1 import link_pb2

_VIEW: Final = 0x08  # TerminalUp.view, field 1, varint
_OUTPUT_UP: Final = 0x1A  # TerminalUp.output, field 3, length-delimited
_OUTPUT_OUT: Final = b"\x12"  # AttachOut.output, field 2, length-delimited
_OFFSET: Final = 0x08  # Output.offset, field 1, varint
_DATA: Final = 0x12  # Output.data, field 2, length-delimited


@dataclass(frozen=True, slots=True)
class RawOutput:
    """An output as it came over the wire."""

    view: int
    offset: int
    """Of its first byte in the transcript."""
    length: int
    """Of its data."""
    wire: bytes
    start: int
    """Where in *wire* the length of the Output message begins; all behind it belongs to it."""

    def attach_out(self) -> bytes:
        """Return the serialized AttachOut that carries the output."""
        return b"".join((_OUTPUT_OUT, memoryview(self.wire)[self.start :]))


def read_up(wire: bytes) -> link_pb2.TerminalUp | RawOutput:
    """Deserialize a TerminalUp; an output stays as it is."""
    raw = _raw_output(wire)
    if raw is not None:
        return raw
    up = link_pb2.TerminalUp.FromString(wire)
    if up.WhichOneof("msg") != "output":
        return up
    plain = link_pb2.TerminalUp(view=up.view, output=up.output).SerializeToString()
    return _raw_output(plain) or up  # an output without data stays a message, and is dropped


def write_out(message: link_pb2.AttachOut | bytes) -> bytes:
    """Serialize an AttachOut, unless that was done already."""
    return message if isinstance(message, bytes) else message.SerializeToString()


def _raw_output(wire: bytes) -> RawOutput | None:
    """Return the output if it is written as every protobuf library writes it, else None."""
    try:
        at, view, offset = 0, 0, 0
        if wire[at] == _VIEW:
            view, at = _varint(wire, at + 1)
        if wire[at] != _OUTPUT_UP:
            return None
        start = at + 1
        length, at = _varint(wire, start)
        if at + length != len(wire):
            return None
        if wire[at] == _OFFSET:
            offset, at = _varint(wire, at + 1)
        if wire[at] != _DATA:
            return None
        length, at = _varint(wire, at + 1)
    except IndexError:
        return None
    return RawOutput(view, offset, length, wire, start) if at + length == len(wire) else None


def _varint(wire: bytes, at: int) -> tuple[int, int]:
    """Return the number at the place, and the place behind it. Raises IndexError at the end."""
    value = shift = 0
    while True:
        byte = wire[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 1 << 64:
                raise IndexError
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError
