"""Reading protobuf's wire format. Source: protobuf.dev, "Encoding"."""

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class ProtobufError(ValueError):
    """The bytes are no protobuf message, or not one of the expected kind."""


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Yield number, wire type and value of each field, in their order.

    Raises:
        ProtobufError: The bytes are cut short, or a wire type is unknown.
    """
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        value: int | bytes
        if number == 0:
            raise ProtobufError("field number 0")
        if kind == VARINT:
            value, position = _varint(data, position)
        elif kind == BYTES:
            size, position = _varint(data, position)
            value, position = _take(data, position, size)
        elif kind in {FIXED64, FIXED32}:
            value, position = _take(data, position, 8 if kind == FIXED64 else 4)
        else:
            raise ProtobufError(f"wire type {kind}")
        yield number, kind, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ProtobufError("unexpected end")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
    raise ProtobufError("number too long")


def _take(data: bytes, position: int, size: int) -> tuple[bytes, int]:
    end = position + size
    if end > len(data):
        raise ProtobufError("unexpected end")
    return data[position:end], end


def signed(value: int) -> int:
    """Return a varint as an int64."""
    return value - (1 << 64) if value >= 1 << 63 else value
