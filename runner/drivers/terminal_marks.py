"""By what the processes of a run are known once their shim is dead: three marks.

The control group cannot be left, where there is one. The environment is easily cleaned. A limit is
inherited over fork and exec, and nobody who cleans his environment or leaves his session thinks
of it: the one of the time of real-time threads, set so high that it means nothing, and so high in
a way of its own for each pod.
"""

import contextlib
import hashlib
import json
import os
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from runner.drivers.terminal_values import Launch
from runner.shim.group import Group

MARK: Final = "AGENTSMESH_POD_UID"
"""Variable in the environment of all processes of a pod."""

_GROUP: Final = "group.json"
_LIMIT: Final = "rttime"
_LINE: Final = b"Max realtime timeout"
_BASE: Final = 1 << 60
"""Microseconds: tens of thousands of years."""


def mark_limits(uid: str) -> dict[str, int]:
    """Return the resource limits that mark the pod; none where we are limited there ourselves."""
    _, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
    return {_LIMIT: _number(uid)} if hard == resource.RLIM_INFINITY else {}


def note_group(run_dir: Path, directories: Sequence[str], kept: Mapping[str, str]) -> None:
    """Write down, before the run begins, where its control group is and what keeps its limits."""
    if not directories and not kept:
        return
    said = {"directories": list(directories), "kept": dict(kept)}
    fd = os.open(run_dir / _GROUP, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        json.dump(said, file)


def forget_group(launch: Launch, reason: str) -> None:
    """Remove the group of a run that was not begun for that reason."""
    Group(launch.group).remove()  # it stays where another start has put something into it
    if reason == "AlreadyStarted":
        return
    with contextlib.suppress(OSError):  # it may be what the run failed for
        (launch.run_dir / _GROUP).unlink()


def group_of(run_dir: Path) -> Group:
    """Return the run's control group; an empty one where it has none."""
    return Group(_noted(run_dir).get("directories", ()))


def kept_of(run_dir: Path) -> Mapping[str, str]:
    """Return what keeps each limit of the run; empty where an older runner started it."""
    return dict(_noted(run_dir).get("kept", {}))


def _noted(run_dir: Path) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads((run_dir / _GROUP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said


def is_marked(pid: int, uid: str) -> bool:
    """Whether the process carries a mark of the pod: of this account, or of any as root."""
    return _has_limit(pid, uid) or _has_variable(pid, uid)


def _number(uid: str) -> int:
    return _BASE + int.from_bytes(hashlib.sha256(uid.encode()).digest()[:7], "big")


def _has_limit(pid: int, uid: str) -> bool:
    try:
        text = Path(f"/proc/{pid}/limits").read_bytes()
    except OSError:
        return False  # gone
    number = str(_number(uid)).encode()
    lines = (line for line in text.splitlines() if line.startswith(_LINE))
    return any(number in line.split() for line in lines)


def _has_variable(pid: int, uid: str) -> bool:
    path = Path(f"/proc/{pid}/environ")
    try:
        if os.geteuid() not in {0, path.stat().st_uid}:
            return False
        return f"{MARK}={uid}".encode() in path.read_bytes().split(b"\0")
    except OSError:
        return False  # gone, or not ours to look into
