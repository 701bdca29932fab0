"""The task of one source: waits for what starts its next pass, and runs it.

A pass is due when the interval is over, somebody asks for it, a branch on this machine has moved,
or a resource of the source has changed on the API.
"""

import asyncio
import logging
import random
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controller.gitops.credentials import read_credentials
from controller.gitops.facts import Trouble
from controller.gitops.local_refs import Marks, marks
from controller.gitops.mirror import Mirror
from controller.gitops.passes import Around, Ending
from controller.gitops.remote import MirrorError, RefusedError, Remote
from controller.gitops.shares import Seat
from controller.gitops.sync import Sync
from controller.gitops.writing import Turn
from controller.kernel.redact import redact
from controller.kube.errors import KubeError
from controller.placement.indexes import BY_NAMESPACE
from gitaccess.places import Location, PlaceError, locate
from schemas.gitsource import GitSource
from schemas.names import ANNOTATION_RECONCILE, FINALIZER_GIT_PRUNE
from schemas.organization import Organization
from schemas.repository import Repository

logger = logging.getLogger(__name__)

REPOSITORY_NOT_FOUND: Final = "RepositoryNotFound"
_SPREAD: Final = 0.1
_LOOK_SECONDS: Final = 0.5
"""So often the refs of a repository on this machine are looked at."""
_SPACING_SECONDS: Final = 0.1
"""Passes begin at least so long after one another: what comes together is one pass."""
_CALM_SECONDS: Final = 5.0
"""The same once many passes in a minute had to put something back."""
_MANY: Final = 20
_FIRST_RETRY_SECONDS: Final = 1.0
_LAST_RETRY_SECONDS: Final = 60.0
_LEAVING_SECONDS: Final = 5.0
_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


@dataclass(slots=True)
class _Waiter:
    """Somebody who waits for a pass."""

    request: int
    answer: asyncio.Future[bool]


class Keeper:
    """Keeps one source in step."""

    def __init__(  # noqa: PLR0913 - what a source needs, by name
        self,
        *,
        uid: str,
        around: Around,
        sync: Sync,
        mirror: Mirror,
        folders: tuple[Path, ...],
        seat: Seat,
    ) -> None:
        self._uid = uid
        self._around = around
        self._folders = folders
        self._seat = seat
        self._asked = 0
        self._answered = 0
        self._waiters: list[_Waiter] = []
        self._dirty = True
        self._wake = asyncio.Event()
        self._failures = 0
        self._began = float("-inf")
        self._put_back: deque[float] = deque(maxlen=_MANY)
        self._branch: tuple[Path, str] | None = None
        self._marks: Marks = ()
        self.sync = sync
        """What is kept between passes."""
        self.mirror = mirror

    @property
    def item(self) -> GitSource | None:
        """Return the source as it is now, None once it is gone."""
        return self._around.store.of(GitSource).by_uid(self._uid)

    def poke(self) -> int:
        """Ask for a pass; return its number."""
        self._asked += 1
        self._wake.set()
        return self._asked

    def soil(self) -> None:
        """Say that a resource of the source has changed on the API."""
        self._dirty = True
        self._wake.set()

    def wake(self) -> None:
        """Have the source itself looked at: it has changed."""
        self._wake.set()

    async def asked(self) -> bool:
        """Return whether a pass that begins after this call applies everything."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append(_Waiter(self.poke(), answer))
        return await answer

    async def keep(self) -> None:
        """Run passes until the source is gone."""
        try:
            while True:
                await self._spaced()
                self._wake.clear()  # what happens from here on is seen, or wakes us again
                item = self.item
                if item is None or self.sync.facts.released:
                    break
                await self._wait(await self._look(item))
            await self._forget()
        finally:
            self._reply(self._asked, done=False)

    async def _look(self, item: GitSource) -> float | None:
        """Do what is to be done about the source; return when to look again."""
        number, dirty = self._asked, self._dirty
        self._dirty = False
        try:
            await self.sync.load(current=True)
            if item.metadata.deleting:
                return await self._leave(item)
            if FINALIZER_GIT_PRUNE not in item.metadata.finalizers:
                self._dirty = dirty
                return None  # nothing is made that could be left behind; its change wakes us
            if is_suspended(item) or self._closing(item):
                self.sync.suspended(item)
                self._dirty = True
                self._reply(number, done=False)
                return None
            async with self._seat.held():  # but not while a server is spoken to
                ending = await self._pass(item, number, dirty=dirty)
        except Exception as exc:  # a bug in one source must not stop the others
            logger.exception("pass failed", extra={"key": self._key(item)})
            what = f"the controller failed on it and tries again: {type(exc).__name__}"
            self.sync.failed(item, Trouble("InternalError", what))
            ending = Ending.FAILED
        return self._after(item, ending, number, dirty=dirty)

    def _closing(self, item: GitSource) -> bool:
        """Whether the organization is being deleted: what it deletes must not be made anew."""
        homes = self._around.store.of(Organization).indexed(BY_NAMESPACE, item.metadata.namespace)
        return any(home.metadata.deleting for home in homes)

    async def _pass(self, item: GitSource, number: int, *, dirty: bool) -> Ending:
        self._began = self._around.ticks()
        if dirty:
            self._put_back.append(self._began)
        try:
            remote = await self.remote(item)
        except MirrorError as exc:
            stalled = isinstance(exc, RefusedError)
            self.sync.failed(item, Trouble(exc.reason, redact(exc.sentence), stalled))
            return Ending.FAILED
        except KubeError as exc:
            said = f"the API server does not give what opens the repository: {redact(str(exc))}"
            self.sync.failed(item, Trouble("ApiUnavailable", said))
            return Ending.FAILED
        if remote is None:
            name = item.spec.repository_ref.name
            said = f"repositoryRef.name: there is no Repository {name!r}: create it"
            self.sync.failed(item, Trouble(REPOSITORY_NOT_FOUND, said))
            return Ending.FAILED
        self._see(remote)
        self.mirror.use(remote)
        turn = Turn(lambda: self._asked > number, lambda: self._changed(item))
        return await self.sync.run(item, remote, turn, dirty=dirty)

    def _changed(self, item: GitSource) -> bool:
        """Whether the source is not any more what a pass began with."""
        now = self.item
        return (
            now is None
            or now.metadata.generation != item.metadata.generation
            or now.metadata.annotations != item.metadata.annotations
            or now.metadata.deleting
        )

    async def remote(self, item: GitSource) -> Remote | None:
        """Return the branch and what opens it, None without a Repository.

        Raises:
            RefusedError: Its Secret is not there or cannot be used.
            KubeError: The API server cannot be asked.
        """
        namespace, spec = item.metadata.namespace, item.spec
        repository = self._around.store.of(Repository).get(namespace, spec.repository_ref.name)
        if repository is None:
            return None
        credentials = await read_credentials(self._around.kube, namespace, repository)
        branch = spec.branch or repository.spec.default_branch
        return Remote(repository.spec.url, branch, credentials, namespace)

    def _see(self, remote: Remote) -> None:
        """Take note where the branch of a repository on this machine is, before it is read."""
        try:
            location: Location | None = locate(remote.url, self._folders)
        except PlaceError:
            location = None
        if location is None or not location.local:
            self._branch = None
            return
        self._branch = Path(location.url), remote.branch
        self._marks = marks(*self._branch)

    def _after(self, item: GitSource, ending: Ending, number: int, *, dirty: bool) -> float | None:
        """Tell whoever waits; return when to look again."""
        interval = seconds(item.spec.interval)
        pause = interval * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - no secret
        if ending is Ending.WHOLE:
            self._failures = 0
            self._reply(number, done=True)
            return min(pause, self.sync.refusals.due - self._around.ticks())
        self._dirty |= dirty or ending is Ending.AGAIN
        self._failures += 1
        ceiling = min(
            _LAST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2.0 ** min(self._failures - 1, 10)
        )
        if ending is Ending.AGAIN:
            return ceiling / 10
        self._reply(number, done=False)
        trouble = self.sync.facts.fetched
        if trouble is not None and trouble.stalled:
            return pause
        return min(pause, ceiling)

    async def _leave(self, item: GitSource) -> float | None:
        """Let go of what a source that is being deleted has made."""
        try:
            gone = await self.sync.let_go(item)
        except KubeError as exc:
            logger.warning("not released", extra={"key": self._key(item), "reason": str(exc)})
            return _LEAVING_SECONDS
        return None if gone else _LEAVING_SECONDS

    async def _forget(self) -> None:
        try:
            await self.sync.ledger.forget()
            await self.mirror.remove()
        except Exception:  # a copy is left behind; it is removed at the next start
            logger.exception("not removed", extra={"key": self._uid})

    def _reply(self, number: int, *, done: bool) -> None:
        """Answer those who asked before the pass of that number began."""
        rest: list[_Waiter] = []
        for waiter in self._waiters:
            if waiter.request > number:
                rest.append(waiter)
            elif not waiter.answer.done():
                waiter.answer.set_result(done)
        self._waiters = rest

    async def _spaced(self) -> None:
        """Wait until the next pass may begin."""
        now = self._around.ticks()
        many = len(self._put_back) == _MANY and now - self._put_back[0] < 60.0
        until = self._began + (_CALM_SECONDS if many else _SPACING_SECONDS)
        if until > now:
            await asyncio.sleep(until - now)

    async def _wait(self, pause: float | None) -> None:
        """Return once a pass is due."""
        until = None if pause is None else self._around.ticks() + pause
        while not self._wake.is_set():
            left = None if until is None else until - self._around.ticks()
            if left is not None and left <= 0:
                return
            if self._branch is not None and pause is not None:
                left = _LOOK_SECONDS if left is None else min(left, _LOOK_SECONDS)
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                if self._branch is not None and marks(*self._branch) != self._marks:
                    return

    def _key(self, item: GitSource) -> str:
        return f"{item.metadata.namespace}/{item.metadata.name}"


def is_suspended(item: GitSource) -> bool:
    """Whether a person wants everything left as it is."""
    return item.spec.suspend or item.metadata.annotations.get(ANNOTATION_RECONCILE) == "disabled"


def seconds(interval: str) -> float:
    """Return how long ``1h2m3s`` is."""
    found = _DURATION.fullmatch(interval)
    hours, minutes, rest = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    return max(5.0, hours * 3600.0 + minutes * 60.0 + rest)
