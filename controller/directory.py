"""The controller's data directory: one process at a time, with one identity for all of them.

Because the lock proves that our predecessor in the directory is dead, its Lease can be taken over
at once: a crash costs no waiting.
"""

import fcntl
import os
import socket
import uuid
from pathlib import Path
from typing import Final

_LOCK: Final = "lock"
_IDENTITY: Final = "identity"


class DirectoryTaken(Exception):  # noqa: N818 - what happened
    """Another controller works in the directory."""


def lock(folder: Path) -> int:
    """Make the directory (0700) ours until the process ends; return the lock's descriptor.

    Raises:
        DirectoryTaken: Another process has it.
        OSError: It cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(descriptor)
        message = f"another controller works in {folder}: stop it, or give another --data-dir"
        raise DirectoryTaken(message) from exc
    return descriptor


def identity(folder: Path) -> str:
    """Return what the controllers of this directory call themselves. The lock must be held."""
    path = folder / _IDENTITY
    if path.exists() and (known := path.read_text(encoding="utf-8").strip()):
        return known
    made = f"{socket.gethostname()}_{uuid.uuid4()}"
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(made + "\n", encoding="utf-8")
    draft.replace(path)
    return made
