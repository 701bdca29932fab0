"""Tells whether a branch of a repository on this machine may have moved, without starting git."""

from pathlib import Path
from typing import Final

_FILES: Final = ("packed-refs", "reftable/tables.list", "HEAD")

Marks = tuple[tuple[int, int, int] | None, ...]


def marks(repository: Path, branch: str) -> Marks:
    """Return what is different once the branch has moved. Some system calls, no reading."""
    inner = repository / ".git"
    folder = inner if inner.is_dir() else repository
    return tuple(_mark(folder / name) for name in (f"refs/heads/{branch}", *_FILES))


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
