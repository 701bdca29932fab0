"""Packed files of a transcript: gzip in blocks, so that any offset is read without the rest.

Each block is a member of its own, and the first one's header has the lengths of all: `zcat` shows
the whole, we read only what is wanted. A packed file comes into being whole (written beside,
flushed, renamed); the file that it replaces is removed behind that. So both may be there, never
neither, and readers take the one that came first.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from runner.shim.segments import GZIP_MAGIC, NAME, PACKED_HEAD, packed_length

BLOCK_BYTES: Final = 256 * 1024
_MOST_BLOCKS: Final = 16_000  # of those whose lengths fit into a header
_LEVEL: Final = 6
_UNIX: Final = 3
_PLAIN_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
_TRAILER: Final = struct.Struct("<II")
_OF_NAME: Final = 4
"""Bytes of gzip's extra field that name its content and tell the length."""


class DamagedError(OSError):
    """A packed file is not what was packed."""


def pack(source: Path, target: Path) -> None:
    """Pack a file that does not change any more; *target* is there whole or not at all.

    Raises:
        OSError: It cannot be read, or the target cannot be written.
    """
    beside = target.with_name(f"{target.name}.new")
    with source.open("rb") as read, open(beside, "wb", opener=_private) as written:  # noqa: PTH123
        total = os.fstat(read.fileno()).st_size
        block_bytes = max(BLOCK_BYTES, -(-total // _MOST_BLOCKS))
        count = -(-total // block_bytes)
        written.write(bytes(PACKED_HEAD.size + 4 * count))
        lengths: list[int] = []
        for block in _blocks(read.fileno(), total, block_bytes):
            header = _PLAIN_HEADER if lengths else b""
            member = header + _deflated(block)
            written.write(member)
            lengths.append(len(member) + (0 if lengths else PACKED_HEAD.size + 4 * count))
        if not lengths:
            written.write(_deflated(b""))
        written.seek(0)
        written.write(_head(total, block_bytes, lengths))
        written.flush()
        os.fsync(written.fileno())
    beside.rename(target)
    _flush_directory(target.parent)


def unpacked(path: Path) -> bytes:
    """Return all that was packed.

    Raises:
        OSError: It cannot be read, or is damaged.
    """
    with Packed(path) as packed:
        return b"".join(packed.read(0, packed.total_bytes))


class Packed:
    """Reads a packed file. To be closed."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            head = os.pread(self._fd, PACKED_HEAD.size, 0)
            self.total_bytes = packed_length(head)
            self._block_bytes = PACKED_HEAD.unpack(head)[-1]
            count = -(-self.total_bytes // self._block_bytes) if self._block_bytes else 0
            told = os.pread(self._fd, 4 * count, PACKED_HEAD.size)
            if not self._block_bytes or len(told) < 4 * count:
                raise DamagedError(f"{path.name} is damaged")
        except BaseException:
            os.close(self._fd)
            raise
        self._ends = [0]
        for length in struct.unpack(f"<{count}I", told):
            self._ends.append(self._ends[-1] + length)
        self._header_bytes = PACKED_HEAD.size + 4 * count
        self._cached = -1, b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def read(self, offset: int, limit: int) -> list[bytes]:
        """Return what was packed from an offset on, in pieces; at most *limit* bytes.

        Raises:
            OSError: It cannot be read, or is damaged.
        """
        pieces: list[bytes] = []
        end = min(self.total_bytes, offset + limit)
        while offset < end:
            number, inside = divmod(offset, self._block_bytes)
            piece = self._block(number)[inside : inside + end - offset]
            pieces.append(piece)
            offset += len(piece)
        return pieces

    def _block(self, number: int) -> bytes:
        if self._cached[0] == number:
            return self._cached[1]
        begin, end = self._ends[number : number + 2]
        member = os.pread(self._fd, end - begin, begin)
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        expected = min(self._block_bytes, self.total_bytes - number * self._block_bytes)
        body = memoryview(member)[len(_PLAIN_HEADER) if number else self._header_bytes :]
        try:
            block = inflate.decompress(body, expected + 1)
        except zlib.error as exc:
            raise DamagedError(f"block {number} of a packed file is damaged") from exc
        trailer = inflate.unused_data
        if len(block) != expected or trailer != _TRAILER.pack(zlib.crc32(block), len(block)):
            raise DamagedError(f"block {number} of a packed file is damaged")
        self._cached = number, block
        return block


def _blocks(fd: int, total: int, block_bytes: int) -> Iterator[bytes]:
    for start in range(0, total, block_bytes):
        block = os.pread(fd, min(block_bytes, total - start), start)
        if len(block) < min(block_bytes, total - start):
            raise DamagedError("a file became shorter while it was packed")
        yield block


def _deflated(block: bytes) -> bytes:
    """Return the body and trailer of a gzip member."""
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(block) + deflate.flush()
    return body + _TRAILER.pack(zlib.crc32(block), len(block))


def _head(total: int, block_bytes: int, lengths: list[int]) -> bytes:
    ours = 12 + 4 * len(lengths)
    head = PACKED_HEAD.pack(
        GZIP_MAGIC, 0, 0, _UNIX, ours + _OF_NAME, NAME, ours, total, block_bytes
    )
    return head + struct.pack(f"<{len(lengths)}I", *lengths)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _flush_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
