"""Goes through a pod's directories, however deep they are and whatever modes they have."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LONGEST_PATH: Final = 700
"""In characters, from one held folder to the next: with one more name of 255, and four bytes each,
it is below PATH_MAX (4096)."""

_MOST_HELD: Final = 64
"""Folders held open: forty thousand characters of path are no accident."""

_ATTEMPTS: Final = 3
_LISTABLE: Final = 0o500
_FLAGS: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Held:
    """A folder that is held open, as paths from the top would be too long."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class Walk:
    """One walk through everything below a folder, on its own disk."""

    def __init__(self, top: Path, device: int) -> None:
        self._top = os.fspath(top)
        self._device = device
        self._held = 0
        self.hidden = False
        """Whether something could not be counted, after ``entries``."""

    def entries(self) -> Iterator[os.stat_result]:
        """Give everything below the folder, and the folder; what vanishes is left out."""
        todo: list[tuple[_Held | None, str, int]] = [(None, self._top, 0)]
        while todo:
            near, path, depth = todo.pop()
            fd = self._open(path, near.fd if near is not None else None)
            if fd is None:
                continue
            here = _Held(fd)
            about = os.fstat(fd)
            if about.st_dev != self._device:
                continue
            yield about
            if is_far := len(path) > _LONGEST_PATH:
                near, path, depth = here, ".", depth + 1
            if is_far and depth > _MOST_HELD:
                self.hidden = True
                continue
            try:
                with os.scandir(fd) as found:
                    for entry in found:
                        if entry.is_dir(follow_symlinks=False):
                            todo.append((near, f"{path}/{entry.name}", depth))
                        elif (file := _looked_at(entry)) is not None:
                            yield file
            except OSError:
                continue

    def _open(self, path: str, near: int | None) -> int | None:
        """Return the folder, open; None when it is gone or cannot be opened."""
        for _ in range(_ATTEMPTS):
            try:
                pin = os.open(path, os.O_PATH | _FLAGS, dir_fd=near)
            except PermissionError:
                break  # its parent was listed, and is closed by now
            except OSError:
                return None  # it is gone, or no folder any more
            try:
                _make_listable(pin)
                return os.open(f"/proc/self/fd/{pin}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except PermissionError:
                if os.fstat(pin).st_uid != os.geteuid():
                    return None  # neither ours nor the pod's
            except OSError:
                return None
            finally:
                os.close(pin)
        self.hidden = True
        return None


def _make_listable(pin: int) -> None:
    """Let the owner list the folder, if that is us and not root, who may anyway."""
    about = os.fstat(pin)
    missing = about.st_mode & _LISTABLE != _LISTABLE
    if missing and about.st_uid == os.geteuid() != 0:
        os.chmod(f"/proc/self/fd/{pin}", about.st_mode & 0o7777 | _LISTABLE)  # noqa: PTH101  pinned


def _looked_at(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None
