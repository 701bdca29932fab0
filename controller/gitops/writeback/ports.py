"""What write-back needs of the mirror of a source and of the sync. Errors are the mirror's own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from controller.gitops.values import Author, Entry


class Mirror(Protocol):
    """A bare mirror of one branch. ``controller.gitops.mirror.Mirror`` is one."""

    async def fetch(self) -> str:
        """Bring the mirror up to date and return the commit at the branch's tip."""
        ...

    async def entries(self, commit: str, path: str) -> Sequence[Entry]:
        """Return what lies below *path* (``.`` is everything) in the commit."""
        ...

    async def blobs(self, ids: Iterable[str]) -> Mapping[str, bytes]:
        """Return the content of the blobs."""
        ...

    async def operations_landed(self, old: str, new: str) -> Mapping[str, str]:
        """Return the commit of each ``Operation-Id`` that *new* has and *old* has not."""
        ...

    async def commit(
        self,
        parent: str,
        files: Mapping[str, bytes | None],
        author: Author,
        committer: Author,
        message: str,
    ) -> str:
        """Make a commit on *parent* and return its id; None removes a file. Nothing is pushed."""
        ...

    async def push(self, commit: str, expect: str) -> Any:
        """Push without force, if the branch still is at *expect*: Pushed, Rejected, Unreachable."""
        ...


class Syncing(Protocol):
    """The sources that are kept in step. ``controller.gitops.sources.Sources`` is one."""

    def mirror(self, namespace: str, name: str) -> Mirror | None:
        """Return the source's mirror, None while there is none."""
        ...

    def path_of(self, namespace: str, name: str, ticket: str) -> str | None:
        """Return the file that the ticket was last applied from, None if there is none."""
        ...

    async def sync(self, namespace: str, name: str) -> bool:
        """Bring in what the branch says, now; tell whether a pass that began after the call did.

        Bounded by whoever calls. False: it failed, or the source is suspended.
        """
        ...
