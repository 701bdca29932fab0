"""Git worktrees: a checkout for each pod, borrowing its objects from one cache per repository.

Below the runner's data directory::

    caches/<hash of the url>/repo.git    bare, all of upstream; written by the runner alone
    pods/<uid>/worktree.json             what was made for the pod; written before it is handed out
    pods/<uid>/repo.git                  the pod's own refs, config and new objects
    pods/<uid>/worktree                  its files
    pods/<uid>/inspect.git               the runner's own view of the two above
    pods/<uid>/inspect-modules/          the same for each submodule
    caches/<hash of the url>/lfs         objects of Git LFS; lent to nobody, copied
    saved/<uid>.json                     whose work is kept, in which cache, under which refs
    warm/<cache>/                        worktrees that are ready before anyone asks
    kept/                                what could neither be saved nor may be deleted
    trash/                               renamed here, deleted in the background

What stands in a pod's repository and worktree is hostile once the agent has run.
"""

import asyncio
import errno
import itertools
import json
import logging
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitaccess.command import Git, GitRunError, Limits
from gitaccess.explain import DISK_FULL, explain
from gitaccess.places import Location
from runner.clock import wall_ms
from runner.drivers.trash import Trash
from runner.drivers.worktree_branches import NewBranches
from runner.drivers.worktree_extras import Extras
from runner.drivers.worktree_eyes import Eyes
from runner.drivers.worktree_files import PodFiles, Record, finish, read_record, write_through
from runner.drivers.worktree_kept import Kept, KeptWork, own_refs
from runner.drivers.worktree_look import Looker
from runner.drivers.worktree_make import Maker, check
from runner.drivers.worktree_save import Keeper
from runner.drivers.worktree_values import (
    Finding,
    SavedRef,
    Worktree,
    WorktreeRequest,
    WorktreeState,
)
from runner.drivers.worktree_warm import WarmTrees
from runner.git import names
from runner.git.cache import Cache, CacheError, CacheLimits, cache_name
from runner.git.errors import (
    CheckoutFailedError,
    SaveFailedError,
    WorktreeLostError,
)
from runner.git.layout import object_folders
from runner.git.refs import UnreadableError

logger = logging.getLogger(__name__)

_TIDY_SECONDS: Final = 600.0
_AGAIN_SECONDS: Final = 0.2
"""A repository that cannot be read is looked at once more: its own git may be tidying it up."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class WorktreeSettings:
    """How worktrees are made."""

    allow_local: tuple[Path, ...] = ()
    """Folders below which repositories may be opened by path or ``file:`` URL."""

    include_dir: Path | None = None
    """Where files to be put into worktrees are: ``<namespace>/<repository>/...`` below it."""

    fetch_seconds: float = 3600.0
    """Longest time for a fetch as a whole."""

    idle_seconds: float = 60.0
    """Longest time for a fetch to show no progress."""

    local_seconds: float = 600.0
    """Longest time for any other step."""


class GitWorktrees:
    """Worktrees made by git."""

    def __init__(
        self, data_dir: Path, trash: Trash, settings: WorktreeSettings | None = None
    ) -> None:
        self._data_dir = data_dir.resolve()
        self._trash = trash
        self._settings = settings or WorktreeSettings()
        self._git = Git(self._data_dir / "git")
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._git.prepare()
        self._caches: dict[str, Cache] = {}
        self._branches = NewBranches(self._data_dir / "pods")
        self.kept = KeptWork(self._data_dir, self._git, Limits(self._settings.local_seconds))
        """The work of pods that are gone."""
        limits = Limits(self._settings.local_seconds)
        self.warm = WarmTrees(self._data_dir / "warm", self._git, trash, limits)
        """Worktrees that are ready; ``tend`` keeps them so."""
        self.eyes = Eyes()
        """Notices changes in the worktrees that were inspected, until told to forget them."""
        self._looker = Looker(self._data_dir / "caches", self._git, limits, self.eyes)
        self._extras = Extras(
            self._git,
            Limits(self._settings.fetch_seconds, self._settings.idle_seconds),
            limits,
            self._cache_of,
            self._settings.allow_local,
            self._settings.include_dir,
        )
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def ensure(self, request: WorktreeRequest) -> Worktree:
        """Return the worktree of the pod, making it if absent. Safe to repeat after a crash.

        Raises:
            GitError: One of ``runner.git.errors``, with a sentence for the user.
        """
        location = names.locate(request.url, self._settings.allow_local)
        check(request)
        async with self._only(request.uid):
            files = self._files(request.uid)
            try:
                record = _record(files)
                if record is None:
                    cache = self._cache_of(location, request)
                    limits = Limits(self._settings.local_seconds)
                    maker = Maker(cache, self._git, self._trash, limits, self.warm, self._extras)
                    async with self._branches.held(request, location.url):
                        record = await maker.make(files, location, request)
                    self.warm.want(record.cache, request.warm, request.default_branch, request.url)
                elif files.building.exists():
                    finish(files)
            except OSError as exc:
                raise CheckoutFailedError(
                    f"The worktree could not be written on the runner: {exc.strerror or exc}.",
                    retryable=True,
                    reason=DISK_FULL if exc.errno in _FULL else "",
                ) from exc
            return self._made(files, record)

    async def inspect(self, uid: str) -> WorktreeState | None:
        """Return how the worktree stands, running nothing of the pod's; None without worktree.

        Raises:
            WorktreeLostError: The agent left something that cannot be read as a repository.
        """
        async with self._only(uid):
            files = self._files(uid)
            record = _record(files)
            if record is None:
                return None
            try:
                self._made(files, record)
                return await self._looked(uid, files, record)
            except WorktreeLostError as exc:
                self._looker.unreadable(uid, exc.message)
                raise

    async def _looked(self, uid: str, files: PodFiles, record: Record) -> WorktreeState:
        with suppress(UnreadableError, OSError, GitRunError):
            return await self._looker.look(uid, files, record)
        await asyncio.sleep(_AGAIN_SECONDS)
        try:
            return await self._looker.look(uid, files, record)
        except (UnreadableError, OSError) as exc:
            raise WorktreeLostError(
                f"The pod's repository cannot be read as the agent left it: {exc}."
            ) from exc
        except GitRunError as exc:
            raise WorktreeLostError(
                f"The pod's worktree cannot be read: {explain(exc).sentence}.", retryable=True
            ) from exc

    async def save(self, uid: str) -> SavedRef | None:
        """Keep in the cache what upstream does not have; None when that is nothing.

        Call it after the last process of the pod ended and before ``remove``. Safe to repeat.

        Raises:
            SaveFailedError: Not all could be kept. Nothing was removed; the next ``remove``
                moves the files below ``kept/``.
        """
        async with self._only(uid):
            return await self._save(uid)

    async def remove(self, uid: str) -> Path | None:
        """Take the worktree and the pod's repository away. Removing an absent one is fine.

        Work that ``save`` was not called for is saved first.

        Returns:
            Where the files were kept when ``save`` could not keep all of them, else None.
        """
        async with self._only(uid):
            files = self._files(uid)
            if files.record.exists() and not files.saved.exists():
                try:
                    await self._save(uid)
                except (SaveFailedError, WorktreeLostError) as exc:
                    files.unsaved.write_text(exc.message, encoding="utf-8")
            self._looker.forget(uid)
            kept = self._keep(files, uid) if files.unsaved.exists() else None
            if kept is not None:
                self.kept.note_files(uid, kept)
            for path in (
                files.worktree,
                files.repository,
                files.building,
                files.view,
                files.inner_views,
                files.unsaved,
                files.record,
                files.saved,  # last: until then ``save`` can tell again what was kept
            ):
                self._trash.discard(path)
            return kept

    async def tend(self) -> None:
        """Keep worktrees ready, and the caches tidy, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.warm.run(self._caches.get))
            tasks.create_task(self._tidy())

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            for cache in list(self._caches.values()):
                try:
                    await cache.tidy()
                except (GitRunError, CacheError, OSError):
                    logger.warning("a cache could not be repacked")

    def findings(self, uid: str) -> tuple[Finding, ...]:
        """Return what is to be said of the pod's worktree, as of its last inspection."""
        return self._looker.findings(uid)

    def _only(self, uid: str) -> asyncio.Lock:
        """Return the lock of one pod: its worktree is made, looked at or removed, one at a time."""
        return self._locks.setdefault(uid, asyncio.Lock())

    def _files(self, uid: str) -> PodFiles:
        names.check_pod(uid, "pod")
        return PodFiles(self._data_dir / "pods" / uid)

    def _cache_of(self, location: Location, request: WorktreeRequest) -> Cache:
        name = cache_name(location, request.credentials, request.depth)
        return self._cache(name, location, request.depth)

    def _cache(self, name: str, location: Location, depth: int) -> Cache:
        if name not in self._caches:
            settings = self._settings
            limits = CacheLimits(
                fetch=Limits(settings.fetch_seconds, settings.idle_seconds),
                local=Limits(settings.local_seconds),
            )
            directory = self._data_dir / "caches" / name
            self._caches[name] = Cache(directory, location, self._git, limits, depth)
        return self._caches[name]

    def _made(self, files: PodFiles, record: Record) -> Worktree:
        for path in (files.worktree, files.repository):
            if path.is_symlink() or not path.is_dir():
                raise WorktreeLostError(
                    f"The pod's {path.name} was removed or replaced by its agent: delete the pod "
                    "and create it again."
                )
        caches = self._data_dir / "caches"
        lent = (object_folders(caches / name / "repo.git") for name in record.caches)
        return Worktree(
            files.worktree,
            files.repository,
            record.branch,
            record.commit,
            tuple(itertools.chain.from_iterable(lent)),
            record.note,
        )

    async def _save(self, uid: str) -> SavedRef | None:
        files = self._files(uid)
        record = _record(files)
        if files.saved.exists():
            return _saved(files.saved)
        if record is None:
            return None
        try:
            self._made(files, record)
            view = await self._looker.view(files, record)
            location = Location(record.url, local=record.local)
            cache = self._cache(record.cache, location, record.depth)
            inner = self._looker.inner(files, record)
            saved = await Keeper(view, cache, uid, record.pod, inner).keep(files)
            if saved is not None:
                self._note(uid, record, saved, own_refs(uid, sorted(cache.refs().items())))
        except (UnreadableError, OSError, WorktreeLostError) as exc:
            why = str(exc).rstrip(".")
        except (GitRunError, CacheError) as exc:
            why = exc.sentence if isinstance(exc, CacheError) else explain(exc).sentence
        else:
            if saved is not None and saved.note:
                files.unsaved.write_text(saved.note, encoding="utf-8")
            write_through(files.saved, saved or _NOTHING)
            return saved
        self._note(uid, record, _NOTHING, ())
        files.unsaved.write_text(why, encoding="utf-8")
        raise SaveFailedError(
            f"The pod's work could not be kept under a ref ({why}): its files are moved below "
            "kept/ in the runner's data directory instead of being deleted."
        )

    def _note(
        self, uid: str, record: Record, saved: SavedRef, refs: tuple[tuple[str, str], ...]
    ) -> None:
        """Write down whose work is kept, before anything of it is taken away."""
        self.kept.note(
            Kept(
                uid=uid,
                namespace=record.namespace,
                pod=record.pod,
                branch=record.branch,
                cache=record.cache if refs else "",
                saved_ms=wall_ms(),
                ref=saved.ref,
                refs=refs,
            )
        )

    def _keep(self, files: PodFiles, uid: str) -> Path | None:
        """Move what may not be deleted out of the pod's directory."""
        try:
            record = _record(files)
        except WorktreeLostError:
            record = None
        name = names.own_name(uid, record.pod) if record else uid
        left = [path for path in (files.worktree, files.repository) if path.exists()]
        if not left:
            return None
        for number in itertools.count(1):
            target = self._data_dir / "kept" / (name if number == 1 else f"{name}-{number}")
            if not any((target / path.name).exists() for path in left):
                break
        else:
            raise AssertionError  # numbers do not end
        target.parent.mkdir(mode=0o700, exist_ok=True)
        target.mkdir(mode=0o700, exist_ok=True)
        for path in left:
            path.rename(target / path.name)
        return target


def _record(files: PodFiles) -> Record | None:
    try:
        return read_record(files.record)
    except (ValueError, TypeError) as exc:
        raise WorktreeLostError(
            "The runner's record of the pod's worktree is damaged: delete the pod and create it "
            "again; its files are kept."
        ) from exc


_NOTHING = SavedRef("", "")


def _saved(path: Path) -> SavedRef | None:
    fields = json.loads(path.read_text(encoding="utf-8"))
    saved = SavedRef(**{**fields, "others": tuple(fields["others"])})
    return None if saved == _NOTHING else saved
