"""When output came, sizes changed and something was typed, on disk beside the output.

Records of eight bytes in a file of the same offset as the output's, so that both are dropped
together. Of what was typed only the amount is recorded, never the bytes: they may be secret. Output
is noted at most every ten milliseconds. As with output, a disk that cannot take it stops nobody:
output without a time counts as come with that before it.
"""

import contextlib
import os
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

from runner.shim import records, segments

EVERY_MS = 10
"""Output that follows so soon has the time of what came before; so with what is typed."""

_RECORD = struct.Struct(">II")  # kind and value; milliseconds since the record before
_MOST_MS = 2**32 - 1
_KIND_BIT = 30
_MOST_VALUE = 2**_KIND_BIT - 1
_BEGINS = 1 << 61
_SIDE_BITS = 15
_MOST_SIDE = 2**_SIDE_BITS - 1

CLOCK, OUTPUT, TYPED, SIZED = range(4)


class Moment(NamedTuple):
    """What happened when."""

    at_ms: int
    """Since 1970; never before the record in front of it."""
    kind: int
    value: int
    """OUTPUT: the offset of the first byte that came then. TYPED: how many bytes. CLOCK: 1 when a
    run begins. SIZED: nothing."""
    size: tuple[int, int] = (0, 0)
    """SIZED: columns and rows."""


def parsed(start: int, data: bytes, not_before_ms: int = 0) -> Iterator[Moment]:
    """Give the moments in the content of the file that begins at that offset of the output."""
    now = not_before_ms
    whole = len(data) - len(data) % _RECORD.size
    for head, low in _RECORD.iter_unpack(data[:whole]):
        kind, value = head >> _KIND_BIT, head & _MOST_VALUE
        if kind == CLOCK:
            clock = value << 32 | low
            now = max(now, clock & ~_BEGINS)
            yield Moment(now, CLOCK, int(bool(clock & _BEGINS)))
            continue
        now += low
        if kind == SIZED:
            size = value >> _SIDE_BITS, value & _MOST_SIDE
            yield Moment(now, SIZED, 0, size)
        else:
            yield Moment(now, kind, value + start if kind == OUTPUT else value)


class Times:
    """Appends to the times of a pod's terminal."""

    def __init__(self, directory: int, most_bytes: int) -> None:
        self._dir = directory
        self._most_bytes = most_bytes
        self._fd = -1
        self._start = 0
        self._last_ms = self._retry_ms = 0
        self._output_ms = self._typed_ms = -EVERY_MS
        self._typed_at = 0
        self._typed_bytes = 0
        self.size_bytes = 0
        """Length of the present file."""

    def output(self, start: int, head: int) -> None:
        """Note that output comes now, for the file that begins at *start*."""
        now = _now_ms()
        if now - self._output_ms < EVERY_MS and self._start == start and self._fd >= 0:
            return
        if self._add(start, OUTPUT, head - start, now):
            self._output_ms = now

    def typed(self, start: int, count: int) -> None:
        """Note that so many bytes were typed."""
        now = _now_ms()
        if now - self._typed_ms < EVERY_MS and self._start == start and self._fd >= 0:
            self._typed_bytes = min(_MOST_VALUE, self._typed_bytes + count)
            with contextlib.suppress(OSError):
                head = _RECORD.pack(TYPED << _KIND_BIT | self._typed_bytes, 0)[:4]
                os.pwrite(self._fd, head, self._typed_at)
            return
        if self._add(start, TYPED, min(_MOST_VALUE, count), now):
            self._typed_ms, self._typed_bytes = now, min(_MOST_VALUE, count)
            self._typed_at = self.size_bytes - _RECORD.size

    def sized(self, start: int, cols: int, rows: int, *, begins: bool) -> None:
        """Note a size, and whether a run begins."""
        now = _now_ms()
        if begins:
            self._clock(start, now, _BEGINS)
        side = min(cols, _MOST_SIDE) << _SIDE_BITS | min(rows, _MOST_SIDE)
        self._add(start, SIZED, side, now)
        self._output_ms = -EVERY_MS  # what comes behind it is to be told from what came before

    def close(self) -> None:
        """Close the file; the next thing to note opens another."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self.size_bytes = 0
        self._output_ms = self._typed_ms = -EVERY_MS

    def _add(self, start: int, kind: int, value: int, now: int) -> bool:
        """Append a record; return whether it was written."""
        if self._fd >= 0 and self._start == start and now - self._last_ms > _MOST_MS:
            self._clock(start, now)
        if not self._opened(start, now) or self.size_bytes >= self._most_bytes:
            return False
        if not 0 <= value <= _MOST_VALUE:
            return False
        return self._write(_RECORD.pack(kind << _KIND_BIT | value, now - self._last_ms), now)

    def _clock(self, start: int, now: int, flags: int = 0) -> None:
        if self._opened(start, now):
            told = round(records.now() * 1000) | flags
            self._write(_RECORD.pack(told >> 32, told & _MOST_MS), now)

    def _opened(self, start: int, now: int) -> bool:
        if self._fd >= 0 and self._start == start:
            return True
        self.close()
        if now < self._retry_ms:
            return False
        name = segments.file_name(start, segments.TIMES)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            self._fd = os.open(name, flags, 0o600, dir_fd=self._dir)
            have = os.fstat(self._fd).st_size
        except OSError:
            self._failed(now)
            return False
        self._start = start
        self.size_bytes = have - have % _RECORD.size
        told = round(records.now() * 1000)
        return self._write(_RECORD.pack(told >> 32, told & _MOST_MS), now)

    def _write(self, record: bytes, now: int) -> bool:
        try:
            if os.pwrite(self._fd, record, self.size_bytes) < len(record):
                raise OSError("only a part was written")  # which the next one overwrites
        except OSError:
            self._failed(now)
            return False
        self.size_bytes += len(record)
        self._last_ms = now
        return True

    def _failed(self, now: int) -> None:
        self.close()
        self._retry_ms = now + 1000


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
