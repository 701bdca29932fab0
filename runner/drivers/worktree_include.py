"""Puts files of the runner's owner, such as ``.env``, into a new worktree.

They lie below the folder that the runner was started with (``--include-dir``), in a folder for
namespace and repository. Only what git ignores is put in, so that no commit of an agent has it.
Nothing is followed: neither a link among the files nor one in the worktree.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitaccess.command import Call, Git, GitRunError, Limits
from runner.drivers.worktree_values import Finding

_MOST_FILES: Final = 2000
_MOST_BYTES: Final = 256 * 1024 * 1024
_SHOWN: Final = 5
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Included:
    """Files and folders to be put in, and where they are."""

    source: Path
    """Of this namespace and repository."""
    names: tuple[str, ...]
    """Relative paths of files and folders."""


class Includer:
    """Puts files into worktrees that no agent has seen yet."""

    def __init__(self, git: Git, limits: Limits) -> None:
        self._git = git
        self._limits = limits

    async def include(self, what: Included, git_dir: Path, work_tree: Path) -> tuple[Finding, ...]:
        """Copy the files; return what is to be said of those that were left out.

        Raises:
            OSError: A file cannot be written.
            GitRunError: Git cannot tell what it ignores.
        """
        problems: list[str] = []
        found = list(_files(what, problems))
        files = [name for name in found if not _is_beyond_link(work_tree, name)]
        problems += [
            f"{name} does not fit into the worktree" for name in found if name not in files
        ]
        ignored = await self._ignored(git_dir, work_tree, files)
        seen = [name for name in files if name not in ignored]
        problems += [f"{name} is not ignored by git" for name in seen]
        for name in files:
            if name in ignored and (problem := _copied(what.source, work_tree, name)):
                problems.append(problem)
        if not problems:
            return ()
        more = ", …" if len(problems) > _SHOWN else ""
        text = f"Not all of worktree.include was put in: {', '.join(problems[:_SHOWN])}{more}."
        return (Finding("WorktreeAsAsked", "IncludeSkipped", text),)

    async def _ignored(self, git_dir: Path, work_tree: Path, names: Sequence[str]) -> set[str]:
        if not names:
            return set()
        stdin = b"".join(os.fsencode(name) + b"\0" for name in names)
        args = ("check-ignore", "-z", "--stdin")
        try:
            found = await self._git.run(
                Call(args, git_dir, work_tree, stdin=stdin, limits=self._limits)
            )
        except GitRunError as exc:
            if exc.code == 1:  # none is ignored. Source: git-check-ignore(1), exit status
                return set()
            raise
        return {os.fsdecode(name) for name in found.split(b"\0") if name}


def _files(what: Included, problems: list[str]) -> Iterator[str]:
    """Yield every file that is meant, each once; note what is not there or is no file."""
    seen, size = 0, 0
    for name in dict.fromkeys(what.names):
        parts = name.rstrip("/").split("/")
        if not all(parts) or {"..", ".", ".git"} & set(parts):
            problems.append(f"{name} is not a path inside a worktree")
            continue
        path = what.source.joinpath(*parts)
        found = list(_below(path, what.source))
        if not found:
            problems.append(f"{name} is not in the runner's include folder")
        for file in found:
            seen, size = seen + 1, size + file.lstat().st_size
            if seen > _MOST_FILES or size > _MOST_BYTES:
                problems.append("the rest is more than 2000 files or 256 MiB")
                return
            yield str(file.relative_to(what.source))


def _below(path: Path, root: Path) -> Iterator[Path]:
    """Yield the regular files at or below *path*, through real folders only."""
    for folder in [*reversed(path.relative_to(root).parents)][1:]:
        if (root / folder).is_symlink():
            return
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if stat.S_ISREG(mode):
        yield path
    elif stat.S_ISDIR(mode):
        for inner, _, files in os.walk(path, followlinks=False):
            every = (Path(inner) / file for file in sorted(files))
            yield from (file for file in every if stat.S_ISREG(file.lstat().st_mode))


def _is_beyond_link(work_tree: Path, name: str) -> bool:
    """Tell whether a folder of the path is a link in the worktree: git would not look behind it."""
    return any((work_tree / folder).is_symlink() for folder in [*Path(name).parents][:-1])


def _copied(source: Path, work_tree: Path, name: str) -> str:
    """Copy one file; return why it was not, if it was not."""
    *folders, file = name.split("/")
    here, there = os.open(source, _FOLDER), os.open(work_tree, _FOLDER)
    try:
        for folder in folders:
            here = _entered(here, folder)
            with contextlib.suppress(FileExistsError):  # whether it is a real one, opening it tells
                os.mkdir(folder, mode=0o755, dir_fd=there)
            there = _entered(there, folder)
        read = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        with os.fdopen(read, "rb") as original:
            mode = 0o700 if os.fstat(read).st_mode & stat.S_IXUSR else 0o600
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(file, flags, mode, dir_fd=there), "wb") as copy:
                shutil.copyfileobj(original, copy)
    except FileExistsError:
        return f"{name} is in the worktree already"
    except (NotADirectoryError, FileNotFoundError):
        return f"{name} does not fit into the worktree"
    finally:
        os.close(here)
        os.close(there)
    return ""


def _entered(folder: int, name: str) -> int:
    """Return the descriptor of a folder within, in place of the one around it."""
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    finally:
        os.close(folder)
