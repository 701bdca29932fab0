# ruff: noqa: PTH104, PTH108, PTH110, PTH116
# pathlib would cost every shim memory
"""The files of a run directory: lock, identity and exit; written by the shim, read by the daemon.

Identity and exit take their disk space at the start, so that a full disk cannot hide how a run
ended. Only what survives a killed process matters for the identity, so it is not synced; the
exit is.
"""

import contextlib
import errno
import fcntl
import json
import os
import time
from typing import Any

LOCK = "lock"
IDENTITY = "identity.json"
EXIT = "exit.json"
SOCKET = "shim.sock"
KEY = "shim.key"
TROUBLE = "shim.log"

_RESERVED = "exit.reserved"
_RECORD_BYTES = 1024
_KEY_BYTES = 32
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def now() -> float:
    """Return the wall clock in seconds since 1970: for people to read, never for durations."""
    return time.time()  # noqa: TID251  the one clock of the shim


def boot_id() -> str:
    """Return the identity of this boot of the machine."""
    with open(_BOOT_ID, "rb") as file:
        return file.read().decode("ascii").strip()


def start_time(pid: int) -> int | None:
    """Return when the process began, in ticks since boot; None when there is no such process.

    With the boot's identity it tells a process from a later one of the same number.
    """
    fields = stat(pid)
    return int(fields[19]) if fields else None


def stat(pid: int) -> list[str] | None:
    """Return the fields of ``/proc/PID/stat`` behind the name: state, parent, group, session…."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode("ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def take_lock(attempts: int = 200) -> int | None:
    """Lock the run in the working directory; return the descriptor to keep, None when held.

    Observers hold the lock for microseconds, hence the attempts.
    """
    fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(attempts):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.005)
        else:
            return fd
    os.close(fd)
    return None


def reserve() -> None:
    """Take the disk space for the records in the working directory."""
    for name in (IDENTITY, _RESERVED):
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(fd, b" " * _RECORD_BYTES)
        finally:
            os.close(fd)


def write_identity(identity: dict[str, Any]) -> None:
    """Write the identity in place, in one write: it fits the space that it has."""
    _overwrite(IDENTITY, identity, sync=False)


def make_key() -> bytes:
    """Return a new key, which is in the working directory for the account of the runner alone.

    The account is not enough: a pod without a user namespace has it, too, but it cannot read here.
    """
    key = os.urandom(_KEY_BYTES)
    fd = os.open(KEY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_all(fd, key)
    finally:
        os.close(fd)
    return key


def write_exit(record: dict[str, Any]) -> None:
    """Write how the run ended, durably, whole or not at all.

    Raises:
        OSError: It is not on disk; try again.
    """
    if not os.path.exists(_RESERVED):
        # the reserve was removed by somebody
        os.close(os.open(_RESERVED, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    _overwrite(_RESERVED, record, sync=True)
    os.rename(_RESERVED, EXIT)
    directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def wanted() -> bool:
    """Whether the working directory exists still; without it nobody will read a record."""
    try:
        return os.stat(".").st_nlink > 0
    except OSError:
        return False


def forget() -> None:
    """Remove the traces of a run that never began from the working directory."""
    for name in (IDENTITY, _RESERVED, SOCKET, KEY):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def load(path: str) -> dict[str, Any] | None:
    """Return a record; None when it is absent or not written yet."""
    try:
        with open(path, "rb") as file:
            content = file.read(2 * _RECORD_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _overwrite(name: str, record: dict[str, Any], *, sync: bool) -> None:
    data = json.dumps(record).encode("ascii")
    fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.pwrite(fd, data.ljust(_RECORD_BYTES), 0) < len(data):
            raise OSError(errno.ENOSPC, "short write")
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
