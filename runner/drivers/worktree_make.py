"""Makes the worktree of a pod: brings the cache up to date, decides where to begin, checks out."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from gitaccess.command import Git, GitRunError, Limits
from gitaccess.explain import DISK_FULL, explain
from gitaccess.places import Location, is_commit
from runner.drivers.trash import Trash
from runner.drivers.worktree_extras import Extras
from runner.drivers.worktree_files import PodFiles, Record, finish, write_through
from runner.drivers.worktree_values import WorktreeRequest
from runner.drivers.worktree_warm import Taken, WarmTrees, check_out
from runner.git import names
from runner.git.cache import Cache, CacheError
from runner.git.errors import CheckoutFailedError, CloneFailedError, GitError
from runner.git.layout import (
    WORKTREE_DIR,
    Blueprint,
    add_worktree,
    copy_shallow,
    lay_out,
    object_folders,
    write_refs,
)
from runner.git.start import Start, Wish, choose

_SHOWN: Final = ("refs/remotes/origin/", "refs/tags/")
"""What a pod's repository sees of upstream."""


class Maker:
    """Makes worktrees that borrow from one cache."""

    def __init__(
        self,
        cache: Cache,
        git: Git,
        trash: Trash,
        limits: Limits,
        warm: WarmTrees,
        extras: Extras,
    ) -> None:
        self._cache = cache
        self._git = git
        self._trash = trash
        self._limits = limits
        self._warm = warm
        self._extras = extras

    async def make(self, files: PodFiles, location: Location, request: WorktreeRequest) -> Record:
        """Make the worktree and return its record, building a damaged cache anew where needed.

        Raises:
            GitError: One of ``runner.git.errors``, with a sentence for the user.
            OSError: The runner's disk cannot be written.
        """
        for rebuilt in (False, True):
            try:
                return await self._made(files, location, request)
            except CacheError as exc:
                if rebuilt or not exc.damaged:
                    raise _clone_failed(location.url, exc.sentence, exc) from exc
            except GitRunError as exc:
                failure = explain(exc, request.credentials)
                if rebuilt or not failure.damaged:
                    raise CheckoutFailedError(
                        f"The worktree could not be made: {failure.sentence}.",
                        retryable=failure.reason == DISK_FULL,
                        reason=failure.reason,
                    ) from exc
            try:
                await self._cache.rebuild(request.credentials)
            except CacheError as exc:
                ours = "the runner's own copy is damaged, and for a new one "
                sentence = exc.sentence if exc.damaged else f"{ours}{exc.sentence}"
                raise _clone_failed(location.url, sentence, exc) from exc
        raise AssertionError  # the second round returns or raises

    async def _made(self, files: PodFiles, location: Location, request: WorktreeRequest) -> Record:
        """Ask upstream and check out at the same time, from where it will probably begin."""
        guess = self._guess(request)
        if guess is None:
            start = await self._start(request)
            build = await self._build(files, location, request, start)
        else:
            start, guessed = await self._ask_and_build(files, location, request, guess)
            if guessed is None or not guessed.serves(start):
                build = await self._build(files, location, request, start)
            else:
                build = await self._amend(files, guessed, start)
        record = await self._extras.complete(files, location, request, build.record)
        finish(files)
        return record

    @property
    def _name(self) -> str:
        return self._cache.repository.parent.name

    def _guess(self, request: WorktreeRequest) -> Start | None:
        """Return where it begins unless upstream has moved on; None where nothing is known."""
        if is_commit(request.ref) or not self._cache.is_open_to(request.credentials):
            return None
        try:
            refs = self._cache.refs()
            start = choose(refs, _wish(request))
        except (CacheError, GitError):
            return None  # upstream may know better
        return None if start.commit in _tags(refs) else start

    async def _ask_and_build(
        self,
        files: PodFiles,
        location: Location,
        request: WorktreeRequest,
        guess: Start,
    ) -> tuple[Start, "_Build | None"]:
        """Return where it begins, and what was built meanwhile on the guess."""
        async with asyncio.TaskGroup() as tasks:
            building = tasks.create_task(self._try(files, location, request, guess))
            asking = tasks.create_task(_outcome(self._start(request)))
            start = await asking
            if isinstance(start, Exception) or not _same(start, guess):
                building.cancel()
        if isinstance(start, Exception):
            raise start
        return start, None if building.cancelled() else building.result()

    async def _try(
        self,
        files: PodFiles,
        location: Location,
        request: WorktreeRequest,
        guess: Start,
    ) -> "_Build | None":
        try:
            return await self._build(files, location, request, guess)
        except (GitRunError, CacheError, OSError):
            return None  # it is built again, and then it counts

    async def _start(self, request: WorktreeRequest) -> Start:
        """Return where the worktree begins, asking upstream unless the commit is here already."""
        cache, wish = self._cache, _wish(request)
        commit = wish.ref if is_commit(wish.ref) else ""
        here = commit and not wish.named and cache.is_open_to(request.credentials)
        if here and await cache.has_commit(commit):
            return Start(commit, wish.branch, follows=False)
        late = await _refresh(cache, request)
        refs = cache.refs()
        if commit and await cache.has_commit(commit):
            refs = {**refs, f"refs/agentsmesh/commits/{commit}": commit}
        elif commit and not late and await cache.fetch_commit(commit, request.credentials):
            refs = cache.refs()
        start = choose(refs, wish)
        if start.commit in _tags(refs):
            start = replace(start, commit=await cache.peeled(start.commit))
        return replace(start, note=" ".join(note for note in (late, start.note) if note))

    async def _build(
        self,
        files: PodFiles,
        location: Location,
        request: WorktreeRequest,
        start: Start,
    ) -> "_Build":
        """Make repository and worktree under another name; ``finish`` gives them theirs."""
        for left in (files.building, files.worktree, files.repository):
            self._trash.discard(left)  # of a runner that was killed before anyone saw them
        files.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken = await asyncio.to_thread(self._warm.take, self._name, files.building)
        files.building.mkdir(mode=0o700, exist_ok=True)
        built = files.building / "repo.git"
        record = Record(
            pod=request.pod,
            cache=self._name,
            url=location.url,
            local=location.local,
            branch=start.branch,
            commit=start.commit,
            note=start.note,
            namespace=request.namespace,
            base=start.base,
            named=bool(request.branch),
            depth=request.depth,
        )
        shown = self._shown()
        blueprint = Blueprint(
            object_folders(self._cache.repository),
            shown,
            location.url,
            (start.branch, start.branch) if start.follows else None,
        )
        lay_out(built, blueprint)
        copy_shallow(self._cache.repository, built)
        add_worktree(files.building, files.root, start.branch, start.commit)
        if taken is not None:
            taken.index.rename(built / WORKTREE_DIR / "index")

        # The record alone goes through to the disk, while git works. Were the machine itself to
        # fail, files of the last seconds are lost as they are in any checkout.
        async with asyncio.TaskGroup() as tasks:
            written = files.building / "worktree.json"
            tasks.create_task(asyncio.to_thread(write_through, written, record))
            failed = await self._check_out(files.building, taken, start.commit)
        if failed is not None:
            raise failed
        return _Build(start, record, shown)

    async def _check_out(
        self, building: Path, taken: Taken | None, commit: str
    ) -> GitRunError | None:
        """Fill index and worktree; what went wrong is returned, for the group around it."""
        before = taken.commit if taken is not None else None
        try:
            await check_out(self._git, building, (before, commit), self._limits)
        except GitRunError as exc:
            return exc
        return None

    async def _amend(self, files: PodFiles, build: "_Build", start: Start) -> "_Build":
        """Bring what was built on a right guess up to what upstream has said since."""
        shown = self._shown()
        if shown != build.shown:
            write_refs(files.building / "repo.git", shown)
        if start == build.start:
            return build
        record = replace(build.record, note=start.note)
        await asyncio.to_thread(write_through, files.building / "worktree.json", record)
        return _Build(start, record, shown)

    def _shown(self) -> dict[str, str]:
        """Return the refs of upstream that the pod's repository has."""
        return {
            name: commit for name, commit in self._cache.refs().items() if name.startswith(_SHOWN)
        }


@dataclass(frozen=True, slots=True)
class _Build:
    """What stands under another name and needs only its own."""

    start: Start
    record: Record
    shown: dict[str, str]

    def serves(self, start: Start) -> bool:
        """Whether it begins where it should."""
        return _same(self.start, start)


def _same(one: Start, other: Start) -> bool:
    """Whether both lead to the same files and branches; their notes may differ."""
    return replace(one, note="") == replace(other, note="")


async def _outcome(work: Coroutine[Any, Any, Start]) -> Start | Exception:
    """Return what became of *work*: a task group would wrap what it raises."""
    try:
        return await work
    except (GitError, GitRunError, CacheError, OSError) as exc:
        return exc


def check(request: WorktreeRequest) -> None:
    """Make sure that all that the request names can be a name of its kind.

    Raises:
        GitError: It cannot; says which field.
    """
    names.check_pod(request.uid, request.pod)
    if request.branch:
        names.check_branch(request.branch)
    names.check_ref(request.default_branch)
    names.check_ref(request.ref)


def _wish(request: WorktreeRequest) -> Wish:
    return Wish(
        request.ref,
        request.default_branch,
        request.branch or names.default_branch(request.uid, request.pod),
        bool(request.branch),
        request.create,
    )


async def _refresh(cache: Cache, request: WorktreeRequest) -> str:
    """Ask upstream; where it does not answer, return a note and go on with what is here."""
    try:
        await cache.fetch(request.credentials)
    except CacheError as exc:
        if exc.damaged or not exc.unreachable or not cache.refs():
            raise
        return f"The repository could not be fetched ({exc.sentence}): an earlier fetch was used."
    return ""


def _tags(refs: dict[str, str]) -> set[str]:
    return {commit for name, commit in refs.items() if name.startswith("refs/tags/")}


def _clone_failed(url: str, sentence: str, error: CacheError) -> CloneFailedError:
    return CloneFailedError(
        f"The repository {url} could not be fetched: {sentence}.",
        retryable=error.unreachable or error.reason == DISK_FULL,
        reason=error.reason,
    )
