"""Asks the server of a repository: which commit, its content, and to take ours."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from controller.gitops.addresses import pinned
from controller.gitops.remote import (
    BRANCH_INVALID,
    BRANCH_NOT_FOUND,
    FETCH_FAILED,
    REMOTE_SLOW,
    REPOSITORY_MALFORMED,
    URL_NOT_ALLOWED,
    LateError,
    MirrorError,
    RefusedError,
    Remote,
    UnreachableError,
)
from controller.gitops.shadow import shadow, unlock
from controller.gitops.shares import Shares
from controller.gitops.values import MAX_FILE_BYTES
from controller.services.notification_addresses import Network
from gitaccess.access import Way, access
from gitaccess.answers import TRACED, heard
from gitaccess.command import Call, Git, GitRunError, Limits
from gitaccess.explain import DISK_FULL, NO_REPOSITORY, explain
from gitaccess.places import Location, PlaceError, branch_flaw, is_commit, locate, shown

TIP: Final = "refs/agentsmesh/tip"
"""The branch, in a mirror: a name that no branch can be in the way of."""

_NAME: Final = "src"
_NONE_FOUND: Final = 2
"""Source: git-ls-remote(1), ``--exit-code``."""
_FILTER: Final = f"blob:limit={MAX_FILE_BYTES + 1}"
_UNCHECKED: Final = (
    *(f"gitmodules{what}" for what in ("Url", "Update", "Name", "Path", "Symlink", "Large")),
    *(f"git{what}Missing" for what in ("modules", "attributes")),
    *(f"gitattributes{what}" for what in ("Symlink", "Large", "LineLength")),
)
"""Files that tell git what to do with others. Nothing here does what they say, so whatever they
hold harms nobody; and those that were left out for their length are no flaw."""

PROMISED: Final = {
    f"remote.{_NAME}.promisor": "true",
    f"remote.{_NAME}.partialclonefilter": _FILTER,
}
"""Tells git that files may be missing. It stands in no file, so that nothing else fetches them."""

_BOUNDED: Final = {
    "fetch.unpackLimit": "1",  # one file, whose length is limited
    "core.bigFileThreshold": "1m",  # longer ones pass through without being in memory
    "core.packedGitLimit": "256m",
    "core.packedGitWindowSize": "16m",
    "core.deltaBaseCacheLimit": "32m",
    "pack.threads": "1",
}
_CHECKS: Final = {
    **_BOUNDED,
    **{f"fetch.fsck.{what}": "ignore" for what in _UNCHECKED},
}
_FULL: Final = "index-pack died of signal 25"
"""What git says of it, where it says so."""
_LATE: Final = "not fetched in the time that there is"

_PUSH_SETTINGS: Final = {
    "http.postBuffer": "16m",  # longer requests come in pieces, which not every server takes
    "push.recurseSubmodules": "no",
    "push.followTags": "false",
    "pack.threads": "1",
}
_QUIET: Final = (
    "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules",
    "--update-shallow", "--progress",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MirrorSettings:
    """What mirrors may open, and how much of it."""

    local_folders: tuple[Path, ...] = ()
    """Below these a repository may be opened by its path."""
    networks: tuple[Network, ...] = ()
    """Addresses that may be connected to although they are not public."""
    fetch_seconds: float = 300.0
    fetch_cpu_seconds: int = 120
    """Most work of each git of a fetch: small packs can hold much to unpack."""
    idle_seconds: float = 60.0
    """Longest time without a word from the server."""
    local_seconds: float = 60.0
    """For what needs no server."""
    fetch_bytes: int = 512 * 1024 * 1024
    """Longest pack that is taken in one fetch."""
    memory_bytes: int = 1024 * 1024 * 1024
    """Most memory of each git."""


class Upstream:
    """The other side of one mirror; one call at a time."""

    def __init__(self, directory: Path, git: Git, settings: MirrorSettings, shares: Shares) -> None:
        """*directory* is the mirror's own, *shares* are all mirrors'."""
        self._shares = shares
        self._shadow = directory / "local.git"
        self._git = git
        self._settings = settings
        self._limits = Limits(
            settings.fetch_seconds, settings.idle_seconds, memory_bytes=settings.memory_bytes
        )

    async def tip(self, remote: Remote) -> str | None:
        """Return the commit of the branch, None if there is none.

        Raises:
            MirrorError: It cannot be asked, or refuses.
        """
        name = f"refs/heads/{remote.branch}"
        for line in (await self._listed(remote, name)).splitlines():
            commit, _, found = line.partition("\t")
            if found == name and is_commit(commit):
                return commit
        return None

    async def is_empty(self, remote: Remote) -> bool:
        """Tell whether there is no branch at all.

        Raises:
            MirrorError: It cannot be asked, or refuses.
        """
        return not await self._listed(remote, some=True)

    async def _listed(self, remote: Remote, *names: str, some: bool = False) -> str:
        """Return the branches; *some*: where there are none, make sure that a repository says so.

        A page has no branches, either: a portal's, a login's, that of a server in repair.
        """
        settings = self._settings
        limits = Limits(settings.idle_seconds, memory_bytes=settings.memory_bytes)
        async with self._opened(remote) as (location, way):
            options = ("--exit-code",) if some else ()
            args = ("ls-remote", "--quiet", "--heads", *options, "--", location.url, *names)
            traced = {**way.environment, **TRACED}
            call = Call(args, None, None, traced, b"", limits, way.descriptors)
            try:
                return (await self._git.run(call)).decode(errors="replace")
            except GitRunError as exc:
                if exc.flooded:
                    return exc.output.decode(errors="replace")
                if some and exc.code == _NONE_FOUND:
                    if heard(exc.stderr).is_page:
                        raise RefusedError(NO_REPOSITORY.reason, NO_REPOSITORY.sentence) from exc
                    return ""
                raise reason_of(exc, remote) from exc

    async def fetch(
        self, repository: Path, remote: Remote, depth: int = 0, *, whole: bool = False
    ) -> None:
        """Bring the branch into *repository*; with *depth* only so many commits of it.

        *whole*: with files that are too large to be read, which servers can leave out.

        Raises:
            MirrorError: It cannot be opened.
            GitRunError: It could not be fetched.
        """
        most_bytes = self._settings.fetch_bytes
        work = self._settings.fetch_cpu_seconds
        limits = replace(self._limits, file_bytes=most_bytes, cpu_seconds=work)
        options = [f"--depth={depth}"] if depth else []
        options += [] if whole else [f"--filter={_FILTER}"]
        spec = f"+refs/heads/{remote.branch}:{TIP}"
        rules = _CHECKS if whole else {**_CHECKS, **PROMISED}
        async with self._opened(remote, rules) as (location, way):
            where = {**way.environment, **_named(location, way), **TRACED}
            args = ("fetch", *_QUIET, *options, "--", _NAME, spec)
            call = Call(args, repository, None, where, b"", limits, way.descriptors)
            began = asyncio.get_running_loop().time()
            try:
                await self._git.run(call)
            except GitRunError as exc:
                took = asyncio.get_running_loop().time() - began
                if exc.code is None and took >= limits.seconds:
                    raise GitRunError(exc.verb, None, _LATE) from exc
                if not await asyncio.to_thread(_is_full, repository, most_bytes):
                    raise
                raise GitRunError(exc.verb, exc.code, _FULL) from exc

    async def push(self, repository: Path, remote: Remote, commit: str) -> bytes:
        """Set the branch to *commit*, a descendant of where it is; return what git says.

        Raises:
            MirrorError: It cannot be opened.
            GitRunError: It could not be pushed.
        """
        async with self._opened(remote, _PUSH_SETTINGS, to_push=True) as (location, way):
            spec = f"{commit}:refs/heads/{remote.branch}"
            args = ("push", "--porcelain", "--progress", "--no-verify", "--", location.url, spec)
            call = Call(args, repository, None, way.environment, b"", self._limits, way.descriptors)
            return await self._git.run(call)

    @asynccontextmanager
    async def _opened(
        self, remote: Remote, settings: Mapping[str, str] | None = None, *, to_push: bool = False
    ) -> AsyncIterator[tuple[Location, Way]]:
        """Give what git needs for one call, once there is a place for it.

        Raises:
            MirrorError: It may not be opened, or cannot be.
        """
        place = self._place(remote)
        async with self._shares.place(remote.namespace, place.host or place.url):
            location = await self._located(remote, place, to_push=to_push)
            with access(
                location, remote.credentials, self._git.directory, settings=settings or {}
            ) as way:
                yield location, way

    def _place(self, remote: Remote) -> Location:
        if flaw := branch_flaw(remote.branch):
            raise RefusedError(BRANCH_INVALID, f"the branch {shown(remote.branch)}: {flaw}")
        try:
            return locate(remote.url, self._settings.local_folders)
        except (PlaceError, OSError, ValueError) as exc:
            text = str(exc) if isinstance(exc, PlaceError) else "the url leads nowhere"
            raise RefusedError(URL_NOT_ALLOWED, text) from exc

    async def _located(self, remote: Remote, location: Location, *, to_push: bool) -> Location:
        if not location.local:
            return await pinned(location, self._settings.networks)
        folder = Path(location.url)
        try:
            if to_push:
                await asyncio.to_thread(unlock, folder, remote.branch, self._shadow)
            made = await asyncio.to_thread(shadow, folder, self._shadow, to_push=to_push)
        except OSError as exc:
            raise MirrorError(FETCH_FAILED, f"the folder cannot be opened: {exc.strerror}") from exc
        return Location(str(made), local=True)


def _named(location: Location, way: Way) -> dict[str, str]:
    """Return the environment that gives the repository its name, beside what *way* has."""
    number = int(way.environment.get("GIT_CONFIG_COUNT", "0"))
    return {
        "GIT_CONFIG_COUNT": str(number + 1),
        f"GIT_CONFIG_KEY_{number}": f"remote.{_NAME}.url",
        f"GIT_CONFIG_VALUE_{number}": location.url,
    }


def _is_full(repository: Path, most_bytes: int) -> bool:
    """Tell whether a pack that came only in part is as long as it may be."""
    begun = repository.glob("objects/pack/tmp_pack_*")
    return any(path.stat().st_size >= most_bytes for path in begun)


def is_flawed(error: GitRunError) -> bool:
    """Tell whether git found an object malformed.

    Where files are left out, git before 2.45 does not know which flaws harm nobody.
    """
    return "fsck error" in error.stderr


def reason_of(error: GitRunError, remote: Remote) -> MirrorError:
    """Return why the server could not be asked, in words that say what to do."""
    if "find remote ref" in error.stderr and not heard(error.stderr).is_page:
        text = f"the repository has no branch {shown(remote.branch)}"
        return RefusedError(BRANCH_NOT_FOUND, text)
    if error.code is None and error.stderr == _LATE:
        text = "it was not fetched in time: the server is slow, or there is much to unpack"
        return LateError(REMOTE_SLOW, text)
    failure = explain(error, remote.credentials)
    if is_flawed(error):
        return RefusedError(REPOSITORY_MALFORMED, failure.sentence)
    if failure.unreachable or failure.reason == DISK_FULL:
        return UnreachableError(failure.reason, failure.sentence)
    if failure.reason:
        return RefusedError(failure.reason, failure.sentence)
    return MirrorError(FETCH_FAILED, failure.sentence)
