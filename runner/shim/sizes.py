# ruff: noqa: PTH105
# pathlib would cost every shim memory
"""Which size the terminal had at which offset of the transcript, and where runs begin, on disk.

One record each, in order, in a file beside the transcript's: without it, nobody could tell what
the output looked like. A record is written before the size is set, so that output drawn for a
size never precedes it. As with output, a disk that cannot take it stops nobody.
"""

import contextlib
import os
import struct
from typing import NamedTuple

NAME = "sizes"
_NEW = "sizes.new"

_RECORD = struct.Struct(">QHHI")  # offset, columns, rows; number and, as lowest bit, begins
_NUMBERS = 2**31
_MOST_RECORDS = 4096
"""The older half is dropped beyond this many; a reader then knows no earlier sizes."""


class Size(NamedTuple):
    """The size from an offset on."""

    number: int
    """Grows with every record, also over runs."""
    offset: int
    cols: int
    rows: int
    begins: bool
    """Whether a run begins here, on a terminal that was not written to."""


def parsed(data: bytes) -> list[Size]:
    """Return the records in the file's content; a half-written last one is none."""
    whole = len(data) - len(data) % _RECORD.size
    return [
        Size(number >> 1, offset, cols, rows, bool(number & 1))
        for offset, cols, rows, number in _RECORD.iter_unpack(data[:whole])
    ]


class Sizes:
    """Appends to the sizes of a pod's terminal."""

    def __init__(self, directory: int) -> None:
        self._dir = directory
        self._sizes: list[Size] = []
        with contextlib.suppress(OSError):
            self._sizes = parsed(self._read())

    def note(self, offset: int, cols: int, rows: int, *, begins: bool = False) -> None:
        """Write that the terminal has this size from *offset* on; never raises for the disk."""
        last = self._sizes[-1] if self._sizes else None
        if last and not begins and (last.cols, last.rows) == (cols, rows):
            return
        number = (last.number + 1) % _NUMBERS if last else 1
        size = Size(number, offset, cols, rows, begins)
        self._sizes.append(size)
        with contextlib.suppress(OSError):
            if len(self._sizes) > _MOST_RECORDS:
                self._shorten()
            else:
                self._write(len(self._sizes) - 1)

    def _read(self) -> bytes:
        fd = os.open(NAME, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._dir)
        try:
            return os.read(fd, _RECORD.size * (_MOST_RECORDS + 1))
        finally:
            os.close(fd)

    def _write(self, index: int) -> None:
        """Write the record at its place; should earlier ones be missing, with all of them."""
        fd = os.open(NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self._dir)
        try:
            have = os.fstat(fd).st_size // _RECORD.size
            first = min(index, have)
            os.pwrite(fd, b"".join(map(_packed, self._sizes[first:])), first * _RECORD.size)
        finally:
            os.close(fd)

    def _shorten(self) -> None:
        del self._sizes[: len(self._sizes) // 2]
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        fd = os.open(_NEW, flags, 0o600, dir_fd=self._dir)
        try:
            os.write(fd, b"".join(map(_packed, self._sizes)))
        finally:
            os.close(fd)
        os.rename(_NEW, NAME, src_dir_fd=self._dir, dst_dir_fd=self._dir)


def _packed(size: Size) -> bytes:
    number = size.number << 1 | size.begins
    return _RECORD.pack(size.offset, size.cols, size.rows, number)
