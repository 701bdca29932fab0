"""Reads the refs of a bare repository as text, trusting nothing that it finds.

No process, no symbolic link, no special file: a pod may have written what is read.
Source: gitrepository-layout(5); git-pack-refs(1).
"""

import os
import re
import stat
from pathlib import Path
from typing import Final, NamedTuple

_LOOSE_BYTES: Final = 4096
_PACKED_BYTES: Final = 64 * 1024 * 1024
_LOG_BYTES: Final = 4 * 1024 * 1024
_MOST_REFS: Final = 200_000
_DEEPEST: Final = 16
_PACKED_LINE: Final = re.compile(rb"([0-9a-f]{40}) (refs/[^\x00-\x20\x7f~^:?*\[\\]+)")
_COMMIT: Final = re.compile(rb"[0-9a-f]{40}")
_SYMBOLIC: Final = re.compile(rb"ref:\s*(refs/[^\x00-\x20\x7f~^:?*\[\\]+)")


class UnreadableError(Exception):
    """What is there is not what git writes."""


class Head(NamedTuple):
    """Where HEAD points."""

    branch: str
    """Short name; empty when detached."""
    commit: str
    """Empty when the branch has none yet."""


def read_refs(repository: Path) -> dict[str, str]:
    """Return the refs of *repository*, full name to object id, loose before packed.

    Symbolic refs are left out, and so is what does not look like a ref.

    Raises:
        UnreadableError: A link, a special file, or too much.
    """
    root = _open_directory(repository)
    try:
        found = _packed(root)
        found.update(_loose(root))
    finally:
        os.close(root)
    return found


def read_ref(repository: Path, name: str) -> str:
    """Return what *name* leads to, without reading all others; empty when there is no such ref.

    Only for a repository of the runner's own.
    """
    try:
        text = (repository / name).read_bytes().strip()
        return text.decode() if _COMMIT.fullmatch(text) else ""
    except OSError:
        pass  # it may be packed
    try:
        packed = (repository / "packed-refs").read_bytes()
    except OSError:
        return ""
    at = packed.find(b" " + name.encode() + b"\n")
    found = packed[max(0, at - 40) : at] if at >= 0 else b""
    return found.decode() if _COMMIT.fullmatch(found) else ""


def read_head(repository: Path, git_dir: str, refs: dict[str, str]) -> Head:
    """Return HEAD of the worktree whose folder is *git_dir* below *repository*.

    Raises:
        UnreadableError: There is none, or it is not what git writes.
    """
    root = _open_directory(repository)
    try:
        text = _read(root, f"{git_dir}/HEAD", _LOOSE_BYTES)
    finally:
        os.close(root)
    if text is None:
        raise UnreadableError("HEAD is missing")
    text = text.strip()
    if _COMMIT.fullmatch(text):
        return Head("", text.decode())
    match = _SYMBOLIC.fullmatch(text)
    name = _decoded(match[1]) if match else ""
    if not name.startswith("refs/heads/") or ".." in name:
        raise UnreadableError("HEAD names no branch")
    return Head(name.removeprefix("refs/heads/"), refs.get(name, ""))


def read_stashes(repository: Path) -> tuple[str, ...]:
    """Return the commits of ``git stash``, oldest first.

    Raises:
        UnreadableError: The list is not what git writes.
    """
    root = _open_directory(repository)
    try:
        text = _read(root, "logs/refs/stash", _LOG_BYTES) or b""
    finally:
        os.close(root)
    found = (line.split(b" ", 2)[1:2] for line in text.splitlines())
    return tuple(item[0].decode() for item in found if item and _COMMIT.fullmatch(item[0]))


def _packed(root: int) -> dict[str, str]:
    text = _read(root, "packed-refs", _PACKED_BYTES) or b""
    found = {}
    for line in text.splitlines():
        if (match := _PACKED_LINE.fullmatch(line)) and (name := _decoded(match[2])):
            found[name] = match[1].decode()
    _at_most(len(found))
    return found


def _loose(root: int) -> dict[str, str]:
    found: dict[str, str] = {}
    seen = 0
    for folder, folders, files, fd in os.fwalk("refs", dir_fd=root, follow_symlinks=False):
        seen += len(files) + len(folders)
        _at_most(seen)
        if folder.count("/") > _DEEPEST:
            folders.clear()
        for file in files:
            name = _decoded(os.fsencode(f"{folder}/{file}"))
            if not name or file.endswith(".lock"):
                continue
            text = (_read(fd, file, _LOOSE_BYTES) or b"").strip()
            if _COMMIT.fullmatch(text):
                found[name] = text.decode()
    return found


def _at_most(number: int) -> None:
    if number > _MOST_REFS:
        raise UnreadableError(f"there are more than {_MOST_REFS} refs")


def _decoded(name: bytes) -> str:
    """Return *name* as text; empty when it is not UTF-8, which we neither show nor keep."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return ""


def _open_directory(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as exc:
        raise UnreadableError(f"{path.name} is not a directory") from exc


def _read(root: int, name: str, most_bytes: int) -> bytes | None:
    """Return a regular file below *root*, through real directories only; None without one."""
    *folders, file = name.split("/")
    at = os.dup(root)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise UnreadableError(f"{name} cannot be read") from exc
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise UnreadableError(f"{name} is not a file")
    with os.fdopen(fd, "rb") as opened:
        data = opened.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise UnreadableError(f"{name} is too large")
    return data
