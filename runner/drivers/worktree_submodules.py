"""Checks out submodules in a worktree that no agent has seen yet.

Each has a repository of its own below the pod's, which borrows from a cache of its own. Whatever
.gitmodules says is only a name, a path and an address, all of them checked: nothing of it is run
or handed to ``git submodule``. One that cannot be had is said, and the pod goes on; only what
trying again may mend stops the start.
"""

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gitaccess.command import Call, Git, GitRunError, Limits
from gitaccess.credentials import Credentials
from gitaccess.explain import DISK_FULL, explain
from gitaccess.places import Location
from runner.drivers.worktree_files import PodFiles, Submodule
from runner.drivers.worktree_values import Finding, WorktreeRequest
from runner.git.cache import Cache, CacheError
from runner.git.errors import CheckoutFailedError, CloneFailedError, NotAllowedError
from runner.git.layout import (
    WORKTREE_DIR,
    Blueprint,
    add_settings,
    copy_shallow,
    lay_out,
    object_folders,
    subsection,
)
from runner.git.modules import Module, read_modules, refusal, resolve

OpenCache = Callable[[Location], Cache]
"""Gives the cache of a repository that is opened with the pod's credentials and depth."""

_DEEPEST: Final = 4
"""So many levels of submodules within submodules."""
_MOST: Final = 64
_SHOWN: Final = 5
_REFS: Final = ("refs/remotes/origin/", "refs/tags/")


@dataclass(frozen=True, slots=True)
class _Place:
    """A repository with its files, whose submodules are to be checked out."""

    git_dir: Path
    """As it is built."""
    config_dir: Path
    """Where its configuration is."""
    tree: Path
    path: str
    """Below the worktree of the pod; empty: that one itself."""
    inner: str
    """Of ``git_dir`` below the pod's repository."""
    location: Location
    commit: str
    level: int = 0


@dataclass(slots=True)
class Outcome:
    """What became of the submodules."""

    made: list[Submodule] = field(default_factory=list)
    locations: dict[str, Location] = field(default_factory=dict)
    """Of each that was made, by its path."""
    problems: list[str] = field(default_factory=list)

    def findings(self) -> tuple[Finding, ...]:
        """Return what is to be said of those that were left out."""
        if not self.problems:
            return ()
        more = " …" if len(self.problems) > _SHOWN else ""
        text = f"{' '.join(self.problems[:_SHOWN])}{more}"
        return (Finding("WorktreeAsAsked", "SubmodulesNotCheckedOut", text),)


class _RefusedError(Exception):
    """This submodule is left out; the message follows its path and a colon."""


class Submodules:
    """Checks out the submodules of one worktree."""

    def __init__(
        self, git: Git, limits: Limits, open_cache: OpenCache, allow_local: Sequence[Path]
    ) -> None:
        self._git = git
        self._limits = limits
        self._open_cache = open_cache
        self._allow_local = allow_local
        self._outcome = Outcome()

    async def check_out(
        self, files: PodFiles, location: Location, commit: str, request: WorktreeRequest
    ) -> Outcome:
        """Check out all of them, and those within; return what was made and what was not.

        Raises:
            GitError: Trying again may help: the host is away, or the disk is full.
            OSError: The runner's disk cannot be written.
        """
        repository = files.building / "repo.git"
        waiting = [
            _Place(
                repository / WORKTREE_DIR,
                repository,
                files.building / "worktree",
                "",
                WORKTREE_DIR,
                location,
                commit,
            )
        ]
        while waiting:
            waiting += await self._level(waiting.pop(0), files, location, request)
        return self._outcome

    async def _level(
        self, place: _Place, files: PodFiles, main: Location, request: WorktreeRequest
    ) -> list[_Place]:
        """Check out the submodules of one repository; return them."""
        modules, links = await self._listed(place)
        made = []
        for module in modules:
            path = f"{place.path}/{module.path}" if place.path else module.path
            commit = links.pop(module.path, "")
            if not commit or module.never:
                continue  # git takes no notice of it either
            try:
                self._check(place, module, modules)
                base = _Base(place, path, commit)
                made.append(await self._make(base, module, files, main, request))
            except _RefusedError as exc:
                shown = path if path.isprintable() else repr(path)
                self._outcome.problems.append(f"Submodule {shown[:200]} is left out: {exc}.")
        return made

    async def _listed(self, place: _Place) -> tuple[tuple[Module, ...], dict[str, str]]:
        """Return what .gitmodules names, and the commit at each path that is a submodule."""
        call = ("ls-tree", "-r", "-z", place.commit)
        listed = await self._git.run(Call(call, place.git_dir, place.tree, limits=self._limits))
        entries = (entry.decode(errors="replace") for entry in listed.split(b"\0"))
        parts = (entry.partition("\t") for entry in entries if entry.startswith("160000 "))
        links = {path: about.split()[2] for about, _, path in parts}
        if not links:
            return (), {}
        config = ("config", f"--blob={place.commit}:.gitmodules", "--null", "--list")
        try:
            said = await self._git.run(Call(config, place.git_dir, place.tree, limits=self._limits))
        except GitRunError:
            said = b""  # there is none, or nobody can read it
        modules = read_modules(said)
        named = {module.path for module in modules}
        for path in sorted(links.keys() - named)[:_SHOWN]:
            shown = f"{place.path}/{path}".strip("/")[:200]
            text = f"Submodule {shown!r} is left out: .gitmodules does not name it."
            self._outcome.problems.append(text)
        return modules, links

    def _check(self, place: _Place, module: Module, modules: Sequence[Module]) -> None:
        if place.level >= _DEEPEST:
            raise _RefusedError(f"it is more than {_DEEPEST} levels deep")
        if len(self._outcome.made) >= _MOST:
            raise _RefusedError(f"there are more than {_MOST}")
        if why := refusal(module, modules):
            raise _RefusedError(why)
        at = place.tree
        for part in module.path.split("/"):
            at /= part
            if at.is_symlink() or (at.exists() and not at.is_dir()):
                raise _RefusedError("its path leads through something that is no folder")
        if at.exists() and any(at.iterdir()):
            raise _RefusedError("its folder holds files of the repository around it")

    async def _make(
        self,
        base: "_Base",
        module: Module,
        files: PodFiles,
        main: Location,
        request: WorktreeRequest,
    ) -> _Place:
        try:
            location = resolve(module.url, base.around.location, main, self._allow_local)
        except NotAllowedError as exc:
            raise _RefusedError(exc.message) from exc
        cache = self._open_cache(location)
        await self._brought(cache, base.commit, request.credentials)
        inner = f"{base.around.inner}/modules/{module.name}"
        place = _Place(
            base.around.git_dir / "modules" / module.name,
            base.around.git_dir / "modules" / module.name,
            base.around.tree / module.path,
            base.path,
            inner,
            location,
            base.commit,
            base.around.level + 1,
        )
        try:
            await self._filled(place, cache, files)
        except GitRunError as exc:
            await asyncio.to_thread(_emptied, place)
            failure = explain(exc)
            if failure.reason == DISK_FULL:
                text = f"The submodule {base.path} could not be written: {failure.sentence}."
                raise CheckoutFailedError(text, retryable=True, reason=DISK_FULL) from exc
            raise _RefusedError(f"it cannot be checked out: {failure.sentence}") from exc
        active = {"active": "true", "url": location.url}
        add_settings(base.around.config_dir, {subsection("submodule", module.name): active})
        name = cache.repository.parent.name
        self._outcome.made.append(Submodule(base.path, inner, name, base.commit))
        self._outcome.locations[base.path] = location
        return place

    async def _brought(self, cache: Cache, commit: str, credentials: Credentials | None) -> None:
        """Have the commit in the cache, asking upstream only where it is not there."""
        for rebuilt in (False, True):
            try:
                if cache.is_open_to(credentials) and await cache.has_commit(commit):
                    return
                await cache.fetch(credentials)
                found = await cache.has_commit(commit)
                if not found and not await cache.fetch_commit(commit, credentials):
                    raise _RefusedError(f"upstream does not have its commit {commit[:10]}")
            except CacheError as exc:
                if exc.damaged and not rebuilt:
                    await _rebuilt(cache, credentials)
                    continue
                raise _failed(exc) from exc
            return

    async def _filled(self, place: _Place, cache: Cache, files: PodFiles) -> None:
        final = files.repository / place.inner
        refs: Mapping[str, str] = {
            name: commit for name, commit in cache.refs().items() if name.startswith(_REFS)
        }
        lent = object_folders(cache.repository)
        lay_out(
            place.git_dir,
            Blueprint(lent, refs, place.location.url, work_tree=files.worktree / place.path),
        )
        copy_shallow(cache.repository, place.git_dir)
        (place.git_dir / "HEAD").write_text(f"{place.commit}\n", encoding="utf-8")
        place.tree.mkdir(parents=True, exist_ok=True)
        (place.tree / ".git").write_text(f"gitdir: {final}\n", encoding="utf-8")
        args = ("read-tree", "-m", "-u", f"{place.commit}^{{commit}}")
        await self._git.run(Call(args, place.git_dir, place.tree, limits=self._limits))


@dataclass(frozen=True, slots=True)
class _Base:
    """Where a submodule is to be."""

    around: _Place
    path: str
    """Below the worktree of the pod."""
    commit: str


def _emptied(place: _Place) -> None:
    """Leave the empty folder that git leaves of a submodule that is not checked out."""
    shutil.rmtree(place.git_dir, ignore_errors=True)
    shutil.rmtree(place.tree, ignore_errors=True)
    place.tree.mkdir(parents=True, exist_ok=True)


async def _rebuilt(cache: Cache, credentials: Credentials | None) -> None:
    try:
        await cache.rebuild(credentials)
    except CacheError as exc:
        raise _failed(exc) from exc


def _failed(error: CacheError) -> Exception:
    """Return what stops the start where trying again may help, else what leaves it out."""
    if error.unreachable or error.reason == DISK_FULL:
        text = f"A submodule could not be fetched: {error.sentence}."
        return CloneFailedError(text, retryable=True, reason=error.reason)
    return _RefusedError(f"it could not be fetched: {error.sentence}")
