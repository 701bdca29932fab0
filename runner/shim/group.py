# ruff: noqa: PTH102, PTH106, PTH110, PTH123
# pathlib would cost every shim memory
"""A control group of one run: what is in it can be frozen, counted, limited and killed as one.

One directory in each hierarchy that the machine offers: one with cgroup v2, several with v1,
both on machines that have both. What a directory can do is told by the files in it. Membership is
inherited and, unlike a session or a parent, cannot be given up: whoever is in it was started by
the run, and is found.

Source: Linux Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/{freezer-subsystem,memory}.rst.
"""

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Iterator, Sequence

PROCS = "cgroup.procs"

_KILL = "cgroup.kill"
_FREEZE = "cgroup.freeze"
_STATE = "freezer.state"
_EVENTS = "memory.events"
_OOM_CONTROL = "memory.oom_control"
_EVENT_CONTROL = "cgroup.event_control"
_PAUSE_SECONDS = 0.005
_FREEZING_SECONDS = 2.0
_REMOVING_SECONDS = 2.0


class Group:
    """The group of one run; all methods may be repeated, also when it is gone."""

    def __init__(self, directories: Sequence[str]) -> None:
        self.directories = tuple(directories)

    def __bool__(self) -> bool:
        return bool(self.directories)

    def enter(self) -> None:
        """Move this process into the group, and so all that it will start.

        Raises:
            OSError: It cannot; it may be in some of the hierarchies then.
        """
        for directory in self.directories:
            _write(f"{directory}/{PROCS}", "0")

    def pids(self) -> set[int]:
        """Return the processes in it, also those in groups that they made below it."""
        found: set[int] = set()
        for directory in self.directories:
            for folder in _folders(directory):
                found |= {int(pid) for pid in _read(f"{folder}/{PROCS}").split()}
        return found - {0}  # 0 stands for processes that cannot be seen from here

    @property
    def freezes(self) -> bool:
        """Whether it can be frozen."""
        return self._having(_FREEZE) is not None or self._having(_STATE) is not None

    def freeze(self) -> bool:
        """Let none of its processes run; return whether that is so, after two seconds at most."""
        return self._put(frozen=True)

    def thaw(self) -> bool:
        """Let its processes run again; return whether they do."""
        return self._put(frozen=False)

    @property
    def frozen(self) -> bool:
        """Whether it was asked to be frozen, even if not all of its processes are yet."""
        if (directory := self._having(_FREEZE)) is not None:
            return _read(f"{directory}/{_FREEZE}").strip() == "1"
        directory = self._having(_STATE)
        return directory is not None and _read(f"{directory}/{_STATE}").strip() != "THAWED"

    def kill(self) -> bool:
        """SIGKILL all that is in it, faster than it can fork; return whether there was anything.

        They are gone only some moments later: a killed process has to be collected.
        """
        living = self.pids()
        if not living:
            return False
        for directory in self.directories:
            with contextlib.suppress(OSError):
                _write(f"{directory}/pids.max", "0")
        killer = self._having(_KILL)
        with contextlib.suppress(OSError):
            if killer is not None:
                _write(f"{killer}/{_KILL}", "1")
                self.thaw()
                return True
        self.freeze()
        try:
            for pid in self.pids():
                self._kill(pid)
        finally:
            self.thaw()
        return True

    def oom_kills(self) -> int:
        """Return how many of its processes were killed because its memory was used up."""
        for name in (_EVENTS, _OOM_CONTROL):
            directory = self._having(name)
            for line in _read(f"{directory}/{name}").splitlines() if directory else ():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
        return 0

    def full_pids(self) -> int:
        """Return how many processes and threads it may have, if it had that many; else 0."""
        for directory in self.directories:
            most = _read(f"{directory}/pids.max").strip()
            if not most.isdecimal():
                continue  # "max", or another hierarchy
            events = _read(f"{directory}/pids.events").split()
            peak = _read(f"{directory}/pids.peak").strip()  # since Linux 6.6
            if events[1:2] not in ([], ["0"]) or int(peak or 0) >= int(most):
                return int(most)
        return 0

    def remove(self) -> bool:
        """Remove it, if nothing is in it, and all groups below; return whether it is gone."""
        deadline = time.monotonic() + _REMOVING_SECONDS
        while not all([_removed(directory) for directory in self.directories]):  # noqa: C419  each
            if time.monotonic() > deadline or self.pids():
                return False
            time.sleep(_PAUSE_SECONDS)  # while the kernel lets go of those that ended
        return True

    def _having(self, name: str) -> str | None:
        for directory in self.directories:
            if os.path.exists(f"{directory}/{name}"):
                return directory
        return None

    def _put(self, *, frozen: bool) -> bool:
        """Freeze or thaw, again and again until the kernel says that it is so."""
        deadline = time.monotonic() + _FREEZING_SECONDS
        while True:
            try:
                if self._said(frozen=frozen):
                    return True
            except OSError:
                return False
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_SECONDS)

    def _said(self, *, frozen: bool) -> bool:
        if (directory := self._having(_FREEZE)) is not None:
            _write(f"{directory}/{_FREEZE}", str(int(frozen)))
            return f"frozen {int(frozen)}" in _read(f"{directory}/cgroup.events").splitlines()
        if (directory := self._having(_STATE)) is not None:
            state = "FROZEN" if frozen else "THAWED"
            _write(f"{directory}/{_STATE}", state)
            return _read(f"{directory}/{_STATE}").strip() == state
        return not frozen

    def _kill(self, pid: int) -> None:
        """Kill exactly that process: it is pinned before its membership is looked at again."""
        try:
            pin = os.pidfd_open(pid)
        except (ProcessLookupError, OSError):
            return
        try:
            if pid in self.pids():
                signal.pidfd_send_signal(pin, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return
        finally:
            os.close(pin)


class Bell:
    """Rings when the group has no memory left. ``fd`` and ``events`` are for epoll."""

    def __init__(self, fd: int, events: int, kept: Sequence[int] = ()) -> None:
        self.fd = fd
        self.events = events
        self._kept = (fd, *kept)

    def hear(self) -> None:
        """Take note of what rang, so that it can ring again."""
        with contextlib.suppress(OSError):
            if self.events & select.EPOLLIN:
                os.eventfd_read(self.fd)
            else:
                os.pread(self.fd, 4096, 0)

    def close(self) -> None:
        """Take it down."""
        for fd in self._kept:
            os.close(fd)


def bell(group: Group) -> Bell | None:
    """Return the bell of the group; None where its memory is not limited by it."""
    for directory in group.directories:
        if os.path.exists(f"{directory}/{_EVENTS}"):
            fd = os.open(f"{directory}/{_EVENTS}", os.O_RDONLY | os.O_CLOEXEC)
            return Bell(fd, select.EPOLLPRI)
        if os.path.exists(f"{directory}/{_OOM_CONTROL}"):
            return _bell_of_v1(directory)
    return None


def _bell_of_v1(directory: str) -> Bell:
    control = os.open(f"{directory}/{_OOM_CONTROL}", os.O_RDONLY | os.O_CLOEXEC)
    rung = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    _write(f"{directory}/{_EVENT_CONTROL}", f"{rung} {control}")
    return Bell(rung, select.EPOLLIN, [control])


def _folders(directory: str) -> Iterator[str]:
    """Give the directory and all below it, the deepest first."""
    for folder, _, _ in os.walk(directory, topdown=False):
        yield folder


def _removed(directory: str) -> bool:
    for folder in _folders(directory):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError as exc:
            if exc.errno in {errno.EBUSY, errno.ENOTEMPTY}:
                return False
            raise
    return True


def _read(path: str) -> str:
    """Return the file's content; empty when the group, or what it tells, is gone."""
    try:
        with open(path, "rb") as file:  # as text it would have to look for the codec's module
            return file.read().decode("ascii")
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)
