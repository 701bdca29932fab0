# ruff: noqa: PTH110, PTH208
# pathlib would cost every shim memory
"""The processes below one process, found and signalled without hitting a stranger."""

import os
import signal
from typing import NamedTuple

from runner.shim.records import stat

_ENDED = ("Z", "X")
_STOPPED = ("T", "t")
_WAITING = "D"


class Process(NamedTuple):
    """One process as it was found."""

    pid: int
    parent: int
    group: int
    living: bool
    """False once it has ended and only waits to be collected."""
    runs: bool
    """False also when it is stopped, by a signal or by who traces it."""
    waits: bool = False
    """Whether it waits in the kernel and heeds no signal until that is over, as in a vfork; a
    signal to stop is heeded then before anything else."""


def find(pid: int) -> Process | None:
    """Return the process; None when there is none of that number."""
    fields = stat(pid)
    if fields is None:
        return None
    state, parent, group = fields[:3]
    living = state not in _ENDED
    runs = living and state not in _STOPPED
    return Process(pid, int(parent), int(group), living, runs, waits=state == _WAITING)


def name(pid: int) -> str:
    """Return the process' name (at most 15 bytes), empty when it is gone."""
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return file.read().decode(errors="replace").rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descendants(root: int) -> list[Process]:
    """Return all processes below *root*, parents first; processes may come and go meanwhile."""
    found: dict[int, Process] = {}
    todo = _children(root)
    while todo:
        process = find(todo.pop())
        if process is not None and process.pid not in found:
            found[process.pid] = process
            todo += _children(process.pid)
    return list(found.values())


def send(process: Process, *signums: int) -> bool:
    """Signal exactly that process; say whether it may still be there.

    The descriptor pins the process before its parent is compared, so a stranger that was
    given the number of a dead process is never hit.
    """
    try:
        pin = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    found = find(process.pid)
    try:
        # a new parent is no stranger: the old one died and ours took over
        if found is None or found.parent not in (process.parent, os.getpid()):
            return False
        for signum in signums:
            signal.pidfd_send_signal(pin, signum)
    except (ProcessLookupError, PermissionError):
        return found is not None
    finally:
        os.close(pin)
    return True


def kill(root: int) -> int:
    """SIGKILL every process below *root* that is found now; return how many lived."""
    living = [process for process in descendants(root) if process.living]
    for process in living:
        send(process, signal.SIGKILL)
    return len(living)


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                children += map(int, file.read().split())
    except ProcessLookupError:
        return children
    except FileNotFoundError:
        # the process or a thread is gone, or this kernel does not list children
        if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
            return _children_by_parent(pid)
    return children


def _children_by_parent(pid: int) -> list[int]:
    """Look through all processes, for kernels that do not list children."""
    found = (find(int(entry)) for entry in os.listdir("/proc") if entry.isdecimal())
    return [process.pid for process in found if process and process.parent == pid]
