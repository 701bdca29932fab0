"""How much memory a run's processes use, and how many they are: looked at, not enforced.

The proportional share (PSS) is what counts: memory that several processes share is counted once.
It costs the kernel a walk through all pages. So it is only asked for where the sum of what is
resident, which can never be less, is too much already.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

from runner.shim import tree

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_KIB: Final = 1024


class Crowd(NamedTuple):
    """All processes of a run."""

    pids: tuple[int, ...]
    threads: int


def crowd(shim: int) -> Crowd:
    """Return the living processes below a shim."""
    pids = tuple(each.pid for each in tree.descendants(shim) if each.living)
    return Crowd(pids, sum(_threads(pid) for pid in pids))


def memory_bytes(pids: tuple[int, ...], enough: int) -> int:
    """Return what the processes use; an upper bound of it where that is below *enough*."""
    resident = sum(_resident(pid) for pid in pids)
    return resident if resident < enough else sum(_share(pid) for pid in pids)


def _threads(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208  only their number is wanted
    except OSError:
        return 0


def _resident(pid: int) -> int:
    fields = _read(pid, "statm").split()
    return int(fields[1]) * _PAGE if len(fields) > 1 else 0


def _share(pid: int) -> int:
    for line in _read(pid, "smaps_rollup").splitlines():
        name, _, amount = line.partition(":")
        if name == "Pss":
            return int(amount.split()[0]) * _KIB
    return _resident(pid)  # not ours to look into that closely


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
