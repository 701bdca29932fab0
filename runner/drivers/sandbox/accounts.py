"""An unprivileged account of its own for each pod, where the runner is root.

The account is a number that nobody has a name for. What a pod may write belongs to it, and who
owns the pod's home says which it is: there is no other record, so none can be wrong. It is free
again when the home is gone. Blocking; safe to call from several threads.
"""

import errno
import os
import stat
import threading
from pathlib import Path
from typing import Final, NamedTuple

from runner.drivers.errors import DriverError

_OTHERS_READ: Final = stat.S_IROTH
_OTHERS_ENTER: Final = stat.S_IROTH | stat.S_IXOTH


class Range(NamedTuple):
    """Numbers of accounts, both ends included, that are no one else's on the machine."""

    first: int
    last: int

    def has(self, number: int) -> bool:
        """Whether the number is within."""
        return self.first <= number <= self.last


DEFAULT: Final = Range(2_000_000_000, 2_000_065_535)
"""Above what systems give to people, containers and network accounts."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST: Final = 400

_LARGEST: Final = 2**31 - 2
"""Some programs take larger numbers for negative ones."""


class NoAccountError(DriverError):
    """All accounts are taken."""

    reason = "StartFailed"


def parse(text: str) -> Range:
    """Return the range in ``FIRST-LAST``.

    Raises:
        ValueError: It is none, or holds accounts of the system.
    """
    first, dash, last = text.partition("-")
    if not (dash and first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
        raise ValueError(f"{text!r} is not FIRST-LAST, such as {DEFAULT.first}-{DEFAULT.last}")
    found = Range(int(first), int(last))
    if not 1000 < found.first <= found.last <= _LARGEST:
        raise ValueError(f"{text!r} must lie between 1001 and {_LARGEST}, the smaller one first")
    return found


class Accounts:
    """The accounts of the pods of one runner."""

    def __init__(self, pods: Path, numbers: Range = DEFAULT) -> None:
        """*pods* has a directory for each pod, with its ``home`` in it."""
        self._pods = pods
        self._numbers = numbers
        self._lock = threading.Lock()
        self._last = numbers.last

    def of(self, home: Path) -> int:
        """Return the account of the pod with that home; a new one is its from now on.

        Raises:
            NoAccountError: There is none left.
        """
        with self._lock:
            owner = home.stat().st_uid
            if self._numbers.has(owner):
                return owner
            number = self._free()
            hand_over(home, number)
            return number

    def _free(self) -> int:
        """Return the next one that no pod has; a freed one comes last."""
        taken = set()
        for pod in self._pods.iterdir():
            try:
                taken.add((pod / "home").lstat().st_uid)
            except OSError:
                continue  # it is being made, or goes
        size = self._numbers.last - self._numbers.first + 1
        for step in range(1, size + 1):
            number = self._numbers.first + (self._last - self._numbers.first + step) % size
            if number not in taken:
                self._last = number
                return number
        raise NoAccountError(
            f"All {size} accounts for pods are taken: remove pods, or give the runner a larger "
            "--pod-uid-range.",
            retryable=True,
        )


def hand_over(path: Path, account: int, *, whole: bool = False) -> None:
    """Make the folder *path* and all in it the account's. Links are not followed.

    What is within comes first: if the folder itself is the account's already, all of it is, and
    nothing is looked at. With *whole* it is looked at nevertheless: something may have been added
    since, as the runner.

    Raises:
        OSError: It cannot be done, or the folders are nested too deeply.
    """
    folder = os.open(path, _FOLDER)
    try:
        if whole or os.fstat(folder).st_uid != account:
            _hand(folder, account, _DEEPEST)
    finally:
        os.close(folder)


def _hand(folder: int, account: int, depth: int) -> None:
    if depth == 0:
        raise OSError(errno.ELOOP, f"folders are nested more than {_DEEPEST} deep")
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner = os.open(entry.name, _FOLDER, dir_fd=folder)
                try:
                    _hand(inner, account, depth - 1)
                finally:
                    os.close(inner)
            elif entry.stat(follow_symlinks=False).st_uid != account:
                os.chown(entry.name, account, account, dir_fd=folder, follow_symlinks=False)
    if os.fstat(folder).st_uid != account:
        os.fchown(folder, account, account)


def open_up(path: Path) -> None:
    """Let every account read *path* and what is in it; a folder above keeps strangers out."""
    for _, _, files, folder in os.fwalk(path):
        _allow(os.fstat(folder).st_mode, _OTHERS_ENTER, folder)
        for name in files:
            mode = os.lstat(name, dir_fd=folder).st_mode
            if stat.S_ISREG(mode) and not mode & _OTHERS_READ:
                os.chmod(name, stat.S_IMODE(mode) | _OTHERS_READ, dir_fd=folder)


def _allow(mode: int, bits: int, folder: int) -> None:
    if mode & bits != bits:
        os.fchmod(folder, stat.S_IMODE(mode) | bits)


def may_read(path: Path) -> bool:
    """Whether accounts without rights of their own can use *path*: a program, or a folder."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return mode & _OTHERS_ENTER == _OTHERS_ENTER if _runs(mode) else bool(mode & _OTHERS_READ)


def may_write(path: Path, account: int) -> bool:
    """Whether the account can write into the folder."""
    found = path.stat()
    if found.st_uid == account:
        return bool(found.st_mode & stat.S_IWUSR)
    return bool(found.st_mode & stat.S_IWOTH)


def _runs(mode: int) -> bool:
    return stat.S_ISDIR(mode) or bool(mode & stat.S_IXUSR)
