"""How much disk a pod uses: its directories added up, and files that it holds open but deleted.

Adding up costs a look at every file and none into them. Not counted: what lies deeper than the
longest path that the system takes.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BLOCK: Final = 512


@dataclass(frozen=True, slots=True)
class Measured:
    """What was used, and where."""

    by_place: Mapping[str, int]

    @property
    def total(self) -> int:
        """Return all of it."""
        return sum(self.by_place.values())


def measure(places: Mapping[str, Sequence[Path]], pids: Iterable[int] = ()) -> Measured:
    """Add up the places of a pod; a file with several names counts once. Follows no link."""
    seen: set[tuple[int, int]] = set()
    used: dict[str, int] = {}
    devices: set[int] = set()
    for name, paths in places.items():
        used[name] = 0
        for path in paths:
            device = _device(path)
            if device is not None:
                devices.add(device)
                used[name] += _below(path, device, seen)
    deleted = sum(_deleted(pid, devices, seen) for pid in pids)
    if deleted:
        used["deleted files that are open"] = deleted
    return Measured(used)


def _device(path: Path) -> int | None:
    try:
        return path.lstat().st_dev
    except OSError:
        return None


def _below(path: Path, device: int, seen: set[tuple[int, int]]) -> int:
    return sum(_size(entry, device, seen) for entry in _entries(path, device))


def _entries(path: Path, device: int) -> Iterator[os.stat_result]:
    """Give everything below *path* on its own disk, and *path*; what vanishes is left out."""
    todo = [os.fspath(path)]
    while todo:
        folder = todo.pop()
        try:
            about = os.lstat(folder)  # noqa: PTH116  strings: there may be a million
            if about.st_dev != device:
                continue
            yield about
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    elif (file := _looked_at(entry)) is not None:
                        yield file
        except OSError:
            continue


def _looked_at(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None


def _size(about: os.stat_result, device: int, seen: set[tuple[int, int]]) -> int:
    if about.st_dev != device:
        return 0
    if about.st_nlink > 1 and not stat.S_ISDIR(about.st_mode):
        if (about.st_dev, about.st_ino) in seen:
            return 0
        seen.add((about.st_dev, about.st_ino))
    return about.st_blocks * _BLOCK


def _deleted(pid: int, devices: set[int], seen: set[tuple[int, int]]) -> int:
    """Return what files take that no directory names any more, but the process holds."""
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
            total += about.st_blocks * _BLOCK
    return total
