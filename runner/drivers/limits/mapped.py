"""Deleted files that a process holds by a mapping alone: no directory and no descriptor names them.

Only root may look at such a file itself. Of others no more is known than how much is mapped.
Source: proc(5), /proc/pid/map_files and /proc/pid/maps.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

BLOCK: Final = 512
_DELETED: Final = b" (deleted)\n"
_LONGEST_LIST: Final = 64 * 1024 * 1024
"""Bytes of one process' list that are read: the kernel's own limit of mappings is far below."""


class _Mapping(NamedTuple):
    pid: int
    span: str
    length: int
    key: tuple[int, int]
    """Of the file: device and inode, as the list of mappings has them."""


def mapped(pids: Iterable[int], devices: set[int], seen: set[tuple[int, int]]) -> int:
    """Return what such files on the *devices* take, each once and none of those *seen*."""
    total = 0
    known: set[tuple[int, int]] = set()
    lengths: dict[tuple[int, int], int] = {}
    for each in _mappings(pids):
        if each.key in known or each.key in seen:
            continue
        try:
            about = os.stat(f"/proc/{each.pid}/map_files/{each.span}")  # noqa: PTH116  a link
        except OSError:
            if each.key[0] in devices:
                lengths[each.key] = max(lengths.get(each.key, 0), each.length)
            continue
        known.add(each.key)
        lengths.pop(each.key, None)
        key = (about.st_dev, about.st_ino)
        is_file = stat.S_ISREG(about.st_mode) and about.st_nlink == 0 and about.st_dev in devices
        if is_file and key not in seen:
            seen.add(key)
            total += about.st_blocks * BLOCK
    seen |= lengths.keys()
    return total + sum(lengths.values())


def _mappings(pids: Iterable[int]) -> Iterator[_Mapping]:
    for pid in pids:
        try:
            with open(f"/proc/{pid}/maps", "rb") as file:  # noqa: PTH123  a thousand a second
                lines = file.readlines(_LONGEST_LIST)
        except OSError:
            continue  # gone, or not ours to look into
        for line in lines:
            if line.endswith(_DELETED):
                yield _read(pid, line)


def _read(pid: int, line: bytes) -> _Mapping:
    span, _, _, device, inode, _ = line.decode("ascii", "replace").split(maxsplit=5)
    first, _, last = span.partition("-")
    start, end = int(first, 16), int(last, 16)
    major, _, minor = device.partition(":")
    key = (os.makedev(int(major, 16), int(minor, 16)), int(inode))
    return _Mapping(pid, f"{start:x}-{end:x}", end - start, key)
