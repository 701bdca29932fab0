"""Ends what a run left behind whose shim was killed. Only processes proven to be the pod's."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from runner.drivers.terminal_marks import group_of, is_marked
from runner.drivers.terminal_observe import identity_of, observe
from runner.drivers.terminal_values import Alive, TerminalError
from runner.shim import records, tree

_PATIENCE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.02


def kill_shim(run_dir: Path) -> None:
    """SIGKILL the run's shim, when it still is the process that wrote the identity."""
    identity = identity_of(run_dir)
    if identity is not None:
        _kill(identity["pid"], identity["start_time"])


def kill_leftovers(run_dir: Path) -> None:
    """SIGKILL all processes of a run without a shim; return when they are gone. Idempotent.

    A process is the run's when it is in its control group; the pod's also when it is the program
    that the shim started or in its session, or when it carries a mark of the pod, and no other
    run has it.

    Raises:
        TerminalError: Some cannot be ended.
    """
    identity, group = identity_of(run_dir), group_of(run_dir)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while left := group.pids() | _killed(run_dir, identity):
        if time.monotonic() > deadline:
            numbers = ", ".join(str(pid) for pid in sorted(left))
            raise TerminalError(f"cannot end processes {numbers} of the run in {run_dir}")
        group.kill()
        time.sleep(_PAUSE_SECONDS)
    if not group.remove():
        raise TerminalError(f"the control group of the run in {run_dir} cannot be removed")


def _killed(run_dir: Path, identity: Mapping[str, Any] | None) -> set[int]:
    """SIGKILL what is found without the group, and return it."""
    if identity is None:
        return set()
    left = _leftovers(run_dir, identity)
    for pid, start in left:
        _kill(pid, start)
    return {pid for pid, _ in left}


def _leftovers(run_dir: Path, identity: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return numbers and start times of the processes that are left."""
    child = identity["child_pid"]
    session = child if records.start_time(child) == identity["child_start_time"] else None
    spared = _spared(run_dir)
    left = []
    for entry in os.listdir("/proc"):  # noqa: PTH208  numbers are what is wanted
        if not entry.isdecimal() or int(entry) in spared:
            continue
        fields = records.stat(int(entry))
        if fields is None or fields[0] in "ZX":
            continue
        if int(fields[3]) == session or is_marked(int(entry), identity["uid"]):
            left.append((int(entry), int(fields[19])))
    return left


def _spared(run_dir: Path) -> set[int]:
    """Return ourselves and the processes of other runs of the pod that are alive."""
    spared = {os.getpid()}
    for sibling in run_dir.parent.iterdir():
        if sibling != run_dir and isinstance(run := observe(sibling), Alive):
            spared |= {run.pid, *(process.pid for process in tree.descendants(run.pid))}
    return spared


def _kill(pid: int, start_time: int) -> None:
    """SIGKILL exactly that process: it is pinned before its start is compared."""
    try:
        pin = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if records.start_time(pid) == start_time:
            signal.pidfd_send_signal(pin, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
    finally:
        os.close(pin)
