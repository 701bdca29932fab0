"""Makes the worktree of a pod: brings the cache up to date, decides where to begin, checks out."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Final

from runner.drivers.trash import Trash
from runner.drivers.worktree_files import PodFiles, Record, finish, write_through
from runner.drivers.worktree_values import WorktreeRequest
from runner.git import names
from runner.git.cache import Cache, CacheError
from runner.git.command import Call, Git, GitRunError, Limits
from runner.git.errors import CheckoutFailedError, CloneFailedError
from runner.git.explain import explain
from runner.git.layout import Blueprint, lay_out, move_worktree, object_folders
from runner.git.start import Start, Wish, choose

_SHOWN: Final = ("refs/remotes/origin/", "refs/tags/")
"""What a pod's repository sees of upstream."""


class Maker:
    """Makes worktrees that borrow from one cache."""

    def __init__(self, cache: Cache, git: Git, trash: Trash, limits: Limits) -> None:
        self._cache = cache
        self._git = git
        self._trash = trash
        self._limits = limits

    async def make(
        self, files: PodFiles, location: names.Location, request: WorktreeRequest
    ) -> Record:
        """Make the worktree and return its record, building a damaged cache anew where needed.

        Raises:
            GitError: One of ``runner.git.errors``, with a sentence for the user.
            OSError: The runner's disk cannot be written.
        """
        for rebuilt in (False, True):
            try:
                start = await self._start(request)
                return await self._build(files, location, request, start)
            except CacheError as exc:
                if rebuilt or not exc.damaged:
                    raise _clone_failed(
                        location.url, exc.sentence, retryable=exc.unreachable
                    ) from exc
            except GitRunError as exc:
                failure = explain(exc, request.credentials)
                if rebuilt or not failure.damaged:
                    raise CheckoutFailedError(
                        f"The worktree could not be made: {failure.sentence}."
                    ) from exc
            try:
                await self._cache.rebuild(request.credentials)
            except CacheError as exc:
                raise _clone_failed(
                    location.url,
                    f"the runner's own copy is damaged, and for a new one {exc.sentence}",
                    retryable=exc.unreachable,
                ) from exc
        raise AssertionError  # the second round returns or raises

    async def _start(self, request: WorktreeRequest) -> Start:
        """Return where the worktree begins, asking upstream unless the commit is here already."""
        cache, wish = self._cache, _wish(request)
        commit = wish.ref if names.is_commit(wish.ref) else ""
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
        location: names.Location,
        request: WorktreeRequest,
        start: Start,
    ) -> Record:
        """Make repository and worktree under another name, then give them theirs."""
        for left in (files.building, files.worktree, files.repository):
            self._trash.discard(left)  # of a runner that was killed before anyone saw them
        files.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.building.mkdir(mode=0o700)
        built = files.building / "repo.git"
        record = Record(
            pod=request.pod,
            cache=self._cache.repository.parent.name,
            url=location.url,
            local=location.local,
            branch=start.branch,
            commit=start.commit,
            note=start.note,
        )
        refs = self._cache.refs()
        blueprint = Blueprint(
            object_folders(self._cache.repository),
            {name: commit for name, commit in refs.items() if name.startswith(_SHOWN)},
            location.url,
            (start.branch, start.branch) if start.follows else None,
        )
        lay_out(built, blueprint)

        # The record alone goes through to the disk, while git works. Were the machine itself to
        # fail, files of the last seconds are lost as they are in any checkout.
        async with asyncio.TaskGroup() as tasks:
            written = files.building / "worktree.json"
            tasks.create_task(asyncio.to_thread(write_through, written, record))
            adding = tasks.create_task(self._add(files.building, start))
        if (error := adding.result()) is not None:
            raise error
        move_worktree(files.building, files.root)
        finish(files)
        return record

    async def _add(self, building: Path, start: Start) -> GitRunError | None:
        args = ("worktree", "add", "--quiet", "--no-track", "-b", start.branch)
        target = (str(building / "worktree"), start.commit)
        try:
            await self._git.run(Call((*args, *target), building / "repo.git", limits=self._limits))
        except GitRunError as exc:
            return exc
        return None


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


def _clone_failed(url: str, sentence: str, *, retryable: bool) -> CloneFailedError:
    return CloneFailedError(
        f"The repository {url} could not be fetched: {sentence}.", retryable=retryable
    )
