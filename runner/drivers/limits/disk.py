"""How much disk a pod uses: its directories added up, and files that it holds though deleted.

Adding up costs a look at every file and none into them.
"""

import os
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner.drivers.limits.mapped import BLOCK, mapped
from runner.drivers.limits.walk import Walk

DELETED: Final = "deleted files that are open"


@dataclass(frozen=True, slots=True)
class Measured:
    """What was used, and where."""

    by_place: Mapping[str, int]
    hidden: bool = False
    """Whether something is so that it could not be counted; again and again is no accident."""

    @property
    def total(self) -> int:
        """Return all of it."""
        return sum(self.by_place.values())


def measure(places: Mapping[str, Sequence[Path]], pids: Collection[int] = ()) -> Measured:
    """Add up the places of a pod; a file with several names counts once. Follows no link.

    Where the runner is an ordinary user, folders of its own account that it cannot list are
    opened for it again.
    """
    seen: set[tuple[int, int]] = set()
    used: dict[str, int] = {}
    devices: set[int] = set()
    hidden = False
    for name, paths in places.items():
        used[name] = 0
        for path in paths:
            device = _device(path)
            if device is not None:
                devices.add(device)
                walk = Walk(path, device)
                used[name] += sum(_size(entry, device, seen) for entry in walk.entries())
                hidden = hidden or walk.hidden
    deleted = sum(_opened(pid, devices, seen) for pid in pids)
    deleted += mapped(pids, devices, seen)
    if deleted:
        used[DELETED] = deleted
    return Measured(used, hidden)


def _device(path: Path) -> int | None:
    try:
        return path.lstat().st_dev
    except OSError:
        return None


def _size(about: os.stat_result, device: int, seen: set[tuple[int, int]]) -> int:
    if about.st_dev != device:
        return 0
    if about.st_nlink > 1 and not stat.S_ISDIR(about.st_mode):
        if (about.st_dev, about.st_ino) in seen:
            return 0
        seen.add((about.st_dev, about.st_ino))
    return about.st_blocks * BLOCK


def _opened(pid: int, devices: set[int], seen: set[tuple[int, int]]) -> int:
    """Return what files take that no directory names any more, but the process holds open."""
    total = 0
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208  only their names are wanted
    except OSError:
        return 0  # gone, or not ours to look into
    for number in numbers:
        try:
            about = os.stat(f"/proc/{pid}/fd/{number}")  # noqa: PTH116  through the link
        except OSError:
            continue
        key = (about.st_dev, about.st_ino)
        is_file = stat.S_ISREG(about.st_mode) and about.st_nlink == 0 and about.st_dev in devices
        if is_file and key not in seen:
            seen.add(key)
            total += about.st_blocks * BLOCK
    return total
