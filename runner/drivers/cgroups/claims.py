"""Who has a runner's own group: a lock on its directory, held as long as the runner lives.

A runner that is killed, and whose data directory is deleted then, leaves its group behind, and
nothing that would name it. Whoever starts next removes it: nobody holds it, and the kernel removes
no group that has a process or another group in it.
"""

import contextlib
import fcntl
import os
import re
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"agentsmesh-[0-9a-f]{12}")
_ATTEMPTS: Final = 20


def name_of(digest: str) -> str:
    """Return the name of the group of that runner, as it is recognised later."""
    return f"agentsmesh-{digest}"


def claim(root: Path) -> int:
    """Make the group, if it is not there; return a descriptor that holds it until it is closed.

    Raises:
        OSError: It cannot be made, or others remove it again and again.
    """
    for _ in range(_ATTEMPTS):
        root.mkdir(mode=0o755, exist_ok=True)
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            if _is_at(fd, root):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    raise FileExistsError(17, "others remove it again and again")


def sweep(parent: Path) -> int:
    """Remove the empty groups of runners that live no more; return how many."""
    return sum(_swept(path) for path in parent.glob("agentsmesh-*") if _NAME.fullmatch(path.name))


def _swept(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False  # another's, or gone
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.rmdir()
    except OSError:
        return False  # its runner lives, or something is in it
    finally:
        os.close(fd)
    return True


def _is_at(fd: int, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), path.stat())
    return False
