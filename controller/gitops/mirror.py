"""One bare mirror per source: what is fetched, read, committed and pushed. Never a checkout.

A mirror is a copy: whatever is wrong with it, it is made anew.
Errors: ``controller.gitops.remote``.
"""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from controller.gitops import pushing
from controller.gitops.committing import Committer, Draft
from controller.gitops.in_vain import InVain
from controller.gitops.reading import Reader, TicketCommit
from controller.gitops.remote import (
    COMMIT_GONE,
    FETCH_FAILED,
    REPOSITORY_DAMAGED,
    REPOSITORY_MALFORMED,
    URL_NOT_ALLOWED,
    Declined,
    GoneError,
    LateError,
    MirrorError,
    Outcome,
    Pushed,
    RefusedError,
    Rejected,
    Remote,
    Unreachable,
)
from controller.gitops.shares import Shares
from controller.gitops.trees import Trees
from controller.gitops.upkeep import swap, tidy
from controller.gitops.upstream import TIP, MirrorSettings, Upstream, is_flawed, reason_of
from controller.gitops.values import MAX_LISTED, Entry
from gitaccess.command import Call, Git, GitRunError, Limits
from gitaccess.explain import TOO_LARGE, explain
from gitaccess.leavings import sweep
from gitaccess.places import is_commit

logger = logging.getLogger(__name__)

_DEPTH: Final = 300
"""Commits that a new mirror begins with. Later ones come without a gap."""
_WHOLE: Final = "agentsmesh-whole"
"""A file in mirrors from which nothing is left out."""
_CONTENT: Final = frozenset({TOO_LARGE, REPOSITORY_DAMAGED, REPOSITORY_MALFORMED})
"""Reasons that stay the same until the branch is at another commit."""
_DEEPER: Final = 20_000
"""Commits to find out whether an operation landed."""


class Mirror:
    """The mirror of one source. Its methods may be called at the same time."""

    def __init__(
        self, directory: Path, git: Git, settings: MirrorSettings, shares: Shares | None = None
    ) -> None:
        """*directory* is this source's alone: ``<data-dir>/git/<uid>``; it need not exist.

        *shares*: the places for speaking to servers, which mirrors share.
        """
        self._directory = directory
        self._repository = directory / "repo.git"
        self._git = git
        self._settings = settings
        self._upstream = Upstream(directory, git, settings, shares or Shares())
        self._limits = Limits(settings.local_seconds, memory_bytes=settings.memory_bytes)
        self._reader = Reader(self._repository, git, self._limits)
        self._committer = Committer(self._repository, git, self._limits)
        self._writing = asyncio.Lock()
        """Held by whoever writes to the mirror or speaks to the server; readers need it not."""
        self._using: Remote | None = None
        self._swept = False
        self._suspect = False
        """Something was missing that must be there."""
        self._made = 0
        """How often it was made anew: what a reader missed meanwhile proves nothing."""
        self._fetched = ""
        self._pushed = ""
        """What we pushed since: it is here with all that it needs."""
        self._trees = Trees()
        self._in_vain = InVain()
        self._deeper_in_vain = InVain()

    def use(self, remote: Remote) -> None:
        """Set which branch it is and what opens it, from the next call on."""
        self._using = remote

    async def remote_tip(self) -> str | None:
        """Return the commit of the branch as the server says (one round trip), None if absent.

        Raises:
            MirrorError: It cannot be asked, or refuses.
        """
        async with self._writing:
            return await self._upstream.tip(self._remote())

    async def is_empty(self) -> bool:
        """Tell whether the repository has no branch at all; to be asked when the tip is None.

        Raises:
            MirrorError: It cannot be asked, or refuses.
        """
        async with self._writing:
            return await self._upstream.is_empty(self._remote())

    def has(self, commit: str) -> bool:
        """Tell whether we pushed the commit ourselves just now, so that it need not be fetched."""
        return commit == self._pushed and not self._suspect

    async def fetch(self) -> str:
        """Bring the branch here; return its commit. A new mirror has the last 300 commits.

        Files that are too large to be read are left out where the server can do so. A damaged
        mirror is made anew.

        Raises:
            MirrorError: ``BranchNotFound`` (refused) if it is not there.
        """
        async with self._writing:
            remote = self._remote()
            await self._spare(remote)
            try:
                self._fetched, self._pushed = await self._fetch(remote), ""
            except RefusedError as exc:
                if exc.reason in _CONTENT:
                    self._in_vain.note(await self._upstream.tip(remote), exc)
                raise
            except LateError as exc:
                self._in_vain.note(None, exc)
                raise
            self._in_vain.clear()
            return self._fetched

    async def path_exists(self, commit: str, path: str) -> bool:
        """Tell whether *path* (``.`` is the root) is a folder in the commit.

        Raises:
            MirrorError: The commit is not here, or the path can be none.
        """
        async with self._reading(commit) as reader:
            return await reader.tree(commit, path) is not None

    async def entries(self, commit: str, path: str, most: int = MAX_LISTED) -> list[Entry]:
        """Return everything below *path* (``.`` is the root) by path; nothing if there is none.

        A file that was left out by ``fetch`` has the size ``MAX_FILE_BYTES + 1``.

        Raises:
            RefusedError: ``TooManyFiles``: there are more than *most*.
            MirrorError: The commit is not here, or the path can be none.
        """
        at = (commit, path, self._made)
        async with self._reading(commit) as reader:
            return await self._trees.entries(reader, at, most)

    async def blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Return the contents; those that are not here or longer than MAX_FILE_BYTES are left out.

        All are in memory at once: cut with ``reading.batches`` what may be large.

        Raises:
            MirrorError: They cannot be read.
        """
        async with self._reading() as reader:
            return await reader.blobs(ids, self._trees.sizes)

    async def newest(self, commit: str, path: str) -> list[str]:
        """Return paths below the folder, those first that were changed last.

        As far as the last 300 commits say: not all files need be among them.

        Raises:
            MirrorError: The commit is not here.
        """
        async with self._reading(commit) as reader:
            await reader.tree(commit, ".")
            return await reader.newest(commit, path, _DEPTH)

    async def commits(self, old: str | None, new: str, most: int = _DEPTH) -> list[TicketCommit]:
        """Return the commits in *new* and not in *old* that name a ticket, newest first.

        None for *old*, or one that is not here: as far as the mirror goes back. None at all where
        somebody made one that does not fit into memory.

        Raises:
            MirrorError: *new* is not here.
        """
        async with self._reading(new) as reader:
            await reader.tree(new, ".")
            known = old if old and await self._is_here(old) else None
            try:
                return await reader.log(known, new, "Ticket", most)
            except GitRunError as exc:
                if explain(exc).reason != TOO_LARGE:
                    raise
                logger.warning("commits are too large to be read", extra={"reason": exc.verb})
                return []

    async def descends(self, new: str, old: str) -> bool | None:
        """Tell whether *old* is *new* or comes before it, as far as the mirror goes back.

        None: *old* is not here, so it is not known.

        Raises:
            MirrorError: It cannot be told.
        """
        if not is_commit(old):
            return None
        async with self._reading() as reader:
            return await reader.descends(new, old)

    async def operations_landed(self, old: str | None, new: str) -> dict[str, str]:
        """Return ``Operation-Id`` and commit, of those in *new* and not in *old*.

        A mirror that does not go back to *old* is filled up as far as 20,000 commits.

        Raises:
            MirrorError: *new* is not here, or the server that must be asked cannot be.
        """
        async with self._reading(new) as reader:
            await reader.tree(new, ".")
            if old and not await reader.descends(new, old):
                await self._deepen()  # or it is not in its history, as after a push by force
            known = old if old and await self._is_here(old) else None
            found = await reader.log(known, new, "Operation-Id", _DEEPER, all_or_none=True)
        return {each: commit.commit for commit in reversed(found) for each in commit.operations}

    async def commit_all(self, parent: str, drafts: Sequence[Draft]) -> list[str]:
        """Make one commit for each draft, each on the one before, the first on *parent*.

        Nothing but the mirror knows of them until they are pushed. A file keeps its mode.

        Raises:
            RefusedError: ``PathInvalid``: a path that must not be written, or where a link,
                a submodule or a folder is in its way.
            MirrorError: *parent* is not here, or it cannot be done.
        """
        async with self._writing, self._reading(parent) as reader:
            await self._sweep()
            await reader.tree(parent, ".")
            try:
                return await self._committer.make(parent, drafts)
            except BaseException:
                self._swept = False  # a git that was ended may leave its locks
                raise

    async def push(self, commit: str, expect: str) -> Outcome:
        """Set the branch to *commit*, which descends from *expect*, if the branch is there.

        Never by force.
        """
        async with self._writing:
            remote = self._remote()
            try:
                if (tip := await self._upstream.tip(remote)) != expect:
                    return Rejected(f"the branch is at {tip or 'no commit'} meanwhile")
                if not await self._reader.descends(commit, expect):
                    return Rejected(f"commit {commit} does not descend from {expect}")
                output = await self._upstream.push(self._repository, remote, commit)
            except RefusedError as exc:
                return Declined(exc.reason, exc.sentence)
            except MirrorError as exc:
                return Unreachable(exc.reason, exc.sentence)
            except GitRunError as exc:
                return pushing.failed(exc, remote.credentials)
            outcome = pushing.settled(commit, output)
            if isinstance(outcome, Pushed):
                self._pushed = commit
        return outcome

    async def remove(self) -> None:
        """Delete the mirror with all that is in it; there may be none."""
        async with self._writing:
            self._made += 1
            self._fetched = self._pushed = ""
            await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    def _remote(self) -> Remote:
        if self._using is None:
            raise RefusedError(URL_NOT_ALLOWED, "it is not known yet where the repository is")
        return self._using

    async def _sweep(self) -> None:
        """Remove the locks of a git that was killed: no other one is at work here now."""
        if not self._swept:
            await asyncio.to_thread(sweep, self._repository)
            self._swept = True

    def _is_whole(self) -> bool:
        return (self._repository / _WHOLE).exists()

    async def _spare(self, remote: Remote) -> None:
        """Do not fetch again in vain what is too large, too much work or malformed."""
        if self._in_vain.noted:
            self._in_vain.check_time()
            self._in_vain.check(await self._upstream.tip(remote))

    async def _fetch(self, remote: Remote) -> str:
        if self._suspect or not self._repository.exists():
            return await self._fetch_anew(remote)
        await self._sweep()
        whole = self._is_whole()
        try:
            await self._upstream.fetch(self._repository, remote, whole=whole)
            tip = await self._tip(self._repository)
        except GitRunError as exc:
            self._swept = False
            failure = explain(exc, remote.credentials)
            flawed = is_flawed(exc) and not whole
            if not failure.damaged and failure.reason != TOO_LARGE and not flawed:
                raise reason_of(exc, remote) from exc
            logger.warning("mirror is made anew", extra={"reason": failure.sentence})
            return await self._fetch_anew(remote, whole=flawed)
        self._suspect = not await tidy(self._repository, self._git, self._settings)
        return tip

    async def _fetch_anew(self, remote: Remote, *, whole: bool = False) -> str:
        """Make a new mirror; the old one stays in its place until there is one."""
        new = self._directory / "new.git"
        await asyncio.to_thread(shutil.rmtree, new, ignore_errors=True)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        init = ("init", "--quiet", "--bare", "--template=", "--", str(new))
        try:
            await self._git.run(Call(init, limits=self._limits))
            await self._upstream.fetch(new, remote, _DEPTH, whole=whole)
            tip = await self._tip(new)
        except GitRunError as exc:
            await asyncio.to_thread(shutil.rmtree, new, ignore_errors=True)
            if is_flawed(exc) and not whole:
                return await self._fetch_anew(remote, whole=True)
            if explain(exc, remote.credentials).damaged:  # nothing of ours is in a new one
                text = "the repository is damaged itself: repair it there (git fsck tells)"
                raise RefusedError(REPOSITORY_DAMAGED, text) from exc
            raise reason_of(exc, remote) from exc
        if whole:
            (new / _WHOLE).touch()
        await asyncio.to_thread(swap, self._repository, new)
        self._made += 1
        self._suspect, self._swept = False, True
        return tip

    async def _deepen(self) -> None:
        if not (self._repository / "shallow").exists():
            return  # it goes back to the first one
        async with self._writing:
            remote = self._remote()
            self._deeper_in_vain.check_time()
            try:
                whole = self._is_whole()
                await self._upstream.fetch(self._repository, remote, _DEEPER, whole=whole)
            except GitRunError as exc:
                self._swept = False
                reason = reason_of(exc, remote)
                if reason.reason in _CONTENT or isinstance(reason, LateError):
                    self._deeper_in_vain.note(None, reason)
                raise reason from exc
            self._deeper_in_vain.clear()

    async def _tip(self, repository: Path) -> str:
        """Return the commit that was fetched, with its tree.

        Raises:
            GitRunError: It is not there.
        """
        args = ("rev-parse", f"{TIP}^{{commit}}", f"{TIP}^{{tree}}")
        commit = (
            (await self._git.run(Call(args, repository, limits=self._limits))).decode().split()[0]
        )
        if not is_commit(commit):
            raise MirrorError(FETCH_FAILED, "the branch leads to no commit")
        return commit

    async def _is_here(self, commit: str) -> bool:
        try:
            return await self._reader.tree(commit, ".") is not None
        except GoneError:
            return False

    @asynccontextmanager
    async def _reading(self, commit: str = "") -> AsyncIterator[Reader]:
        """Give the reader; what it cannot read although it must be here is remembered."""
        made = self._made
        if not self._repository.exists():
            raise GoneError(COMMIT_GONE, "the repository is not fetched yet")
        try:
            yield self._reader
        except GoneError:
            ours = commit in {self._fetched, self._pushed}
            self._suspect |= made == self._made and ours
            raise
        except GitRunError as exc:
            failure = explain(exc)
            failed = exc.code is not None and exc.code >= 0 and failure.reason != TOO_LARGE
            self._suspect |= made == self._made and failed
            raise MirrorError(FETCH_FAILED, failure.sentence) from exc
