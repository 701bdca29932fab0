"""What git leaves behind: a lock while it lives, halves of a fetch that was killed, many packs.

And itself, when the runner is killed: nobody ends it then but the next runner.
"""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PATIENCE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.01


def sweep(repository: Path) -> None:
    """Remove what a killed git left: locks, and halves of packs. Nobody else writes here."""
    for left in (
        *repository.glob("*.lock"),
        *repository.glob("refs/**/*.lock"),
        *repository.glob("fast_import_crash_*"),
        *repository.glob("objects/pack/tmp_*"),
        *repository.glob("objects/pack/.tmp-*"),
        *repository.glob("objects/pack/*.keep"),
        *repository.glob("objects/??/tmp_obj_*"),
    ):
        left.unlink(missing_ok=True)
    for folder in (
        *repository.glob("objects/tmp_objdir-*"),
        *repository.glob("objects/incoming-*"),
    ):
        shutil.rmtree(folder, ignore_errors=True)


def packs(repository: Path) -> int:
    """Return how many packs there are."""
    return sum(1 for _ in repository.glob("objects/pack/*.pack"))


def is_taken(lock: int) -> bool:
    """Take the lock; tell whether it was to be had."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def end_orphans(mark: str) -> int:
    """SIGKILL every process with *mark* in its environment; return how many there were. Blocking.

    For the start of a runner that has its data directory for itself: then whoever carries the
    directory's mark is the git of a runner that was killed, or was started by one.
    """
    wanted, ended = os.fsencode(mark), set[int]()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while left := {pid for pid in _others() if _carries(pid, wanted)}:
        ended |= left
        for pid in left:
            _kill(pid, wanted)
        if time.monotonic() > deadline:
            break
        time.sleep(_PAUSE_SECONDS)  # while they die
    return len(ended)


def _others() -> Iterator[int]:
    for entry in os.listdir("/proc"):  # noqa: PTH208  numbers are what is wanted
        if entry.isdecimal() and int(entry) != os.getpid():
            yield int(entry)


def _carries(pid: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False  # gone, or not ours to look into


def _kill(pid: int, mark: bytes) -> None:
    """Kill exactly that process: it is pinned before its mark is looked at again."""
    try:
        pin = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if _carries(pid, mark):
            signal.pidfd_send_signal(pin, signal.SIGKILL)
    except OSError:
        return
    finally:
        os.close(pin)
