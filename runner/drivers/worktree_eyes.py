"""Notices that something changed in a worktree or its refs, without looking at every file.

The kernel tells (inotify): one descriptor for all pods, read now and then. Watched are the folders
with tracked files, those that are made later, and what git writes on a commit. What cannot be
watched, because there is too much of it, has to be looked at now and then: see ``is_watched``.
Source: inotify(7).
"""

import ctypes
import errno
import os
import struct
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_CREATE: Final = 0x100
_OVERFLOW: Final = 0x4000
_IGNORED: Final = 0x8000
_IS_DIRECTORY: Final = 0x40000000
_MOVED_TO: Final = 0x80
_CHANGES: Final = 0x8 | 0x4 | 0x40 | _MOVED_TO | _CREATE | 0x200
"""Closed after writing, attributes, moved away, moved here, made, deleted."""
_ONLY_REAL_FOLDERS: Final = 0x01000000 | 0x02000000
"""IN_ONLYDIR | IN_DONT_FOLLOW"""
_HEADER: Final = struct.Struct("iIII")
_READ_BYTES: Final = 256 * 1024
_MOST_READS: Final = 64

_MOST_FOLDERS: Final = 2048
"""Of one worktree; one with more is not watched."""
_MOST_LATER: Final = 256
"""Folders that were made later and are watched, too: an agent may make any number."""
_MOST_OF_ALL: Final = 65_536
_LIMIT: Final = Path("/proc/sys/fs/inotify/max_user_watches")
_GIT_FOLDERS: Final = (".", "worktrees/worktree", "refs/heads")
_DEEPEST_REFS: Final = 64


@dataclass(slots=True)
class _Pod:
    watches: dict[int, Path] = field(default_factory=dict)
    later: int = 0
    is_whole: bool = True
    """Every folder that must be watched is."""


class Eyes:
    """Watches the worktrees of live pods. Where there is no inotify, nothing is watched."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._open()
        self._closing = weakref.finalize(self, _close, self._descriptor)
        self._room = _room()
        self._pods: dict[str, _Pod] = {}
        self._owners: dict[int, str] = {}

    def close(self) -> None:
        """Watch nothing any more."""
        self._closing()
        self._descriptor = -1
        self._pods.clear()
        self._owners.clear()

    def is_known(self, uid: str) -> bool:
        """Tell whether ``watch`` was called for the pod."""
        return uid in self._pods or self._descriptor < 0

    def is_watched(self, uid: str) -> bool:
        """Tell whether every change in the pod's worktree will be noticed."""
        pod = self._pods.get(uid)
        return pod is not None and pod.is_whole

    def watch(
        self,
        uid: str,
        repository: Path,
        worktree: Path,
        folders: Iterable[str],
        inner: Iterable[Path] = (),
    ) -> None:
        """Watch these folders of the worktree, and the repository, instead of what was before.

        *inner* are the repositories of submodules.
        """
        self.forget(uid)
        if self._descriptor < 0:
            return
        pod = self._pods[uid] = _Pod()
        wanted = [worktree, *(worktree / name for name in folders if name)]
        pod.is_whole = len(wanted) <= _MOST_FOLDERS
        submodules = (path for each in inner for path in _git_folders(each))
        for path in (*_git_folders(repository), *submodules, *wanted[:_MOST_FOLDERS]):
            if not self._add(uid, pod, path):
                pod.is_whole = False
                break

    def forget(self, uid: str) -> None:
        """Watch nothing of the pod any more."""
        pod = self._pods.pop(uid, None)
        for watch in pod.watches if pod is not None else ():
            self._owners.pop(watch, None)
            self._libc.inotify_rm_watch(self._descriptor, watch)

    def keep(self, uids: Iterable[str]) -> None:
        """Forget all pods but these."""
        for uid in self._pods.keys() - set(uids):
            self.forget(uid)

    def changed(self) -> set[str]:
        """Return the pods in which something changed since the last call; never waits."""
        found: set[str] = set()
        for _ in range(_MOST_READS):
            data = self._read()
            if not data:
                break
            at = 0
            while at < len(data):
                watch, mask, _, length = _HEADER.unpack_from(data, at)
                name = data[at + _HEADER.size : at + _HEADER.size + length].rstrip(b"\0")
                at += _HEADER.size + length
                if mask & _OVERFLOW:
                    found.update(self._pods)
                elif (uid := self._owners.get(watch)) is not None:
                    found.add(uid)
                    self._follow(uid, watch, mask, name)
        return found

    def _follow(self, uid: str, watch: int, mask: int, name: bytes) -> None:
        """Watch a folder that was made, too; forget one that is gone."""
        pod = self._pods[uid]
        if mask & _IGNORED:
            pod.watches.pop(watch, None)
            self._owners.pop(watch, None)
        elif mask & _IS_DIRECTORY and mask & (_CREATE | _MOVED_TO) and name:
            self._add_later(uid, pod, pod.watches[watch] / os.fsdecode(name))

    def _add_later(self, uid: str, pod: _Pod, path: Path) -> None:
        """Watch *path* and what was made in it before it was watched."""
        waiting = [path]
        while waiting and pod.later < _MOST_LATER:
            folder = waiting.pop()
            if folder.name == ".git" or not self._add(uid, pod, folder):
                continue
            pod.later += 1
            try:
                with os.scandir(folder) as entries:
                    waiting += [
                        Path(entry.path)
                        for _, entry in zip(range(_MOST_LATER), entries, strict=False)
                        if entry.is_dir(follow_symlinks=False)
                    ]
            except OSError:
                continue  # it is gone again

    def _add(self, uid: str, pod: _Pod, path: Path) -> bool:
        """Watch one folder; False when there is no room for it. One that is gone is no matter."""
        if len(self._owners) >= self._room:
            return False
        number = self._libc.inotify_add_watch(
            self._descriptor, os.fsencode(path), _CHANGES | _ONLY_REAL_FOLDERS
        )
        if number < 0:
            return ctypes.get_errno() not in {errno.ENOSPC, errno.ENOMEM}
        pod.watches[number] = path
        self._owners[number] = uid
        return True

    def _read(self) -> bytes:
        if self._descriptor < 0:
            return b""
        try:
            return os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return b""

    def _open(self) -> int:
        try:
            number = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except AttributeError:
            return -1  # not Linux
        return max(number, -1)


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


def _room() -> int:
    """Return how many folders may be watched: half of what this user may, others need some."""
    try:
        limit = int(_LIMIT.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return _MOST_OF_ALL
    return min(_MOST_OF_ALL, limit // 2)


def _git_folders(repository: Path) -> list[Path]:
    """Return where git writes when a commit is made: index, HEAD, refs of branches."""
    found = [repository / name for name in _GIT_FOLDERS]
    for folder, names, _ in os.walk(repository / "refs/heads"):
        found += [Path(folder) / name for name in names]
        if len(found) > _DEEPEST_REFS:
            break
    return found[:_DEEPEST_REFS]
