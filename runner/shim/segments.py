"""How the files of a transcript are named, and how long one is that was packed.

All that belongs to the output from an offset on has that offset as its name: the bytes as they
came (``.log``) or packed (``.log.gz``), when they came (``.times``, ``.times.gz``), and what the
screen was before them (``.screen.gz``). Packed output is gzip: see ``runner.drivers.packed``.
"""

import os
import struct
from typing import NamedTuple

LOG = ".log"
PACKED = ".log.gz"
TIMES = ".times"
PACKED_TIMES = ".times.gz"
SCREEN = ".screen.gz"

_SUFFIXES = (LOG, PACKED, TIMES, PACKED_TIMES, SCREEN)
_DIGITS = 20

PACKED_HEAD = struct.Struct("<4sIBBH2sHQI")
"""Of gzip: magic, time, hints, system, length of what follows; of ours: name, length, then how
many bytes were packed, and how many of them each block has. Lengths of the blocks come next."""

GZIP_MAGIC = b"\x1f\x8b\x08\x04"
NAME = b"AM"


class File(NamedTuple):
    """One file of a transcript."""

    start: int
    """Offset of the first byte that it is about."""
    suffix: str


def file_name(start: int, suffix: str = LOG) -> str:
    """Return the name of the file about the output from that offset on."""
    return f"{start:0{_DIGITS}d}{suffix}"


def parsed_name(name: str) -> File | None:
    """Return what a file is by its name; None for one that is no part of a transcript."""
    digits, suffix = name[:_DIGITS], name[_DIGITS:]
    if len(digits) != _DIGITS or not digits.isdecimal() or suffix not in _SUFFIXES:
        return None
    return File(int(digits), suffix)


def files(names: list[str]) -> list[File]:
    """Return the files of a transcript, in order."""
    return sorted(file for name in names if (file := parsed_name(name)) is not None)


def outputs(names: list[str]) -> list[File]:
    """Return the files with output, in order; one that is there in both ways as it came."""
    found: dict[int, File] = {}
    for file in files(names):
        if file.suffix == LOG or (file.suffix == PACKED and file.start not in found):
            found[file.start] = file
    return list(found.values())


def length(directory: int, file: File) -> int:
    """Return how many bytes of output a file holds.

    Raises:
        OSError: It cannot be read, or is not what its name says.
    """
    name = file_name(*file)
    if file.suffix == LOG:
        return os.stat(name, dir_fd=directory).st_size
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return packed_length(os.pread(fd, PACKED_HEAD.size, 0))
    finally:
        os.close(fd)


def packed_length(head: bytes) -> int:
    """Return how many bytes were packed into a file that begins so.

    Raises:
        OSError: It was not packed by us.
    """
    if len(head) == PACKED_HEAD.size:
        magic, _, _, _, _, name, _, total, _ = PACKED_HEAD.unpack(head)
        if (magic, name) == (GZIP_MAGIC, NAME):
            return int(total)
    raise OSError("a packed file of the transcript is damaged")
