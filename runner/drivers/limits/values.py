"""The values of limits."""

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DEFAULT_PIDS: Final = min(4096, max(1024, 512 * (os.cpu_count() or 1)))
"""Processes and threads of a pod that asks for no limit. A build needs hundreds; some thousands
that all try to fork have brought a machine of two processors to a stand, groups or not."""


class Limit(StrEnum):
    """What can be limited, in the words of spec.resources.limits."""

    MEMORY = "memory"
    CPU = "cpu"
    PIDS = "pids"
    OPEN_FILES = "openFiles"
    DISK = "disk"


class Keeper(StrEnum):
    """What keeps a limit."""

    CGROUP2 = "cgroup2"
    CGROUP1 = "cgroup1"
    RLIMIT = "rlimit"
    WATCHED = "watched"
    """The runner looks now and then, and ends the pod that is over."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a pod may use; 0: as much as there is."""

    memory_bytes: int = 0
    cpu_millis: int = 0
    pids: int = 0
    """0: ``DEFAULT_PIDS``."""
    open_files: int = 0
    """Of each process."""
    disk_bytes: int = 0
    """Of worktree, home and temporary files together."""

    @property
    def most_pids(self) -> int:
        """Return the limit of processes and threads that holds."""
        return self.pids or DEFAULT_PIDS

    def limits(self) -> tuple[Limit, ...]:
        """Return those that were asked for, and not only come with every pod."""
        amounts = {
            Limit.MEMORY: self.memory_bytes,
            Limit.CPU: self.cpu_millis,
            Limit.PIDS: self.pids,
            Limit.OPEN_FILES: self.open_files,
            Limit.DISK: self.disk_bytes,
        }
        return tuple(limit for limit, amount in amounts.items() if amount)
