"""The ``/etc`` of pods: small settings copied into one folder for all, the rest bound over it.

Each mount costs a start some tenths of a millisecond, and there are some forty settings. What was
copied is as it was when the pod started; what is bound may change under it. A folder is never
changed once it has its name, since pods may have it mounted: other settings, another folder.
"""

import hashlib
import itertools
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from runner.drivers.sandbox.paths import ACCOUNTS, SETTINGS

_ETC: Final = Path("/etc")
_BOUND: Final = frozenset({"/etc/resolv.conf", "/etc/hosts"})
"""Changed while a pod runs: when a laptop joins another network."""

_COPIED_BYTES: Final = 64 * 1024
_COPIED_ENTRIES: Final = 16
"""A larger file or folder is bound."""


class _Item(NamedTuple):
    """Something that is copied, and by what it is seen to have changed."""

    path: str
    mode: int
    """Of the file, links followed only for the settings themselves."""
    inode: int
    size: int
    changed_ns: int


class _Bound(NamedTuple):
    """Something that is bound."""

    path: str
    is_folder: bool


class _TooMuchError(Exception):
    """The folder is not for copying."""


def shared_etc(folder: Path, settings: tuple[str, ...] = SETTINGS) -> tuple[Path, tuple[str, ...]]:
    """Return an ``/etc`` below *folder*, made if absent, and what has to be bound over it.

    Of *settings*, what is not there is left out. ``passwd`` and ``group`` are empty there.
    """
    items, bound = _survey(settings)
    etc = folder / _name(items, bound)
    if not etc.exists():
        _make(etc, items, bound)
    return etc, tuple(path for path, _ in bound)


def _name(items: tuple["_Item", ...], bound: tuple["_Bound", ...]) -> str:
    return hashlib.sha256(repr((items, bound)).encode()).hexdigest()[:32]


def _make(etc: Path, items: tuple["_Item", ...], bound: tuple["_Bound", ...]) -> None:
    """Make the folder whole, or not at all; another thread may be faster."""
    etc.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix="new-", dir=etc.parent))
    for item in items:
        _copy(item, new / Path(item.path).relative_to(_ETC))
    for path, is_folder in (*bound, *(_Bound(name, is_folder=False) for name in ACCOUNTS)):
        place = new / Path(path).relative_to(_ETC)
        place.parent.mkdir(parents=True, exist_ok=True)
        if is_folder:
            place.mkdir()
        else:
            place.touch()
    for folder in (new, *(each for each in new.rglob("*") if each.is_dir())):
        if not folder.is_symlink():
            folder.chmod(0o755)  # read inside by the pod's account
    for each in bound:
        place = new / Path(each.path).relative_to(_ETC)
        place.chmod(0o755 if each.is_folder else 0o644)
    try:
        new.rename(etc)
    except OSError:
        shutil.rmtree(new)
        if not etc.exists():
            raise


def _survey(settings: tuple[str, ...]) -> tuple[tuple[_Item, ...], tuple[_Bound, ...]]:
    """Return what is copied and what is bound."""
    items: list[_Item] = []
    bound: list[_Bound] = []
    for path in settings:
        try:
            found = os.stat(path)  # noqa: PTH116  some hundred of them in each start
        except OSError:
            continue
        is_folder = stat.S_ISDIR(found.st_mode)
        try:
            if path in _BOUND:
                raise _TooMuchError
            items += _folder(path, found) if is_folder else (_file(path, found),)
        except (_TooMuchError, OSError):
            bound.append(_Bound(path, is_folder))
    return tuple(items), tuple(bound)


def _folder(path: str, found: os.stat_result) -> list[_Item]:
    """Return the folder and all that is in it.

    Raises:
        _TooMuchError: It is large, or holds what is neither file, folder nor link.
        OSError: It cannot be read.
    """
    items = [_item(path, found)]
    for inner in itertools.islice(_walk(path), _COPIED_ENTRIES + 1):
        looked = os.lstat(inner)
        if stat.S_ISREG(looked.st_mode):
            items.append(_file(inner, looked))
        elif stat.S_ISLNK(looked.st_mode) or stat.S_ISDIR(looked.st_mode):
            items.append(_item(inner, looked))
        else:
            raise _TooMuchError
    if len(items) > _COPIED_ENTRIES:
        raise _TooMuchError
    return items


def _walk(path: str) -> Iterator[str]:
    """Yield everything below *path*, folders before what is in them; links are not followed."""
    with os.scandir(path) as entries:
        for entry in entries:
            yield entry.path
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)


def _file(path: str, found: os.stat_result) -> _Item:
    readable = os.access(path, os.R_OK)
    if not stat.S_ISREG(found.st_mode) or found.st_size > _COPIED_BYTES or not readable:
        raise _TooMuchError
    return _item(path, found)


def _item(path: str, found: os.stat_result) -> _Item:
    return _Item(path, found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns)


def _copy(item: _Item, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISDIR(item.mode):
        place.mkdir(exist_ok=True)
    elif stat.S_ISLNK(item.mode):
        place.symlink_to(Path(item.path).readlink())
    else:
        place.write_bytes(Path(item.path).read_bytes())
        place.chmod(0o755 if item.mode & stat.S_IXUSR else 0o644)
