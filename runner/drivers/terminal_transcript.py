"""Reads transcripts of pods, at any offset, while a shim may be writing."""

import os
from pathlib import Path
from typing import Self

from runner.drivers.terminal_values import Chunk, Gap
from runner.shim.transcript import segment_name, segment_starts


def size(directory: Path) -> int:
    """Return the absolute offset behind the last byte on disk; 0 without a transcript."""
    while starts := _starts(directory):
        try:
            return starts[-1] + (directory / segment_name(starts[-1])).stat().st_size
        except FileNotFoundError:
            continue  # an empty file was taken back; look again
    return 0


def _starts(directory: Path) -> list[int]:
    try:
        return segment_starts(os.listdir(directory))  # noqa: PTH208  names are what is wanted
    except FileNotFoundError:
        return []


class Reader:
    """Reads one transcript, keeping the file it is in open. To be closed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._start = 0
        self._fd: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def read(self, offset: int, limit: int, head: int | None = None) -> Chunk | Gap | None:
        """Return at most *limit* bytes from *offset* on.

        Bytes below *head* that are in no file are a gap, because a shim writes before it tells
        the head. Without it only holes between files are. None when there is nothing (yet).
        """
        if head is not None:
            limit = min(limit, head - offset)
        if limit <= 0:
            return None
        if self._fd is not None and self._start <= offset:
            data = os.pread(self._fd, limit, offset - self._start)
            if data:
                return Chunk(offset, data)
        return self._read_elsewhere(offset, limit, head)

    def _read_elsewhere(self, offset: int, limit: int, head: int | None) -> Chunk | Gap | None:
        starts = _starts(self._directory)
        before = [start for start in starts if start <= offset]
        if before and self._open(before[-1]) and self._fd is not None:
            data = os.pread(self._fd, limit, offset - self._start)
            if data:
                return Chunk(offset, data)
        behind = [start for start in starts if start > offset]
        ends = behind[:1] + ([] if head is None else [head])
        return Gap(offset, min(ends)) if ends else None

    def _open(self, start: int) -> bool:
        self.close()
        try:
            path = self._directory / segment_name(start)
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False  # dropped meanwhile
        self._start = start
        return True
