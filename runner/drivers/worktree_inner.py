"""Looks at the submodules of a pod's worktree, running nothing of theirs."""

import asyncio
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gitaccess.command import Git, Limits
from runner.drivers.worktree_files import PodFiles, Record, Submodule
from runner.git.cache import TAGS, UPSTREAM
from runner.git.layout import copy_shallow, object_folders
from runner.git.lfs import Storage
from runner.git.refs import Head, UnreadableError, read_head, read_refs
from runner.git.view import View


@dataclass(slots=True)
class InnerState:
    """How the submodules stand."""

    dirty: bool = False
    """One of them has changes, or is at another commit than the repository around it says."""
    folders: list[str] = field(default_factory=list)
    """Those with files, below the worktree."""
    repositories: list[Path] = field(default_factory=list)


class Inner:
    """The submodules of one pod."""

    def __init__(
        self, files: PodFiles, record: Record, git: Git, limits: Limits, caches: Path
    ) -> None:
        self._files = files
        self._record = record
        self._git = git
        self._limits = limits
        self._caches = caches

    async def state(self, links: Mapping[str, str]) -> InnerState:
        """Return how they stand. *links*: the commit of each, as the repository around says.

        Raises:
            UnreadableError: The agent left something that git does not write.
            GitRunError: Git cannot look.
        """
        found = InnerState()
        wanted = dict(links)
        for number, each in enumerate(self._record.submodules):
            if not self._is_there(each):
                continue  # as after ``git submodule deinit``
            view, head, _ = await self._opened(number, each)
            tree = self._files.worktree / each.path
            await view.load(tree, head.commit)
            inner = await view.links()
            wanted |= {f"{each.path}/{path}": commit for path, commit in inner.items()}
            found.dirty |= head.commit != wanted.get(each.path) or await view.dirty(tree)
            found.folders += [each.path, *(f"{each.path}/{f}" for f in await view.folders())]
            found.repositories.append(self._files.repository / each.git_dir)
        return found

    async def untouched(self) -> frozenset[str]:
        """Return the paths of those that hold nothing but what upstream has, and neither within.

        Raises:
            GitRunError: Git cannot look.
        """
        touched = set()
        paths = {each.path for each in self._record.submodules}
        for number, each in enumerate(self._record.submodules):
            try:
                if not self._is_there(each) or await self._has_work(number, each, paths):
                    touched.add(each.path)
            except (UnreadableError, OSError):
                touched.add(each.path)
        return frozenset(
            path
            for path in paths
            if not any(other == path or other.startswith(f"{path}/") for other in touched)
        )

    def has_new_objects(self) -> bool:
        """Tell whether the pod's repository has objects of Git LFS that came not from the runner.

        Raises:
            OSError: They cannot be listed.
        """
        record = self._record
        return record.lfs and self._has_objects(self._files.repository, record.cache)

    def _has_objects(self, repository: Path, cache: str) -> bool:
        if not _is_real(repository, "lfs/objects"):
            return False
        storage = Storage(self._caches / cache / "lfs")
        own = Storage(repository / "lfs").oids()
        return any(not storage.path(oid).exists() for oid in own)

    async def _has_work(self, number: int, each: Submodule, paths: set[str]) -> bool:
        view, head, refs = await self._opened(number, each)
        tree = self._files.worktree / each.path
        await view.load(tree, head.commit)
        nested = {f"{each.path}/{name}" for name in await view.nested(tree)}
        if nested - paths or await view.dirty(tree):
            return True
        if self._has_objects(self._files.repository / each.git_dir, each.cache):
            return True
        known = read_refs(self._caches / each.cache / "repo.git")
        upstream = {commit for name, commit in known.items() if name.startswith((UPSTREAM, TAGS))}
        upstream.add(each.commit)
        own = {commit for name, commit in refs.items() if not name.startswith("refs/remotes/")}
        for commit in {head.commit, *own} - upstream - {""}:
            if not await view.is_within(commit, upstream):
                return True
        return False

    async def _opened(self, number: int, each: Submodule) -> tuple[View, Head, dict[str, str]]:
        """Return a view of the submodule at its HEAD, and its refs."""
        repository = self._files.repository / each.git_dir
        path = self._files.inner_views / str(number)
        view = View(path, self._git, self._limits, lfs=self._record.lfs)
        lender = self._caches / each.cache / "repo.git"
        await asyncio.to_thread(view.open, repository, object_folders(lender))
        await asyncio.to_thread(copy_shallow, lender, path)
        refs = read_refs(repository)
        head = read_head(repository, ".", refs)
        view.point(head.commit)
        return view, head, refs

    def _is_there(self, each: Submodule) -> bool:
        """Tell whether files and repository are where they were made, in real folders."""
        tree, repository = self._files.worktree, self._files.repository
        if not _is_real(tree, each.path) or not _is_real(repository, each.git_dir):
            return False
        link = tree / each.path / ".git"
        expected = f"gitdir: {repository / each.git_dir}\n"
        try:
            about = link.lstat()
            same = stat.S_ISREG(about.st_mode) and about.st_size == len(expected.encode())
            return same and link.read_text(encoding="utf-8", errors="replace") == expected
        except OSError:
            return False


def _is_real(root: Path, name: str) -> bool:
    at = root
    for part in name.split("/"):
        at /= part
        if at.is_symlink() or not at.is_dir():
            return False
    return True
