"""What was seen and made of each source, so that a pass reads only what has changed.

By uid of the GitSource. The last good version of each file is here and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from controller.gitops.database import Database, Schema
from controller.gitops.values import Declared, Identity, Problem

SCHEMA = Schema("index", 1, ((),))


class Seen(NamedTuple):
    """A file as it was read last."""

    blob: str
    rules: str
    """Under which rules: kinds that are allowed, version of the reader. Another one: read again."""
    declared: Declared | None
    """What this blob says; None with a problem, or when it is none of ours."""
    problem: Problem | None
    good: Declared | None
    """What the path said when it was last valid; ``declared`` if that is there."""


class Made(NamedTuple):
    """A resource that the source has made or adopted."""

    path: str
    digest: str
    """Of the ``Declared`` that was applied last."""
    uid: str = ""
    """Of the resource."""


class Marks(NamedTuple):
    """How far the source has come."""

    observed: str = ""
    """Commit that was fetched last."""
    applied: str = ""
    """Commit whose files are all applied but for those with problems."""
    at: str = ""
    """RFC 3339: when ``observed`` last changed."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass has found and done; written at once."""

    seen: Mapping[str, Seen] = field(default_factory=dict)
    """New and changed files, by path."""
    unseen: frozenset[str] = frozenset()
    """Paths that are no longer there."""
    owners: Mapping[Identity, str] | None = None
    """Which path owns which identity: all of them. None: as before."""
    made: Mapping[Identity, Made] = field(default_factory=dict)
    """New and changed members of the inventory."""
    unmade: frozenset[Identity] = frozenset()
    """Those that are deleted or left alone from now on."""
    marks: Marks | None = None
    """None: as before."""


class Index:
    """The memory of all sources."""

    def __init__(self, database: Database) -> None:
        """*database* is opened by its owner, with ``SCHEMA`` among its schemas."""
        self._database = database

    async def files(self, source: str) -> dict[str, Seen]:
        """Return the files of the last pass, by path."""
        raise NotImplementedError

    async def owners(self, source: str) -> dict[Identity, str]:
        """Return which path owns which identity."""
        raise NotImplementedError

    async def inventory(self, source: str) -> dict[Identity, Made]:
        """Return what the source has made."""
        raise NotImplementedError

    async def marks(self, source: str) -> Marks:
        """Return how far the source has come; empty if it has not begun."""
        raise NotImplementedError

    async def record(self, source: str, done: Pass) -> None:
        """Write what a pass has found and done, all of it or nothing."""
        raise NotImplementedError

    async def ended(self, source: str) -> dict[Identity, str]:
        """Return the digests of what has had its end: not to be made again until it changes."""
        raise NotImplementedError

    async def note_ended(self, source: str, identity: Identity, digest: str) -> None:
        """Remember that what was declared so has had its end (a pod that finished)."""
        raise NotImplementedError

    async def forget_ended(self, source: str, identity: Identity) -> None:
        """Let it be made again."""
        raise NotImplementedError

    async def note_own(self, source: str, blobs: Mapping[str, str]) -> None:
        """Remember blobs that our own commits put at these paths, before they are pushed."""
        raise NotImplementedError

    async def own(self, source: str) -> frozenset[tuple[str, str]]:
        """Return (path, blob) of our own commits, the newest 20,000."""
        raise NotImplementedError

    async def sources(self) -> frozenset[str]:
        """Return the uids that anything is remembered of."""
        raise NotImplementedError

    async def forget(self, source: str) -> None:
        """Forget a source that is deleted."""
        raise NotImplementedError
