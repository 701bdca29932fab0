"""Keeps worktrees ready whose files are checked out already: a start needs only their names.

Below the runner's data directory::

    warm/<cache>/wanted.json      how many, of what, and when one was last asked for
    warm/<cache>/<number>/        worktree, its index, and warm.json: which commit it holds
    warm/<cache>/making-<number>  under way; what a runner that was killed left there goes

No agent has seen them. Whoever takes one renames it away: it is taken once, or not at all.
"""

import asyncio
import hashlib
import itertools
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gitaccess.command import Call, Git, GitRunError, Limits
from runner.clock import wall_ms
from runner.drivers.trash import Trash
from runner.drivers.worktree_files import write_through
from runner.git.cache import Cache, CacheError
from runner.git.errors import GitError
from runner.git.layout import WORKTREE_DIR, Blueprint, add_worktree, lay_out, object_folders
from runner.git.start import Wish, choose

logger = logging.getLogger(__name__)

_UNUSED_MS: Final = 24 * 3600 * 1000
"""A repository of which no pod was started for so long keeps none ready."""

_FREE_SHARE: Final = 0.1
"""None is made when less than this of the disk would be left to others."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many worktrees of a cache are to be ready."""

    number: int
    default_branch: str
    asked_ms: int
    url_sha256: str = ""
    """Of the Repository, hexadecimal; empty: an older runner noted it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A worktree that was ready, in a folder that is the taker's now."""

    commit: str
    """What index and files hold."""
    index: Path


class WarmTrees:
    """The worktrees that are ready, of all caches."""

    def __init__(self, directory: Path, git: Git, trash: Trash, limits: Limits) -> None:
        self._directory = directory
        self._git = git
        self._trash = trash
        self._limits = limits
        self._changed = asyncio.Event()
        self._known: Mapping[str, int] | None = None
        """How many of each Repository there are to be; None: nobody has told."""

    def want(self, cache: str, number: int, default_branch: str, url: str) -> None:
        """Note how many there are to be, as the latest pod of the repository says."""
        folder = self._directory / cache
        if number or folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            digest = hashlib.sha256(url.encode()).hexdigest()
            wanted = Wanted(number, default_branch, wall_ms(), digest)
            write_through(folder / "wanted.json", wanted)
            self._changed.set()

    def know(self, known: Mapping[bytes, int]) -> None:
        """Take from the controller how many there are to be, by the digest of the url.

        Repositories that are not named are gone, or want none any more.
        """
        self._known = {digest.hex(): number for digest, number in known.items()}
        self._changed.set()

    def _wanted(self, folder: Path) -> Wanted:
        wanted = _noted(folder)
        if self._known is None or not wanted.url_sha256:
            return wanted
        return replace(wanted, number=self._known.get(wanted.url_sha256, 0))

    def take(self, cache: str, target: Path) -> Taken | None:
        """Move one that is ready to *target*, which does not exist; None when there is none."""
        for entry in self._ready(cache):
            commit = _commit(entry)
            if not _is_moved(entry, target):
                continue  # somebody else has taken it
            (target / "warm.json").unlink(missing_ok=True)
            self._changed.set()
            if commit:
                return Taken(commit, target / "index")
            self._trash.discard(target)
        return None

    async def run(self, open_cache: Callable[[str], Cache | None]) -> None:
        """Make, renew and remove until cancelled; one at a time, and only when something changed.

        *open_cache* gives the cache of that name; None when the runner does not have it open.
        """
        await asyncio.to_thread(self._sweep)
        while True:
            self._changed.clear()
            for folder in await asyncio.to_thread(self._folders):
                try:
                    await self._tend(folder, open_cache(folder.name))
                except (GitRunError, GitError, CacheError, OSError):
                    logger.warning("a worktree could not be made ready", extra={"key": folder.name})
            try:
                async with asyncio.timeout(3600.0):
                    await self._changed.wait()
            except TimeoutError:
                continue  # look for what nobody has used for long

    async def _tend(self, folder: Path, cache: Cache | None) -> None:
        """Bring one cache's worktrees to what is wanted."""
        wanted = self._wanted(folder)
        if wanted.number == 0 or not 0 <= wall_ms() - wanted.asked_ms < _UNUSED_MS:
            self._trash.discard(folder)
            return
        for entry in self._ready(folder.name)[wanted.number :]:
            self._trash.discard(entry)
        if cache is None:
            return  # the first pod that starts opens it
        wish = Wish("", wanted.default_branch, "warm", named=False, create=None)
        commit = choose(cache.refs(), wish).commit
        for entry in self._ready(folder.name):
            if _commit(entry) != commit:
                await self._renew(entry, cache, commit)
        while len(self._ready(folder.name)) < self._wanted(folder).number and self._has_room():
            await self._make(folder, cache, commit)

    async def _make(self, folder: Path, cache: Cache, commit: str) -> None:
        making = folder / f"making-{_free(folder)}"
        making.mkdir(mode=0o700)
        await self._check_out(making, cache, None, commit)

    async def _renew(self, entry: Path, cache: Cache, commit: str) -> None:
        """Bring one to another commit; it is nobody else's meanwhile."""
        making = entry.with_name(f"making-{entry.name}")
        before = _commit(entry)
        if not _is_moved(entry, making):
            return  # it was taken
        await self._check_out(making, cache, before, commit)

    async def _check_out(self, making: Path, cache: Cache, before: str | None, commit: str) -> None:
        """Fill *making* with the files of the commit, and give it its name."""
        repository = making / "repo.git"
        try:
            lay_out(repository, Blueprint(object_folders(cache.repository)))
            add_worktree(making, making, "warm", commit)
            index = repository / WORKTREE_DIR / "index"
            if before:
                (making / "index").rename(index)
            await check_out(self._git, making, (before, commit), self._limits)
            await asyncio.to_thread(_strip, making, index, commit)
            self._trash.discard(repository)
            _is_moved(making, making.with_name(making.name.removeprefix("making-")))
        except BaseException:
            self._trash.discard(making)
            raise

    def _ready(self, cache: str) -> list[Path]:
        folder = self._directory / cache
        if not folder.is_dir():
            return []
        found = (path for path in folder.iterdir() if path.name.isdigit())
        return sorted(found, key=lambda path: int(path.name))

    def _folders(self) -> list[Path]:
        return sorted(self._directory.iterdir()) if self._directory.is_dir() else []

    def _sweep(self) -> None:
        """Remove what a dead runner was making."""
        for path in self._directory.glob("*/making-*"):
            self._trash.discard(path)

    def _has_room(self) -> bool:
        usage = shutil.disk_usage(self._directory)
        return usage.free >= _FREE_SHARE * usage.total


@dataclass(frozen=True, slots=True)
class _Ready:
    commit: str


async def check_out(
    git: Git, building: Path, commits: tuple[str | None, str], limits: Limits
) -> None:
    """Fill index and files of ``worktree`` below *building*: from one commit to another.

    Raises:
        GitRunError: They cannot be written.
    """
    before, after = commits
    if before == after:
        return
    from_to = [f"{each}^{{commit}}" for each in (before, after) if each]
    git_dir = building / "repo.git" / WORKTREE_DIR
    args = ("read-tree", "-m", "-u", *from_to)
    await git.run(Call(args, git_dir, building / "worktree", limits=limits))


def _strip(making: Path, index: Path, commit: str) -> None:
    """Leave files and index alone, and note what they hold."""
    index.rename(making / "index")
    (making / "worktree/.git").unlink()
    write_through(making / "warm.json", _Ready(commit))


def _is_moved(path: Path, target: Path) -> bool:
    """Rename; tell whether it was there to be renamed."""
    try:
        path.rename(target)
    except OSError:
        return False
    return True


def _commit(entry: Path) -> str:
    try:
        return str(json.loads((entry / "warm.json").read_text(encoding="utf-8"))["commit"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _noted(folder: Path) -> Wanted:
    try:
        return Wanted(**json.loads((folder / "wanted.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Wanted(0, "", 0)


def _free(folder: Path) -> int:
    taken = {path.name.removeprefix("making-") for path in folder.iterdir()}
    return next(number for number in itertools.count(1) if str(number) not in taken)
