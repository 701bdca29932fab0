"""Chooses in each hierarchy the group below which ours may be made, and readies it.

v1: the group that this process is in. v2 has two rules more. Only who a subtree was delegated to
may divide it; and a group with processes of its own cannot give controllers to those below. So the
base is what was delegated to us, and the processes in it move into a group of their own there.

Source: Linux Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint",
"Delegation"; systemd's docs/CGROUP_DELEGATION.md.
"""

import os
from pathlib import Path
from typing import Final

from runner.drivers.cgroups.values import WANTED, Hierarchy, Version

SELF: Final = "agentsmesh-self"
"""Where the processes of a delegated group move to: the runner, and who is with it."""

_XATTRS: Final = ("user.delegate", "trusted.delegate")
"""How systemd marks what it delegated."""

_MOVES: Final = 20


def base(hierarchy: Hierarchy, wanted: tuple[str, ...] = WANTED) -> tuple[Path, frozenset[str]]:
    """Return the directory to make groups in, and the controllers that they will have.

    Raises:
        OSError: Nothing can be made in this hierarchy.
    """
    if hierarchy.version is Version.V1:
        return hierarchy.own, hierarchy.controllers
    directory = _delegated(hierarchy)
    return directory, _enabled(directory, wanted)


def pass_on(directory: Path, wanted: tuple[str, ...] = WANTED) -> frozenset[str]:
    """Give what a v2 group has of the wanted controllers to those below; return which."""
    has = frozenset((directory / "cgroup.controllers").read_text(encoding="ascii").split())
    for controller in sorted(has & frozenset(wanted)):
        try:
            (directory / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")
        except OSError:
            continue  # it is in use otherwise: said by what is left out of the answer
    given = (directory / "cgroup.subtree_control").read_text(encoding="ascii").split()
    return frozenset(given) & frozenset(wanted)


def _delegated(hierarchy: Hierarchy) -> Path:
    """Return the group that is ours to divide.

    Raises:
        PermissionError: There is none.
    """
    own = hierarchy.own
    if own.name == SELF:  # we, or who started us, came there before
        return own.parent
    for directory in (own, own.parent) if own != hierarchy.mount else (own,):
        if is_root(directory) or not os.access(directory / "cgroup.procs", os.W_OK):
            continue
        if directory == hierarchy.mount or _is_marked(directory):
            return directory  # a container's own tree is its own
    if os.geteuid() == 0 and is_root(hierarchy.mount):
        return hierarchy.mount  # as root beside everything else, and in nobody's way
    raise PermissionError(f"no part of {hierarchy.mount} was delegated to this process")


def is_root(directory: Path) -> bool:
    """Whether it is the root of all v2 groups of the machine, which may have processes."""
    return not (directory / "cgroup.type").exists()


def _is_marked(directory: Path) -> bool:
    for name in _XATTRS:
        try:
            if os.getxattr(directory, name) == b"1":
                return True
        except OSError:
            continue
    return False


def _enabled(directory: Path, wanted: tuple[str, ...]) -> frozenset[str]:
    given = pass_on(directory, wanted)
    has = frozenset((directory / "cgroup.controllers").read_text(encoding="ascii").split())
    if given < has & frozenset(wanted) and not is_root(directory):
        _vacate(directory)
        given = pass_on(directory, wanted)
    return given


def _vacate(directory: Path) -> None:
    """Move the processes of the group into one below; they may start others meanwhile."""
    target = directory / SELF
    target.mkdir(exist_ok=True)
    for _ in range(_MOVES):
        pids = (directory / "cgroup.procs").read_text(encoding="ascii").split()
        if not pids:
            return
        for pid in pids:
            try:
                (target / "cgroup.procs").write_text(pid, encoding="ascii")
            except ProcessLookupError:
                continue  # it has ended
