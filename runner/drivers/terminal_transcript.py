"""Reads transcripts of pods, at any offset, while a shim may be writing and files are packed."""

import os
from pathlib import Path
from typing import Final, Self

from runner.clock import wall_ms
from runner.drivers.packed import Packed
from runner.drivers.terminal_values import Chunk, Gap
from runner.shim import gaps
from runner.shim.segments import LOG, File, file_name, length, outputs

_TABLE_BYTES: Final = 1 << 16
_REMEMBERED: Final = 4096
_SETTLED_MS: Final = 2000
"""A change shortly after another may bear the same time."""

_lost_ends: dict[tuple[int, int, int], int] = {}
"""Where losses end, by the table's file and time of change: asked every second for every pod."""


def size(directory: Path) -> int:
    """Return the absolute offset behind the last byte there was; 0 without a transcript.

    What was lost at the end counts, once the disk says that it was lost.
    """
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        return max(_files_end(fd), _lost_end(fd))
    finally:
        os.close(fd)


def first(directory: Path) -> int | None:
    """Return the offset of the oldest byte that is kept; None when there is none."""
    found = _files(directory)
    return found[0].start if found else None


def lost(directory: Path) -> list[gaps.Lost]:
    """Return what could not be written, in order.

    Raises:
        OSError: That cannot be read.
    """
    try:
        return gaps.parsed((directory / gaps.NAME).read_bytes())
    except FileNotFoundError:
        return []


def _files_end(directory: int) -> int:
    while found := outputs(os.listdir(directory)):
        try:
            return found[-1].start + length(directory, found[-1])
        except FileNotFoundError:
            continue  # an empty file was taken back, or one was packed; look again
    return 0


def _lost_end(directory: int) -> int:
    """Return where the last known loss ends; a table that did not change is not read again."""
    try:
        stat = os.stat(gaps.NAME, dir_fd=directory)
    except FileNotFoundError:
        return 0
    stamp = stat.st_dev, stat.st_ino, stat.st_mtime_ns
    if stamp in _lost_ends:
        return _lost_ends[stamp]
    end = _read_lost_end(directory)
    if wall_ms() - stat.st_mtime_ns // 1_000_000 > _SETTLED_MS:
        if len(_lost_ends) >= _REMEMBERED:
            _lost_ends.clear()
        _lost_ends[stamp] = end
    return end


def _read_lost_end(directory: int) -> int:
    try:
        fd = os.open(gaps.NAME, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return 0
    try:
        return max((each.end for each in gaps.parsed(os.read(fd, _TABLE_BYTES))), default=0)
    finally:
        os.close(fd)


def _files(directory: Path) -> list[File]:
    try:
        return outputs(os.listdir(directory))  # noqa: PTH208  names are what is wanted
    except FileNotFoundError:
        return []


class Reader:
    """Reads one transcript, keeping the file it is in open. To be closed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._start = 0
        self._fd: int | None = None
        self._packed: Packed | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        if self._packed is not None:
            self._packed.close()
            self._packed = None

    def read(self, offset: int, limit: int, head: int | None = None) -> Chunk | Gap | None:
        """Return at most *limit* bytes from *offset* on.

        Bytes below *head* that are in no file are a gap, because a shim writes before it tells
        the head. Without it only holes between files, and what is known to be lost, are. None
        when there is nothing (yet).

        Raises:
            OSError: A file cannot be read, or is damaged.
        """
        if head is not None:
            limit = min(limit, head - offset)
        if limit <= 0:
            return None
        if data := self._here(offset, limit):
            return Chunk(offset, data)
        return self._read_elsewhere(offset, limit, head)

    def _here(self, offset: int, limit: int) -> bytes:
        """Return what the open file has."""
        if offset < self._start:
            return b""
        if self._fd is not None:
            return os.pread(self._fd, limit, offset - self._start)
        if self._packed is not None:
            return b"".join(self._packed.read(offset - self._start, limit))
        return b""

    def _read_elsewhere(self, offset: int, limit: int, head: int | None) -> Chunk | Gap | None:
        said = self._look(offset, limit, head)
        while not isinstance(said, Chunk):
            again = self._look(offset, limit, head)
            if again == said:  # and not a file that was packed while the names were read
                break
            said = again
        return said

    def _look(self, offset: int, limit: int, head: int | None) -> Chunk | Gap | None:
        """Say what the files have there, by their names as of now."""
        while True:
            found = _files(self._directory)
            before = [file for file in found if file.start <= offset]
            if not before:
                break
            if not self._open(before[-1]):
                continue  # packed or dropped meanwhile
            if data := self._here(offset, limit):
                return Chunk(offset, data)
            break
        ends = [file.start for file in found if file.start > offset][:1]
        if head is not None:
            ends.append(head)
        elif not ends:
            ends = [each.end for each in lost(self._directory) if each.start <= offset < each.end]
        return Gap(offset, min(ends)) if ends else None

    def _open(self, file: File) -> bool:
        self.close()
        path = self._directory / file_name(*file)
        try:
            if file.suffix == LOG:
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            else:
                self._packed = Packed(path)
        except FileNotFoundError:
            return False
        self._start = file.start
        return True
