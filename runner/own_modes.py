"""Gives the runner's own files their modes back.

With Landlock, and with no sandbox, a pod of the runner's own account may change the mode of every
file of that account, though it can neither read nor write it.
Source: landlock(7), "Limitations": chmod(2) cannot be restricted.
"""

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from runner.converge.places import Places

logger = logging.getLogger(__name__)

_FILE: Final = 0o600
_FOLDER: Final = 0o700
_KEPT: Final = 0o7777


def repair(places: Places) -> None:
    """Close what is private to others, and open everything to its owner. Blocking.

    What a pod made of what is inside its own folders is its own affair.
    """
    changed = sum(_repaired(path, wanted) for path, wanted in _private(places))
    changed += sum(_opened(path) for path in _folders(places))
    if changed:
        logger.warning("files of the runner had other modes and are private again")


def _private(places: Places) -> Iterator[tuple[Path, int]]:
    yield places.data_dir, _FOLDER
    yield places.identity, _FOLDER
    for folder in (places.data_dir, places.identity):
        with suppress(OSError):
            for path in folder.iterdir():
                if path.is_file():
                    yield path, _FILE


def _folders(places: Places) -> Iterator[Path]:
    """Give the folders that the runner looks into: its own, and those of pods."""
    for pattern in ("*", "pods/*", "pods/*/*"):
        for path in places.data_dir.glob(pattern):
            if not path.is_symlink() and path.is_dir():
                yield path


def _repaired(path: Path, wanted: int) -> bool:
    with suppress(OSError):
        about = path.lstat()
        is_ours = about.st_uid == os.geteuid() and not stat.S_ISLNK(about.st_mode)
        if is_ours and about.st_mode & _KEPT != wanted:
            path.chmod(wanted)
            return True
    return False


def _opened(path: Path) -> bool:
    with suppress(OSError):
        about = path.lstat()
        if about.st_uid == os.geteuid() and about.st_mode & _FOLDER != _FOLDER:
            path.chmod(about.st_mode & _KEPT | _FOLDER)
            return True
    return False
