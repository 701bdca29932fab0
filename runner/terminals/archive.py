"""Packs the files of a transcript that are full, behind the back of whoever writes and reads it.

The last file is never packed, nor is one behind which nothing was written yet. Whatever is killed
when: a packed file takes its name when it is whole and flushed, and the one as it came goes behind
that; what is left half done is done again.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.drivers.packed import pack, unpacked
from runner.shim.segments import LOG, PACKED, PACKED_TIMES, TIMES, File, file_name, files, outputs
from runner.terminals.emulator import Emulator, Subject

_NEW = ".new"
_PACKED_AS = {LOG: PACKED, TIMES: PACKED_TIMES}


def waits(directory: Path) -> bool:
    """Whether something is to be packed; costs a look at the names."""
    return bool(_full(directory))


def archive(subject: Subject, *, checkpoint: bool = True) -> None:
    """Pack what is full, and make a checkpoint of the screen behind it.

    Raises:
        OSError: It cannot be read, or there is no room.
    """
    directory = subject.transcript_dir
    with _alone(directory) as alone:
        if not alone:
            return
        _clean(directory)
        full = _full(directory)
        if full and checkpoint:
            emulator = Emulator(subject)
            try:
                emulator.save(_behind(directory, full[-1]))
            finally:
                emulator.drop()
        for start in full:
            for suffix in (TIMES, LOG):
                _pack(directory, start, suffix)


def _full(directory: Path) -> list[int]:
    """Return the offsets of the files to be packed."""
    found = outputs(_names(directory))
    while found and not _length(directory, found[-1]):
        found.pop()
    return [file.start for file in found[:-1] if file.suffix == LOG]


def _behind(directory: Path, start: int) -> int:
    return min(file.start for file in outputs(_names(directory)) if file.start > start)


def _pack(directory: Path, start: int, suffix: str) -> None:
    source = directory / file_name(start, suffix)
    target = directory / file_name(start, _PACKED_AS[suffix])
    with contextlib.suppress(FileNotFoundError):  # dropped meanwhile, or never there
        if not target.exists():
            pack(source, target)
        elif unpacked(target) != source.read_bytes():
            target.unlink()
            pack(source, target)
        source.unlink()


def _clean(directory: Path) -> None:
    """Remove what a crash left half written."""
    for name in _names(directory):
        if name.endswith(_NEW) and files([name.removesuffix(_NEW)]):
            (directory / name).unlink(missing_ok=True)


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208  names are what is wanted
    except FileNotFoundError:
        return []


def _length(directory: Path, file: File) -> int:
    try:
        return (directory / file_name(*file)).stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def _alone(directory: Path) -> Iterator[bool]:
    """Keep others from archiving the same; say whether none does already."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(fd)
