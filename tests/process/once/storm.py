"""Kills parts of a mesh at random: runner, controller, API server, and connections to shims.

What is hit, and after which pause, comes from one seed. When that happens is the machine's: what
is to be hit is waited for. To hit something else instead would kill runners only, before any of
them has started anything.
"""

import contextlib
import ctypes
import glob
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
DECK: Final = {"connections": 14, "doors": 13, "runner": 18, "controller": 3, "apiserver": 2}
"""How often each kind of victim is hit in a storm of so many kills, and again in the next."""
_LONGEST_PAUSE: Final = 0.7
_AWAITED: Final = 0.6
_BACK_SECONDS: Final = 20.0
_THERE_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.1
_SHUT_SECONDS: Final = 0.2

_libc = ctypes.CDLL(None, use_errno=True)


class Storm:
    """Kills, as the seed says."""

    def __init__(self, data: Path, seed: int) -> None:
        self._data = data
        self._chance = random.Random(seed)  # noqa: S311 - it chooses, it hides nothing
        self._deck: list[str] = []
        self._killed: dict[str, int] = {}
        self.hits: Counter[str] = Counter()

    def blow(self, kills: int) -> None:
        """Kill so many times."""
        for _ in range(kills):
            time.sleep(self._chance.uniform(0, _LONGEST_PAUSE))
            what = self._drawn()
            # how many there are to choose from changes no later choice
            chance = random.Random(self._chance.random())  # noqa: S311 - as above
            self._hit(what, chance)
            self.hits[what] += 1

    def _drawn(self) -> str:
        if not self._deck:
            self._deck = [what for what, times in DECK.items() for _ in range(times)]
            self._chance.shuffle(self._deck)
        return self._deck.pop()

    def _hit(self, what: str, chance: random.Random) -> None:
        """Hit it, as soon as it is there.

        Raises:
            AssertionError: It is not there for long, though nothing else was killed meanwhile.
        """
        deadline = time.monotonic() + _THERE_SECONDS
        while not self._is_hit(what, chance):
            assert time.monotonic() < deadline, f"no {what} to hit, after {dict(self.hits)}"
            time.sleep(_LOOK_SECONDS)

    def _is_hit(self, what: str, chance: random.Random) -> bool:
        if what == "connections":
            return _cut_connections(self._pid("runner"), chance)
        if what == "doors":
            return self._shut_doors(chance)
        return self._kill(what, chance)

    def _pid(self, name: str) -> int:
        """Return the part's process; 0 while it is not ready.

        One that is killed before it is counts as broken, and is started seldom.
        """
        state = read(DataDir(self._data))
        parts = state.parts if state is not None else []
        found = (p.process for p in parts if p.name == name and p.state == "ready")
        # what was killed just now is still written down as ready
        return next((process.pid for process in found if process and process.alive()), 0)

    def _kill(self, name: str, chance: random.Random) -> bool:
        """Kill the part, and mostly wait until another is there: else nothing would start."""
        pid = self._pid(name)
        if pid in {0, self._killed.get(name)}:  # that one is about to die
            return False
        self._killed[name] = pid
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        deadline = time.monotonic() + (_BACK_SECONDS if chance.random() < _AWAITED else 0)
        while self._pid(name) in {0, pid} and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        return True

    def _shut_doors(self, chance: random.Random) -> bool:
        """Take the sockets of some runs away, and put them back."""
        # unlike that of Path, this glob goes on when a directory vanishes meanwhile
        found = glob.glob("runner/pods/*/runs/*/shim.sock", root_dir=self._data)  # noqa: PTH207
        shut = [self._data / door for door in sorted(found) if chance.random() < 0.5]
        moved = [door for door in shut if _moved(door, door.with_suffix(".away"))]
        if not moved:
            return False
        time.sleep(_SHUT_SECONDS)
        for door in moved:
            _moved(door.with_suffix(".away"), door)
        return True


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
