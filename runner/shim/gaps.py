"""Which output was lost because it could not be written, on disk beside the transcript.

A table of fixed size is made when a run begins: its blocks are there already when the disk is full,
so that on most file systems a loss is recorded at once, and on all as soon as there is room. The
runner sees from the table's time of change that something was lost.
"""

import contextlib
import os
import struct
from typing import NamedTuple

NAME = "gaps"

_RECORD = struct.Struct(">QQ")
_RECORDS = 256
"""Beyond so many the oldest is forgotten: that output is missing is seen from the files anyway."""


class Lost(NamedTuple):
    """Output that was lost: ``[start, end)``."""

    start: int
    end: int


def parsed(data: bytes) -> list[Lost]:
    """Return what the table tells, in order."""
    whole = len(data) - len(data) % _RECORD.size
    found = (Lost(*record) for record in _RECORD.iter_unpack(data[:whole]))
    return sorted(each for each in found if each.end > each.start)


class Gaps:
    """Keeps the table of a pod's terminal."""

    def __init__(self, directory: int) -> None:
        self._dir = directory
        self._slots = [Lost(0, 0)] * _RECORDS
        self._unsaid: set[int] = set()
        with contextlib.suppress(OSError):
            self._load()
        known = [index for index, lost in enumerate(self._slots) if lost.end]
        self._last = max(known, key=lambda index: self._slots[index].end, default=-1)
        self.end = self._slots[self._last].end if known else 0
        """Where the last loss ends."""

    @property
    def unsaid(self) -> bool:
        """Whether a loss is not on disk yet."""
        return bool(self._unsaid)

    def lose(self, start: int, end: int) -> None:
        """Note that the output between two offsets is lost; never raises for the disk."""
        if self._last < 0 or self._slots[self._last].end != start:
            self._last = (self._last + 1) % _RECORDS
            self._slots[self._last] = Lost(start, end)
        else:
            self._slots[self._last] = Lost(self._slots[self._last].start, end)
        self.end = end
        self._unsaid.add(self._last)
        self.settle()

    def settle(self) -> None:
        """Write what is not on disk yet, if that goes."""
        with contextlib.suppress(OSError):
            while self._unsaid:
                index = next(iter(self._unsaid))
                self._write(index)
                self._unsaid.discard(index)

    def _load(self) -> None:
        fd = os.open(NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self._dir)
        try:
            data = os.pread(fd, _RECORD.size * _RECORDS, 0)
            if len(data) < _RECORD.size * _RECORDS:  # new; or there was no room for it
                os.pwrite(fd, bytes(_RECORD.size * _RECORDS - len(data)), len(data))
        finally:
            os.close(fd)
        whole = len(data) - len(data) % _RECORD.size
        for index, record in enumerate(_RECORD.iter_unpack(data[:whole])):
            self._slots[index] = Lost(*record)

    def _write(self, index: int) -> None:
        fd = os.open(NAME, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self._dir)
        try:
            record = _RECORD.pack(*self._slots[index])
            if os.pwrite(fd, record, index * _RECORD.size) < len(record):
                raise OSError("only a part was written")
        finally:
            os.close(fd)
