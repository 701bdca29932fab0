"""What of ``/proc`` is closed to a pod whose kernel account is root.

Inside bubblewrap an agent of a root runner has no capability, but its account is the kernel's
number 0 still, and many files below ``/proc`` ask for no more: who writes
``/proc/sys/kernel/core_pattern`` is root on the machine. An ordinary account cannot open them
anyway, and keeps a whole ``/proc``: sandboxes within the pod need one.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PROC: Final = "/proc"

_ALWAYS: Final = frozenset({"sys", "scsi", "sysrq-trigger"})
"""Read-only without a look: large, or filled when a driver is loaded while the pod runs."""

_BY_BUBBLEWRAP: Final = frozenset({"irq", "bus"})
"""It makes them read-only itself, and each mount costs a start some tenths of a millisecond."""

_ANY_WRITE: Final = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def closed() -> Iterator[str]:
    """Yield bubblewrap's options, to stand behind ``--proc``: what root may write, read-only."""
    if os.geteuid() != 0:
        return
    with os.scandir(_PROC) as entries:
        for entry in entries:
            if entry.name.isdecimal() or entry.is_symlink() or entry.name in _BY_BUBBLEWRAP:
                continue  # processes, and links into one's own
            if entry.name in _ALWAYS or _holds_writable(entry):
                yield from ("--ro-bind-try", entry.path, entry.path)


def _holds_writable(entry: os.DirEntry[str]) -> bool:
    if not entry.is_dir():
        return _is_writable(Path(entry.path))
    return any(
        _is_writable(Path(folder, name))
        for folder, _, names in os.walk(entry.path)
        for name in names
    )


def _is_writable(path: Path) -> bool:
    try:
        return bool(path.lstat().st_mode & _ANY_WRITE)
    except OSError:
        return True  # it comes and goes with a driver
