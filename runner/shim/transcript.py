# ruff: noqa: PTH208
# pathlib would cost every shim memory
"""What the terminal said, on disk: files named by the absolute offset of their first byte.

An agent never waits for the disk: bytes that cannot be written are counted, noted and skipped, and
a new file begins at the right offset as soon as writing works again. Readers see the hole
between the end of one file and the beginning of the next. The runner packs files that are full.
"""

import contextlib
import os
import time

from runner.shim import segments
from runner.shim.gaps import Gaps
from runner.shim.sizes import Sizes
from runner.shim.times import Times

_RETRY_SECONDS = 0.25
_TIMES_PART = 4
_TIMES_LEAST = 4096
"""Times may take this part of what output takes, in one file: then the next files begin."""


class Transcript:
    """Appends to the transcript of a pod. ``head`` is the offset of the next byte."""

    def __init__(
        self, directory: str, *, floor: int, segment_bytes: int, transcript_bytes: int
    ) -> None:
        self._dir = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._segment_bytes = segment_bytes
        self._times_bytes = max(_TIMES_LEAST, segment_bytes // _TIMES_PART)
        self._max_bytes = transcript_bytes
        self._sizes = Sizes(self._dir)
        self._times = Times(self._dir, 2 * self._times_bytes)
        self._gaps = Gaps(self._dir)
        self._fd = -1
        self._start = 0
        self._retry_at = 0.0
        self.lost_bytes = 0
        self.head = max(floor, self._gaps.end, self._end())

    @property
    def unsaid(self) -> bool:
        """Whether output was lost and the disk does not say so yet: ``settle`` now and then."""
        return self._gaps.unsaid

    def settle(self) -> None:
        """Write down what was lost, if that goes by now."""
        self._gaps.settle()

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
        self._times.sized(self._present(), cols, rows, begins=begins)

    def typed(self, count: int) -> None:
        """Note that so many bytes were typed just now."""
        self._times.typed(self._present(), count)

    def close(self) -> None:
        """Close the files."""
        self._close_segment()
        self._times.close()
        self._gaps.settle()
        os.close(self._dir)

    def _end(self) -> int:
        """Return where the output in the files ends."""
        for file in reversed(segments.outputs(os.listdir(self._dir))):
            with contextlib.suppress(OSError):  # dropped meanwhile
                return file.start + segments.length(self._dir, file)
        return 0

    def _present(self) -> int:
        return self._start if self._fd >= 0 else self.head

    def _lose(self, end: int) -> None:
        self.lost_bytes += end - self.head
        self._gaps.lose(self.head, end)
        self.head = end

    def _write(self, pieces: list[bytes]) -> int:
        """Write what goes, in as many files as it takes; return the number of bytes."""
        if self._fd >= 0 and self._is_full():
            self._close_segment()
        if self._fd < 0 and not self._open_segment():
            return 0
        self._times.output(self._start, self.head)
        try:
            written = os.writev(self._fd, pieces)
        except OSError:
            return 0
        self.head += written
        return written

    def _is_full(self) -> bool:
        long = self.head - self._start >= self._segment_bytes
        return long or self._times.size_bytes >= self._times_bytes

    def _open_segment(self) -> bool:
        self._drop_oldest()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        name = segments.file_name(self.head)
        try:
            self._fd = os.open(name, flags, 0o600, dir_fd=self._dir)
        except OSError:
            return False
        self._start = self.head
        return True

    def _close_segment(self) -> None:
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if self.head == self._start:
            with contextlib.suppress(OSError):  # an empty file misleads nobody
                os.unlink(segments.file_name(self._start), dir_fd=self._dir)

    def _drop_oldest(self) -> None:
        """Remove the oldest files, so that the transcript fits with one more of full size."""
        try:
            found = segments.files(os.listdir(self._dir))
        except OSError:
            return
        total = sum(self._file_bytes(file) for file in found)
        room = self._segment_bytes + self._segment_bytes // _TIMES_PART
        while found and found[0].start < self.head and total + room > self._max_bytes:
            oldest = [file for file in found if file.start == found[0].start]
            del found[: len(oldest)]
            for file in oldest:
                total -= self._file_bytes(file)
                with contextlib.suppress(OSError):  # somebody removed it, or will with the pod
                    os.unlink(segments.file_name(*file), dir_fd=self._dir)

    def _file_bytes(self, file: segments.File) -> int:
        try:
            return os.stat(segments.file_name(*file), dir_fd=self._dir).st_size
        except OSError:
            return 0
