"""Looks at a pod's repository and files through a git directory of the runner's own.

Nothing of the pod's own git directory is used but objects, as data: no configuration, hooks,
attributes, index or alternates of it are ever read by git.
"""

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from gitaccess.command import Call, Git, Limits
from runner.git.layout import Blueprint, lay_out, set_alternates
from runner.git.refs import UnreadableError
from runner.git.view_lfs import LfsMarks

CPU_SECONDS: Final = 120
"""So long one git may work on the files or the history of a pod."""

_OBJECT_FOLDER: Final = re.compile(r"[0-9a-f]{2}|pack")
_MOST_OBJECTS: Final = 5_000_000
_OUT: Final = "refs/agentsmesh/out/"
_STATUS: Final = (
    "status", "--porcelain=v1", "-z", "--untracked-files=normal", "--ignore-submodules=all",
    "--no-renames", "--no-ahead-behind",
)  # fmt: skip
_ADD: Final = ("add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul")
_AUTHOR: Final = {
    "GIT_AUTHOR_NAME": "AgentsMesh",
    "GIT_AUTHOR_EMAIL": "noreply@agentsmesh.io",
    "GIT_COMMITTER_NAME": "AgentsMesh",
    "GIT_COMMITTER_EMAIL": "noreply@agentsmesh.io",
}


class View:
    """The runner's own view of one pod's repository."""

    def __init__(self, path: Path, git: Git, limits: Limits, *, lfs: bool = False) -> None:
        self._path = path
        self._git = git
        self._limits = limits
        self.cpu_seconds = CPU_SECONDS
        """So long one git may work: patterns and histories of a pod can keep it busy for ever."""
        self._lfs = LfsMarks(path, self._run) if lfs else None

    @property
    def path(self) -> Path:
        """The git directory of the runner's own."""
        return self._path

    def open(self, repository: Path, lent: Iterable[Path]) -> None:
        """Make the view anew where needed, and lead it to the objects that are there now.

        Raises:
            UnreadableError: Links or special files stand among the pod's objects.
        """
        if not (self._path / "config").exists():
            shutil.rmtree(self._path, ignore_errors=True)
            lay_out(self._path, Blueprint())
        (self._path / "index.lock").unlink(missing_ok=True)
        farm = self._path / "pod-objects"
        shutil.rmtree(farm, ignore_errors=True)
        farm.mkdir()
        for folder in _object_folders(repository / "objects"):
            (farm / folder.name).symlink_to(folder)
        set_alternates(self._path, (*lent, farm))

    def point(self, head: str, refs: Mapping[str, str] | None = None) -> None:
        """Set HEAD to a commit, or to none, and the refs that ``receive`` may take."""
        text = head or "ref: refs/heads/unborn"
        (self._path / "HEAD").write_text(f"{text}\n", encoding="utf-8")
        lines = (f"{commit} {name}\n" for name, commit in sorted((refs or {}).items()))
        (self._path / "packed-refs").write_text("".join(lines), encoding="utf-8")

    @staticmethod
    def out(number: int) -> str:
        """Return the name of the view's *number*-th ref."""
        return f"{_OUT}{number}"

    async def load(self, work_tree: Path, head: str) -> bool:
        """Bring the view's own index to *head*, keeping what is known of unchanged files.

        Returns:
            Whether it was another one before.
        """
        marker = self._path / "index-of"
        if marker.exists() and marker.read_text(encoding="utf-8") == head:
            return False
        marker.unlink(missing_ok=True)
        args = ("read-tree", "--reset", head) if head else ("read-tree", "--empty")
        await self._run(args, work_tree)
        marker.write_text(head, encoding="utf-8")
        return True

    async def dirty(self, work_tree: Path) -> bool:
        """Tell whether the files differ from HEAD, or new ones are not ignored."""
        locks = {"GIT_OPTIONAL_LOCKS": "1"}  # so that the next look finds a fresh index
        if self._lfs is None:
            return bool(await self._run(_STATUS, work_tree, environment=locks))
        await self._lfs.unmark(work_tree)
        said = await self._run(_STATUS, work_tree, environment=locks)
        return await self._lfs.mark(work_tree, said)

    async def count(self, base: str, head: str) -> int:
        """Return the number of commits from *base* to *head*."""
        return int(await self._run(("rev-list", "--count", head, f"^{base}")))

    async def is_within(self, commit: str, others: Iterable[str]) -> bool:
        """Tell whether *commit* can be reached from one of *others*."""
        lines = [commit, *(f"^{other}" for other in others)]
        found = await self._run(
            ("rev-list", "--max-count=1", "--stdin"),
            stdin="\n".join(lines).encode() + b"\n",
        )
        return not found

    async def parent(self, commit: str) -> str:
        """Return the first parent of *commit*; empty without one."""
        found = await self._run(("rev-list", "--parents", "--max-count=1", commit))
        return found.decode().strip().partition(" ")[2].partition(" ")[0]

    async def commit_files(self, work_tree: Path, head: str, message: str, twin: str) -> str:
        """Return a commit of all files on top of *head*; *head* where they are the same.

        *twin* is an earlier such commit or empty: it is returned where nothing has changed since.
        """
        (self._path / "index-of").unlink(missing_ok=True)
        (self._path / "index").unlink(missing_ok=True)
        if head:
            await self._run(("read-tree", head))
        if self._lfs is not None:  # so that contents do not take the place of pointers
            self._lfs.clear()
            await self.dirty(work_tree)
        await self._run(_ADD, work_tree, stdin=await self._all_but_nested(work_tree))
        tree = (await self._run(("write-tree",))).decode().strip()
        if head and tree == await self._tree(head):
            return head
        if not head and not await self._run(("ls-tree", tree)):
            return ""
        if twin and tree == await self._tree(twin):
            return twin
        parents = ("-p", head) if head else ()
        args = ("commit-tree", tree, *parents, "-m", message)
        return (await self._run(args, environment=_AUTHOR)).decode().strip()

    async def links(self) -> dict[str, str]:
        """Return the commit of each submodule of the index."""
        listed = await self._run(("ls-files", "--stage", "-z"))
        entries = (entry.partition(b"\t") for entry in listed.split(b"\0"))
        return {
            os.fsdecode(name): about.split(b" ")[1].decode()
            for about, _, name in entries
            if about.startswith(b"160000 ")
        }

    async def folders(self) -> tuple[str, ...]:
        """Return every folder that holds a file of the index, and those around it."""
        found: set[str] = set()
        for name in (await self._run(("ls-files", "-z"))).split(b"\0"):
            folder = name.rpartition(b"/")[0]
            while folder and (text := os.fsdecode(folder)) not in found:
                found.add(text)
                folder = folder.rpartition(b"/")[0]
        return tuple(sorted(found))

    async def nested(self, work_tree: Path) -> tuple[str, ...]:
        """Return folders that are repositories themselves and not empty: no commit holds them."""
        found = (os.fsdecode(name) for name in await self._nested(work_tree))
        return tuple(name for name in found if _holds_something(work_tree / name))

    async def _nested(self, work_tree: Path) -> list[bytes]:
        """Return every folder that git would take for a repository of its own."""
        listed = await self._run(("ls-files", "--stage", "-z"))
        entries = (entry.partition(b"\t") for entry in listed.split(b"\0"))
        links = [name for about, _, name in entries if about.startswith(b"160000 ")]
        new = await self._run(("ls-files", "--others", "--exclude-standard", "-z"), work_tree)
        return [*links, *(name[:-1] for name in new.split(b"\0") if name.endswith(b"/"))]

    async def _all_but_nested(self, work_tree: Path) -> bytes:
        """Return pathspecs for all files.

        Git looks into a repository within by starting itself there, under that one's own
        configuration: such folders must not even be compared.
        """
        nested = await self._nested(work_tree)
        return b"\0".join([b".", *(b":(top,literal,exclude)" + name for name in nested)]) + b"\0"

    async def _tree(self, commit: str) -> str:
        args = ("rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}")
        return (await self._run(args)).decode().strip()

    async def _run(
        self,
        args: tuple[str, ...],
        work_tree: Path | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> bytes:
        limits = replace(self._limits, cpu_seconds=self.cpu_seconds)
        call = Call(args, self._path, work_tree, environment or {}, stdin, limits)
        return await self._git.run(call)


def _object_folders(objects: Path) -> Iterator[Path]:
    """Yield the folders of a pod's objects, after looking at every entry: files and nothing else.

    ``objects/info`` is left out: it could lead to the objects of others.
    """
    _require(objects, stat.S_ISDIR)
    seen = 0
    for folder in objects.iterdir():
        if not _OBJECT_FOLDER.fullmatch(folder.name):
            continue
        _require(folder, stat.S_ISDIR)
        for file in folder.iterdir():
            _require(file, stat.S_ISREG)
            seen += 1
        if seen > _MOST_OBJECTS:
            raise UnreadableError("there are too many objects")
        yield folder


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and any(folder.iterdir())


def _require(path: Path, kind: Callable[[int], bool]) -> None:
    try:
        mode = path.lstat().st_mode
    except OSError as exc:
        raise UnreadableError(f"{path.name} among the objects cannot be read") from exc
    if not kind(mode):
        raise UnreadableError(f"{path.name} among the objects is not what git writes")
