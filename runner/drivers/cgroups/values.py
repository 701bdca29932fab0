"""The values of control groups.

* CgroupError   -- a group cannot be made, or not as it was asked for
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from runner.shim.group import Group

MEMORY: Final = "memory"
CPU: Final = "cpu"
PIDS: Final = "pids"
FREEZER: Final = "freezer"

WANTED: Final = (MEMORY, CPU, PIDS)
"""Controllers that keep limits."""


class CgroupError(Exception):
    """A group cannot be made; the text is one sentence."""


class Version(StrEnum):
    """Which of the kernel's two kinds a hierarchy is."""

    V1 = "cgroup1"
    V2 = "cgroup2"


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One tree of groups, as this process sees it."""

    version: Version
    mount: Path
    """Where it is mounted."""
    own: Path
    """The directory of the group in which this process is; *mount* where that cannot be seen."""
    controllers: frozenset[str]
    """Those of v1 that are mounted here; those of v2 that *own* may use."""


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """What a group may use; 0: as much as there is."""

    memory_bytes: int = 0
    """Swap included."""
    cpu_millis: int = 0
    """Thousandths of one processor."""
    pids: int = 0
    """Processes and threads."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a group uses; None: it is not told here."""

    memory_bytes: int | None
    """With what of the page cache is charged to it."""
    cpu_seconds: float | None
    pids: int | None
    oom_kills: int


@dataclass(frozen=True, slots=True)
class Made:
    """A group that stands, and which of its limits it does not keep."""

    group: Group
    unkept: frozenset[str] = frozenset()
