# ruff: noqa: PTH208
# pathlib would cost every shim memory
"""What the terminal said, on disk: files named by the absolute offset of their first byte.

An agent never waits for the disk: bytes that cannot be written are counted and skipped, and
a new file begins at the right offset as soon as writing works again. Readers see the hole
between the end of one file and the beginning of the next.
"""

import contextlib
import os
import time

from runner.shim.sizes import Sizes

_SUFFIX = ".log"
_DIGITS = 20
_RETRY_SECONDS = 0.25


def segment_name(start: int) -> str:
    """Return the name of the file that begins at that offset."""
    return f"{start:0{_DIGITS}d}{_SUFFIX}"


def segment_start(name: str) -> int | None:
    """Return the offset in a file's name; None for a file that is no part of a transcript."""
    digits = name.removesuffix(_SUFFIX)
    if len(digits) != _DIGITS or len(name) == _DIGITS or not digits.isdecimal():
        return None
    return int(digits)


def segment_starts(names: list[str]) -> list[int]:
    """Return where the files begin, in order."""
    return sorted(start for name in names if (start := segment_start(name)) is not None)


class Transcript:
    """Appends to the transcript of a pod. ``head`` is the offset of the next byte."""

    def __init__(
        self, directory: str, *, floor: int, segment_bytes: int, transcript_bytes: int
    ) -> None:
        self._dir = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._sizes = Sizes(self._dir)
        self._segment_bytes = segment_bytes
        self._max_bytes = transcript_bytes
        starts = segment_starts(os.listdir(self._dir))
        sizes = [os.stat(segment_name(start), dir_fd=self._dir).st_size for start in starts]
        found = list(zip(starts, sizes, strict=True))
        self._kept = [(start, size) for start, size in found if size]
        self._fd = -1
        self._start = 0
        self._retry_at = 0.0
        self.lost_bytes = 0
        self.head = max(floor, sum(found[-1]) if found else 0)

    def append(self, pieces: list[bytes]) -> None:
        """Append in order; never raises for a disk that cannot take it."""
        total = sum(map(len, pieces))
        end = self.head + total
        if self._fd < 0 and time.monotonic() < self._retry_at:
            self._lose(end)
            return
        written = self._write(pieces)
        if written < total:
            rest = b"".join(pieces)[written:]
            self._close_segment()
            # A second file may do where the first cannot grow (file size limit); the disk will not.
            if self._write([rest]) < len(rest):
                self._close_segment()
                self._retry_at = time.monotonic() + _RETRY_SECONDS
                self._lose(end)

    def sized(self, cols: int, rows: int, *, begins: bool = False) -> None:
        """Note the size that what is appended from now on is drawn for."""
        self._sizes.note(self.head, cols, rows, begins=begins)

    def close(self) -> None:
        """Close the files."""
        self._close_segment()
        os.close(self._dir)

    def _lose(self, end: int) -> None:
        self.lost_bytes += end - self.head
        self.head = end

    def _write(self, pieces: list[bytes]) -> int:
        """Write what goes, in as many files as it takes; return the number of bytes."""
        if self._fd >= 0 and self.head - self._start >= self._segment_bytes:
            self._close_segment()
        if self._fd < 0 and not self._open_segment():
            return 0
        try:
            written = os.writev(self._fd, pieces)
        except OSError:
            return 0
        self.head += written
        return written

    def _open_segment(self) -> bool:
        self._drop_oldest()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        try:
            self._fd = os.open(segment_name(self.head), flags, 0o600, dir_fd=self._dir)
        except OSError:
            return False
        self._start = self.head
        return True

    def _close_segment(self) -> None:
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        size = self.head - self._start
        if size:
            self._kept.append((self._start, size))
            return
        with contextlib.suppress(OSError):  # an empty file misleads nobody
            os.unlink(segment_name(self._start), dir_fd=self._dir)

    def _drop_oldest(self) -> None:
        """Remove the oldest files, so that the transcript fits with one more full file."""
        total = sum(size for _, size in self._kept)
        while self._kept and total + self._segment_bytes > self._max_bytes:
            start, size = self._kept.pop(0)
            total -= size
            with contextlib.suppress(OSError):  # somebody removed it, or will with the pod
                os.unlink(segment_name(start), dir_fd=self._dir)
