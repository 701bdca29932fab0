"""The log files of supervised processes: kept small, and asked for their last word."""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 16 << 20
_TAIL_BYTES: Final = 8192
_MAX_SENTENCE: Final = 300
_FULL_BYTES: Final = 1 << 20
"""With less than this left no process gets far."""


def open_log(path: Path) -> int:
    """Return a descriptor that appends to *path*, readable by its owner alone."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def rotate(path: Path, max_bytes: int = MAX_BYTES) -> bool:
    """Move a log that has grown too large aside, keeping one old one; return whether it was done.

    It is copied and emptied, not renamed: the process goes on appending to the same file.
    """
    with contextlib.suppress(OSError):
        if path.stat().st_size > max_bytes:
            old = path.with_name(f"{path.name}.1")
            shutil.copyfile(path, old)
            old.chmod(0o600)
            os.truncate(path, 0)
            return True
    return False


def last_line(path: Path) -> str:
    """Return the last line of *path* that says something; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return said[-1][:_MAX_SENTENCE] if said else ""


def last_word(path: Path) -> str:
    """Return what is known of the end of a process that logged to *path*, never nothing."""
    if said := last_line(path):
        return said
    with contextlib.suppress(OSError):
        if shutil.disk_usage(path.parent).free < _FULL_BYTES:
            return f"it said nothing, the disk of {path.parent} is full"
    return "it said nothing"
