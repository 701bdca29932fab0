"""One bare repository per URL: all of upstream, fetched once for all pods that wait for it.

Objects are never removed: the repositories of pods borrow them. Nothing is deleted because a
fetch failed; a damaged cache is moved aside, still lent, and built anew.
"""

import asyncio
import hashlib
import os
import random
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitaccess.access import access
from gitaccess.answers import TRACED, heard
from gitaccess.command import Call, Git, GitRunError, Limits
from gitaccess.credentials import Credentials
from gitaccess.explain import Failure, explain
from gitaccess.leavings import is_taken, packs, sweep
from gitaccess.places import Location
from runner.git.layout import object_folders, set_alternates
from runner.git.refs import UnreadableError, read_refs
from runner.git.upstream import offered

UPSTREAM: Final = "refs/remotes/origin/"
TAGS: Final = "refs/tags/"
SAVED: Final = "refs/agentsmesh/saved/"
"""With a pod's uid behind it: its files as they were left."""
OTHERS: Final = "refs/agentsmesh/saved-refs/"
"""With a pod's uid behind it: its further branches, tags and stashes."""
REMOTE_HEAD: Final = "refs/agentsmesh/upstream/HEAD"
SINGLE: Final = "refs/agentsmesh/commits/"

_REFSPECS: Final = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
_HEAD_REFSPEC: Final = f"+HEAD:{REMOTE_HEAD}"
_LOCK_WAIT_SECONDS: Final = 0.05
_AGAIN_SECONDS: Final = (0.3, 1.5)
"""Between attempts of one fetch."""
_MANY_PACKS: Final = 40
_SUBMODULE_CHECKS: Final = ("Url", "Update", "Name", "Path", "Symlink", "Large", "Missing")
_ANY_SUBMODULES: Final = {
    "GIT_CONFIG_COUNT": str(len(_SUBMODULE_CHECKS)),
    **{
        f"GIT_CONFIG_KEY_{number}": f"fetch.fsck.gitmodules{name}"
        for number, name in enumerate(_SUBMODULE_CHECKS)
    },
    **{f"GIT_CONFIG_VALUE_{number}": "ignore" for number in range(len(_SUBMODULE_CHECKS))},
}
"""What an agent wrote into .gitmodules is kept like any text: we never follow it."""

_QUIET: Final = ("--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--progress")


_UPSTREAM_DAMAGED: Final = "the repository is damaged itself: repair it there (git fsck tells)"


class CacheError(Exception):
    """The cache could not be brought up to date."""

    def __init__(
        self,
        sentence: str,
        *,
        unreachable: bool = False,
        damaged: bool = False,
        reason: str = "",
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.reason = reason
        """CamelCase word for conditions; empty: the caller's."""
        self.unreachable = unreachable
        self.damaged = damaged


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How long the steps may take."""

    fetch: Limits
    local: Limits


class Cache:
    """The cache of one repository."""

    def __init__(
        self,
        directory: Path,
        location: Location,
        git: Git,
        limits: CacheLimits,
        depth: int = 0,
    ) -> None:
        self._directory = directory
        self._location = location
        self._git = git
        self._limits = limits
        self._depth = (f"--depth={depth}",) if depth else ()
        self._one_at_a_time = asyncio.Lock()
        self._asked = 0
        self._answered: dict[Credentials | None, int] = {}
        self._outcome: dict[Credentials | None, CacheError | None] = {}
        self._opened_by: Credentials | None = None
        self._swept = False
        self.fetches = 0
        """How often upstream was asked; for tests and metrics."""

    @property
    def repository(self) -> Path:
        """The bare repository; absent before the first fetch."""
        return self._directory / "repo.git"

    def refs(self) -> dict[str, str]:
        """Return the refs that are here; none before the first fetch.

        Raises:
            CacheError: They cannot be read: the cache is damaged.
        """
        if not self.repository.exists():
            return {}
        try:
            return read_refs(self.repository)
        except (UnreadableError, OSError) as exc:
            raise CacheError(f"the runner's own copy is damaged: {exc}", damaged=True) from exc

    async def has_commit(self, commit: str) -> bool:
        """Tell whether the commit is here."""
        if not self.repository.exists():
            return False
        call = Call(
            ("cat-file", "-e", f"{commit}^{{commit}}"), self.repository, limits=self._limits.local
        )
        try:
            await self._git.run(call)
        except GitRunError:
            return False
        return True

    def is_open_to(self, credentials: Credentials | None) -> bool:
        """Tell whether these have opened upstream before, or it needs none."""
        if credentials is None or not credentials.secret():
            return True
        return credentials == self._opened_by

    async def peeled(self, name: str) -> str:
        """Return the commit that a tag leads to.

        Raises:
            GitRunError: It leads to none.
        """
        args = ("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        found = await self._git.run(Call(args, self.repository, limits=self._limits.local))
        return found.decode().strip()

    async def fetch(self, credentials: Credentials | None) -> None:
        """Bring all branches and tags here, as they are upstream after this call began.

        Calls that wait at the same time share one fetch and its outcome.

        Raises:
            CacheError: Upstream could not be asked, or refused.
        """
        self._asked += 1
        number = self._asked
        async with self._one_at_a_time:
            if self._answered.get(credentials, 0) < number:
                await asyncio.sleep(0)  # those that start in the same tick join
                covered = self._asked
                self._outcome = {credentials: await self._fetched(credentials)}
                self._answered = {credentials: covered}
            if (error := self._outcome[credentials]) is not None:
                raise error

    async def fetch_commit(self, commit: str, credentials: Credentials | None) -> bool:
        """Ask upstream for a commit that no branch or tag leads to; False when it has none."""
        async with self._one_at_a_time, self._locked() as lock:
            try:
                await self._ask(credentials, lock, (f"+{commit}:{SINGLE}{commit}",))
            except GitRunError:
                return False
        return await self.has_commit(commit)

    async def rebuild(self, credentials: Credentials | None) -> None:
        """Build a damaged cache anew. The old one is moved aside and goes on lending its objects.

        Raises:
            CacheError: Upstream could not be asked, or is what is damaged; the old one stays
                where it is.
        """
        async with self._one_at_a_time, self._locked() as lock:
            new = self._directory / "rebuilt.git"
            await self._init(new)
            try:
                await self._ask_all(credentials, lock, new)
            except GitRunError as exc:
                failure = explain(exc, credentials)
                if failure.damaged:  # nothing of ours is in a new one
                    raise CacheError(_UPSTREAM_DAMAGED, damaged=True) from exc
                raise _failed(failure) from exc
            await asyncio.to_thread(self._replace, new)

    async def receive(self, view: Path, refs: Mapping[str, str]) -> None:
        """Copy commits from a repository of the runner's own, and keep them.

        *refs* are names there to names here. All objects are here afterwards, and checked.

        Raises:
            GitRunError: They are not complete there, or cannot be written here.
        """
        async with self._one_at_a_time, self._locked() as lock:
            specs = tuple(f"+{there}:{here}" for there, here in refs.items())
            local = {"GIT_ALLOW_PROTOCOL": "file", **_ANY_SUBMODULES}
            args = ("fetch", *_QUIET, "--atomic", "--", str(view), *specs)
            call = Call(args, self.repository, None, local, b"", self._limits.local, (lock,))
            await self._git.run(call)
            check = ("rev-list", "--objects", "--quiet", *refs.values(), "--not", "--remotes")
            await self._git.run(
                Call((*check, "--tags"), self.repository, limits=self._limits.local)
            )

    async def _fetched(self, credentials: Credentials | None) -> CacheError | None:
        self.fetches += 1
        if self._location.local and await asyncio.to_thread(self._is_current):
            return None
        async with self._locked() as lock:
            try:
                if not self.repository.exists():
                    new = self._directory / "building.git"
                    await self._init(new)
                    new.rename(self.repository)
                await self._ask_patiently(credentials, lock)
            except GitRunError as exc:
                self._swept = exc.code is not None  # a git that was ended may leave its locks
                return _failed(explain(exc, credentials))
        self._opened_by = credentials
        return None

    def _is_current(self) -> bool:
        """Tell whether upstream, a folder of this machine, has just what is here already."""
        theirs = offered(Path(self._location.url), UPSTREAM, REMOTE_HEAD)
        if not theirs or not self._swept:
            return False
        try:
            refs = self.refs()
        except CacheError:
            return False  # fetching tells what is wrong
        ours = (UPSTREAM, TAGS, REMOTE_HEAD)
        return theirs == {name: refs[name] for name in refs if name.startswith(ours)}

    async def _ask_patiently(self, credentials: Credentials | None, lock: int) -> None:
        """Ask again where upstream broke off: a little later it often does not."""
        for wait in (*_AGAIN_SECONDS, None):
            try:
                await self._ask_all(credentials, lock, self.repository)
            except GitRunError as exc:
                if wait is None or not explain(exc, credentials).transient:
                    raise
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - not a secret
                await asyncio.to_thread(sweep, self.repository)
            else:
                return

    async def tidy(self) -> None:
        """Join packs where there are many, and remove nothing that is in no other pack.

        Whoever borrows objects may go on: git looks for a pack anew when one is gone.

        Raises:
            GitRunError: It cannot be done, as on a full disk; nothing is lost then.
        """
        if await asyncio.to_thread(packs, self.repository) < _MANY_PACKS:
            return
        async with self._one_at_a_time, self._locked() as lock:
            args = ("repack", "-d", "--geometric=2", "-l", "-q", "--no-write-bitmap-index")
            limits = self._limits.local
            await self._git.run(Call(args, self.repository, limits=limits, pass_fds=(lock,)))

    async def _ask_all(self, credentials: Credentials | None, lock: int, repository: Path) -> None:
        prune = ("--prune", *_REFSPECS)
        try:
            await self._ask(credentials, lock, (*prune, _HEAD_REFSPEC), repository)
        except GitRunError as exc:
            if "find remote ref HEAD" not in exc.stderr or heard(exc.stderr).is_page:
                raise  # a page has no branches: that is no reason to forget ours
            await self._ask(credentials, lock, prune, repository)  # empty, or HEAD leads nowhere

    async def _ask(
        self,
        credentials: Credentials | None,
        lock: int,
        what: tuple[str, ...],
        repository: Path | None = None,
    ) -> None:
        options = tuple(item for item in what if item.startswith("-"))
        specs = tuple(item for item in what if not item.startswith("-"))
        args = ("fetch", *_QUIET, *self._depth, *options, "--", self._location.url, *specs)
        with access(self._location, credentials, self._git.directory) as way:
            call = Call(
                args,
                repository or self.repository,
                None,
                {**way.environment, **TRACED},
                b"",
                self._limits.fetch,
                (lock, *way.descriptors),
            )
            await self._git.run(call)

    async def _init(self, path: Path) -> None:
        """Make an empty repository; what a killed runner left there was never lent."""
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
        args = ("init", "--quiet", "--bare", "--template=", "--", str(path))
        await self._git.run(Call(args, limits=self._limits.local))
        config = path / "config"
        with config.open("a", encoding="utf-8") as file:
            file.write("[gc]\n\tauto = 0\n")

    def _replace(self, new: Path) -> None:
        """Put *new* in the place of the damaged repository, which goes on lending its objects."""
        old = self.repository
        lent: tuple[Path, ...] = ()
        saved: dict[str, str] = {}
        if old.exists():
            aside = self._free_name("damaged")
            lent = tuple(folder for folder in object_folders(old) if folder != old / "objects")
            lent = (aside / "objects", *lent)
            saved = self._saved(old)
            old.rename(aside)
        if lent:
            set_alternates(new, lent)
        for name, commit in saved.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{commit}\n", encoding="utf-8")
        new.rename(old)

    @staticmethod
    def _saved(repository: Path) -> dict[str, str]:
        try:
            refs = read_refs(repository)
        except (UnreadableError, OSError):
            return {}  # they stay in the repository that is moved aside
        ours = ("refs/agentsmesh/saved", "refs/agentsmesh/commits")
        return {name: commit for name, commit in refs.items() if name.startswith(ours)}

    def _free_name(self, stem: str) -> Path:
        number = sum(1 for _ in self._directory.glob(f"{stem}-*"))
        return self._directory / f"{stem}-{number + 1}.git"

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[int]:
        """Hold the cache against the git of a runner that was killed: it may still be at work.

        Git inherits the descriptor, so the lock lasts as long as the longest of them lives.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await self._wait_for(lock)
            if not self._swept and self.repository.exists():
                await asyncio.to_thread(sweep, self.repository)
                self._swept = True
            yield lock
        finally:
            os.close(lock)

    async def _wait_for(self, lock: int) -> None:
        try:
            async with asyncio.timeout(self._limits.fetch.seconds):
                while not is_taken(lock):  # noqa: ASYNC110  another process holds it
                    await asyncio.sleep(_LOCK_WAIT_SECONDS)
        except TimeoutError as exc:
            raise CacheError("an earlier git of this runner does not end") from exc


def cache_name(location: Location, credentials: Credentials | None, depth: int = 0) -> str:
    """Return the folder of a repository's cache.

    What was opened with credentials is never lent to pods that come without, and a short history
    never to those who asked for all of it.
    """
    kind = "private" if credentials and credentials.secret() else "public"
    what = f"{kind} {location.url}" + (f" depth {depth}" if depth else "")
    return hashlib.sha256(what.encode()).hexdigest()[:32]


def _failed(failure: Failure) -> CacheError:
    return CacheError(
        failure.sentence,
        unreachable=failure.unreachable,
        damaged=failure.damaged,
        reason=failure.reason,
    )
