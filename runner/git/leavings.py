"""What git leaves behind: a lock while it lives, halves of a fetch that was killed, many packs."""

import fcntl
import shutil
from pathlib import Path


def sweep(repository: Path) -> None:
    """Remove what a killed git left: locks, and halves of packs. Nobody else writes here."""
    for left in (
        *repository.glob("*.lock"),
        *repository.glob("refs/**/*.lock"),
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
