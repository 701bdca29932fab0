"""Kills parts of a mesh at random: runner, controller, API server, and connections to shims.

What is hit, and after which pause, comes from one seed. When that happens is the machine's.
"""

import contextlib
import ctypes
import os
import random
import signal
import socket
import stat
import struct
import time
from collections import Counter
from pathlib import Path
from typing import Final

from cli.datadir import DataDir
from cli.up.state import read

_PIDFD_GETFD: Final = 438  # Source: pidfd_getfd(2); the same number on every architecture
_WEIGHTS: Final = {"socket": 54, "runner": 36, "controller": 6, "apiserver": 4}
_LONGEST_PAUSE: Final = 0.7
_AWAITED: Final = 0.6
_BACK_SECONDS: Final = 20.0
_SHUT_SECONDS: Final = 0.2

_libc = ctypes.CDLL(None, use_errno=True)


class Storm:
    """Kills, as the seed says."""

    def __init__(self, data: Path, seed: int) -> None:
        self._data = data
        self._chance = random.Random(seed)  # noqa: S311 - it chooses, it hides nothing
        self.hits: Counter[str] = Counter()

    def blow(self, kills: int) -> None:
        """Kill so many times."""
        enough = sum(self.hits.values()) + kills
        while sum(self.hits.values()) < enough:
            time.sleep(self._chance.uniform(0, _LONGEST_PAUSE))
            (what,) = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
            hit = self._cut() if what == "socket" else self._kill(what)
            self.hits[what] += hit
            if hit and what != "socket" and self._chance.random() < _AWAITED:
                self._await(what)

    def _await(self, name: str) -> None:
        """Wait until the part is back: else nothing would start between the kills."""
        deadline = time.monotonic() + _BACK_SECONDS
        while not self._pid(name) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _pid(self, name: str) -> int:
        """Return the part's process; 0 while it is not ready.

        One that is killed before it is counts as broken, and is started seldom.
        """
        state = read(DataDir(self._data))
        parts = state.parts if state is not None else []
        return next(
            (p.process.pid for p in parts if p.name == name and p.process and p.state == "ready"), 0
        )

    def _kill(self, name: str) -> bool:
        pid = self._pid(name)
        if not pid or not _is_alive(pid):
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def _cut(self) -> bool:
        """Cut the runner's connections to shims, or shut the doors of some for a moment."""
        # how many there are to choose from changes no later choice
        chance = random.Random(self._chance.random())  # noqa: S311 - as above
        if chance.random() < 0.5:
            return _cut_connections(self._pid("runner"), chance)
        return self._shut_doors(chance)

    def _shut_doors(self, chance: random.Random) -> bool:
        """Take the sockets of some runs away, and put them back."""
        doors = list(self._data.glob("**/pods/*/runs/*/shim.sock"))
        shut = [door for door in doors if chance.random() < 0.5]
        moved = [door for door in shut if _moved(door, door.with_suffix(".away"))]
        time.sleep(_SHUT_SECONDS)
        for door in moved:
            _moved(door.with_suffix(".away"), door)
        return bool(moved)


def _cut_connections(pid: int, chance: random.Random) -> bool:
    try:
        numbers = [int(link.name) for link in Path(f"/proc/{pid}/fd").iterdir()] if pid else []
        process = os.pidfd_open(pid) if pid else -1
    except OSError:
        return False
    cut = False
    for number in numbers:
        taken = _libc.syscall(_PIDFD_GETFD, process, number, 0)
        if taken >= 0:
            try:
                cut |= chance.random() < 0.7 and _is_cut(taken, pid)
            finally:
                os.close(taken)  # what it stands for, such as a lock, is the runner's
    if process >= 0:
        os.close(process)
    return cut


def _moved(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        one.rename(other)
        return True
    return False


def _is_cut(number: int, owner: int) -> bool:
    """Shut the connection down if it is one to another process over a Unix socket."""
    if not stat.S_ISSOCK(os.fstat(number).st_mode):
        return False
    try:
        with socket.socket(fileno=os.dup(number)) as sock:
            if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
                return False
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            peer = struct.unpack("3i", raw)[0]
            if peer in {0, owner}:
                return False  # a pair of its own, with itself or with what it started
            sock.shutdown(socket.SHUT_RDWR)
            return True
    except OSError:
        return False


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}
