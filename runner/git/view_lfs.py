"""Tells which files are what Git LFS would have, though git sees contents in place of pointers.

No filter runs: a file is compared with its pointer by size and SHA-256. One that agrees is marked
in the view's own index as unchanged, until its stat changes.
"""

import asyncio
import hashlib
import json
import os
import stat
from collections.abc import Awaitable, Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

from runner.git.lfs import POINTER_BYTES, Pointer, pointer

_MARKS: Final = "lfs-marks.json"
_MOST_BYTES: Final = 4 * 1024**3
"""A larger file is taken for changed: reading it would take too long."""
_MOST_FILES: Final = 10_000
_CHUNK: Final = 1024 * 1024
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Mark = tuple[int, int, int, int]
"""Size, times of change, and number of a file."""


class Run(Protocol):
    """Runs git in a view."""

    def __call__(
        self,
        args: tuple[str, ...],
        work_tree: Path | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> Awaitable[bytes]:
        """Return what git printed."""
        ...


class LfsMarks:
    """The files of one view that are as their pointers say."""

    def __init__(self, view: Path, run: Run) -> None:
        self._file = view / _MARKS
        self._run = run

    def clear(self) -> None:
        """Forget all: the view's index is made anew."""
        self._file.unlink(missing_ok=True)

    async def unmark(self, work_tree: Path) -> None:
        """Let git look again at every file that was touched since it was marked."""
        marks = self._read()
        touched = await asyncio.to_thread(_touched, work_tree, marks)
        if not touched:
            return
        staged = await self._staged()
        await self._set(work_tree, "--no-assume-unchanged", touched, staged)
        self._write({name: mark for name, mark in marks.items() if name not in touched})

    async def mark(self, work_tree: Path, status: bytes) -> bool:
        """Mark what *status* says is changed and is not; tell whether anything else is left.

        *status* is what ``git status --porcelain=v1 -z --no-renames`` printed.
        """
        entries = [entry for entry in status.split(b"\0") if entry]
        changed = [entry[3:] for entry in entries if entry.startswith(b" M ")][:_MOST_FILES]
        if not changed:
            return bool(entries)
        staged = await self._staged()
        pointers = await self._pointers(changed, staged)
        found = await asyncio.to_thread(_agreeing, work_tree, pointers)
        await self._set(work_tree, "--assume-unchanged", found, staged)
        self._write({**self._read(), **found})
        return len(found) < len(entries)

    async def _staged(self) -> dict[bytes, bytes]:
        """Return path and blob of each file of the index."""
        listed = await self._run(("ls-files", "--stage", "-z"))
        parts = (entry.partition(b"\t") for entry in listed.split(b"\0") if entry)
        return {name: about.split(b" ")[1] for about, _, name in parts}

    async def _pointers(
        self, names: Iterable[bytes], staged: Mapping[bytes, bytes]
    ) -> dict[bytes, Pointer]:
        blobs = {name: staged[name] for name in names if name in staged}
        wanted = tuple(dict.fromkeys(blobs.values()))
        if not wanted:
            return {}
        lines = b"".join(blob + b"\n" for blob in wanted)
        sizes = (await self._run(("cat-file", "--batch-check=%(objectsize)"), stdin=lines)).split()
        small = [
            blob
            for blob, size in zip(wanted, sizes, strict=False)
            if size.isdigit() and int(size) <= POINTER_BYTES
        ]
        lines = b"".join(blob + b"\n" for blob in small)
        answer = await self._run(("cat-file", "--batch"), stdin=lines) if small else b""
        known: dict[bytes, Pointer] = {}
        for blob in small:
            head, _, answer = answer.partition(b"\n")
            size = int(head.rsplit(b" ", 1)[1])
            if (said := pointer(answer[:size])) is not None:
                known[blob] = said
            answer = answer[size + 1 :]
        return {name: known[blob] for name, blob in blobs.items() if blob in known}

    async def _set(
        self, work_tree: Path, option: str, names: Iterable[str], staged: Mapping[bytes, bytes]
    ) -> None:
        encoded = (os.fsencode(name) for name in names)
        lines = b"".join(name + b"\0" for name in encoded if name in staged)
        if lines:
            await self._run(("update-index", option, "-z", "--stdin"), work_tree, stdin=lines)

    def _read(self) -> dict[str, Mark]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8", errors="surrogateescape"))
        except (OSError, ValueError):
            return {}
        return {name: (mark[0], mark[1], mark[2], mark[3]) for name, mark in found.items()}

    def _write(self, marks: Mapping[str, Mark]) -> None:
        self._file.write_text(json.dumps(marks), encoding="utf-8")


def _touched(work_tree: Path, marks: Mapping[str, Mark]) -> set[str]:
    found = set()
    for name, mark in marks.items():
        try:
            about = (work_tree / name).lstat()
        except OSError:
            found.add(name)
            continue
        if _mark(about) != mark:
            found.add(name)
    return found


def _agreeing(work_tree: Path, pointers: Mapping[bytes, Pointer]) -> dict[str, Mark]:
    found = {}
    for name, wanted in pointers.items():
        if wanted.size <= _MOST_BYTES and (mark := _compared(work_tree, name, wanted)):
            found[os.fsdecode(name)] = mark
    return found


def _compared(work_tree: Path, name: bytes, wanted: Pointer) -> Mark | None:
    """Return the mark of a file that is what the pointer says; nothing on the way is followed."""
    *folders, file = name.split(b"/")
    try:
        at = os.open(work_tree, _FOLDER)
    except OSError:
        return None
    try:
        for folder in folders:
            inner = os.open(folder, _FOLDER, dir_fd=at)
            os.close(at)
            at = inner
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        number = os.open(file, flags, dir_fd=at)
    except OSError:
        return None
    finally:
        os.close(at)
    with os.fdopen(number, "rb") as opened:
        about = os.fstat(number)
        if not stat.S_ISREG(about.st_mode) or about.st_size != wanted.size:
            return None
        digest = hashlib.sha256()
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
        same = _mark(os.fstat(number)) == _mark(about)
    return _mark(about) if same and digest.hexdigest() == wanted.oid else None


def _mark(about: os.stat_result) -> Mark:
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino
