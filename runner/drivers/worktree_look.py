"""Looks at the worktrees of pods through views of the runner's own."""

import asyncio
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitaccess.command import Git, GitRunError, Limits
from runner.drivers.worktree_branches import findings_of
from runner.drivers.worktree_eyes import Eyes
from runner.drivers.worktree_files import PodFiles, Record
from runner.drivers.worktree_inner import Inner, InnerState
from runner.drivers.worktree_values import UNREAD, Finding, WorktreeState
from runner.git.layout import WORKTREE_DIR, copy_shallow, object_folders
from runner.git.refs import Head, read_head, read_ref, read_refs
from runner.git.view import View

logger = logging.getLogger(__name__)
clock = time.monotonic

LOOK_CPU_SECONDS: Final = 20
"""So long one git may work in a look at a pod: others wait for theirs."""
_LOOK_SECONDS: Final = 120.0
"""So long a look may take in all."""
_REST_SECONDS: Final = 300.0
"""Without a look, after one that took too long; twice as long after the next one."""
_MOST_REST: Final = 3600.0

TOO_SLOW: Final = Finding(
    UNREAD,
    "StatusTooSlow",
    "Git did not get through the worktree in time and was ended; it is taken for changed, and "
    "looked at again later. Look for patterns with many asterisks in .gitignore, and for very "
    "many files.",
)


@dataclass(frozen=True, slots=True)
class Base:
    """Upstream's branch as last compared with the beginning of a worktree."""

    tip: str = ""
    holds: bool = True


class Looker:
    """Tells how worktrees stand, and remembers what is to be said of them."""

    def __init__(self, caches: Path, git: Git, limits: Limits, eyes: Eyes) -> None:
        self._caches = caches
        self._git = git
        self._limits = limits
        self._eyes = eyes
        self._findings: dict[str, tuple[Finding, ...]] = {}
        self._bases: dict[str, Base] = {}
        self._rests: dict[str, float] = {}
        """After the last look that took too long: for how many seconds none is had."""
        self._rests_until: dict[str, float] = {}

    def findings(self, uid: str) -> tuple[Finding, ...]:
        """Return what is to be said of the pod's worktree, as of the last look."""
        return self._findings.get(uid, ())

    def forget(self, uid: str) -> None:
        """Forget the pod."""
        self._eyes.forget(uid)
        self._bases.pop(uid, None)
        self._rests.pop(uid, None)
        self._rests_until.pop(uid, None)
        self._findings.pop(uid, None)

    def unreadable(self, uid: str, why: str) -> None:
        """Say, until a look succeeds, that it cannot be told how the worktree stands."""
        text = f"{why.removesuffix('.')}: nobody can tell whether anything changed."
        said = (each for each in self.findings(uid) if each.kind != UNREAD)
        self._findings[uid] = (*said, Finding(UNREAD, "Unreadable", text))

    def inner(self, files: PodFiles, record: Record) -> Inner:
        """Return the pod's submodules."""
        return Inner(files, record, self._git, self._limits, self._caches)

    async def view(self, files: PodFiles, record: Record) -> View:
        """Return the runner's own view of the pod's repository.

        Raises:
            UnreadableError: The agent left something that git does not write.
        """
        view = View(files.view, self._git, self._limits, lfs=record.lfs)
        lender = self._caches / record.cache / "repo.git"
        await asyncio.to_thread(view.open, files.repository, object_folders(lender))
        await asyncio.to_thread(copy_shallow, lender, files.view)
        return view

    async def look(self, uid: str, files: PodFiles, record: Record) -> WorktreeState:
        """Return how the worktree stands, and watch it from now on.

        Raises:
            UnreadableError: The agent left something that git does not write.
            GitRunError: Git cannot look.
        """
        view = await self.view(files, record)
        head = read_head(files.repository, WORKTREE_DIR, read_refs(files.repository))
        if self._rests_until.get(uid, 0.0) > clock():
            return _unread(head)
        view.cpu_seconds = LOOK_CPU_SECONDS
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                state = await self._read(uid, files, record, view, head)
        except (GitRunError, TimeoutError) as exc:
            if isinstance(exc, GitRunError) and exc.code is not None:
                raise
            return self._too_slow(uid, record, head)
        self._rests.pop(uid, None)
        return state

    def _too_slow(self, uid: str, record: Record, head: Head) -> WorktreeState:
        """Look the less often, the oftener git did not come to an end."""
        rest = self._rests[uid] = min(2 * self._rests.get(uid, _REST_SECONDS / 2), _MOST_REST)
        self._rests_until[uid] = clock() + rest
        logger.warning("a worktree takes git too long", extra={"pod": uid, "rest_seconds": rest})
        said = self._findings.get(uid, record.findings)
        others = (each for each in said if each.kind != UNREAD)
        self._findings[uid] = (*others, TOO_SLOW)
        return _unread(head)

    async def _read(
        self, uid: str, files: PodFiles, record: Record, view: View, head: Head
    ) -> WorktreeState:
        view.point(head.commit)
        moved = await view.load(files.worktree, head.commit)
        if moved or not self._eyes.is_known(uid):
            await self._watch(uid, files, record, view)
        within = await self._within(files, record, view)
        dirty = await view.dirty(files.worktree) or within.dirty
        ahead = 0
        if head.commit and head.commit != record.commit:
            ahead = await view.count(record.commit, head.commit)
        rewritten = await self._rewritten(uid, record, view)
        self._findings[uid] = findings_of(record, rewritten)
        return WorktreeState(head.branch, head.commit, dirty, ahead, rewritten)

    async def _watch(self, uid: str, files: PodFiles, record: Record, view: View) -> None:
        """Watch the folders; call it before they are looked at."""
        within = await self._within(files, record, view)
        folders = (*await view.folders(), *within.folders)
        repositories = within.repositories
        self._eyes.watch(uid, files.repository, files.worktree, folders, repositories)

    async def _within(self, files: PodFiles, record: Record, view: View) -> InnerState:
        if not record.submodules:
            return InnerState()
        return await self.inner(files, record).state(await view.links())

    async def _rewritten(self, uid: str, record: Record, view: View) -> str:
        """Return upstream's branch where it was rewritten below the worktree, else nothing.

        As of the last fetch, which the start of any pod on the repository makes.
        """
        cache = self._caches / record.cache / "repo.git"
        tip = (
            await asyncio.to_thread(read_ref, cache, record.base)
            if record.base and not record.depth
            else ""
        )
        if tip in {"", record.commit}:
            return ""
        known = self._bases.get(uid, Base())
        if known.tip != tip:
            known = self._bases[uid] = Base(tip, await view.is_within(record.commit, [tip]))
        return "" if known.holds else tip


def _unread(head: Head) -> WorktreeState:
    """Return what is known without git's looking; nobody may take it for unchanged."""
    return WorktreeState(head.branch, head.commit, dirty=True, ahead=0, rewritten="")
