"""What write-back needs of the mirror of a source and of the sync.

Errors are those of ``controller.gitops.remote``, and of the API client where a Secret is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from controller.gitops.committing import Draft
from controller.gitops.facts import Origin
from controller.gitops.remote import Outcome, Remote
from controller.gitops.values import Entry


class Mirror(Protocol):
    """A bare mirror of one branch. ``controller.gitops.mirror.Mirror`` is one."""

    def use(self, remote: Remote) -> None:
        """Set which branch it is and what opens it."""
        ...

    async def remote_tip(self) -> str | None:
        """Return the commit of the branch as the server says, None if absent."""
        ...

    def has(self, commit: str) -> bool:
        """Tell whether the commit is here for sure, so that it need not be fetched."""
        ...

    async def fetch(self) -> str:
        """Bring the mirror up to date and return the commit at the branch's tip."""
        ...

    async def entries(self, commit: str, path: str) -> Sequence[Entry]:
        """Return what lies below *path* (``.`` is everything) in the commit."""
        ...

    async def blobs(self, ids: Iterable[str]) -> Mapping[str, bytes]:
        """Return the content of the blobs; those that cannot be had are left out."""
        ...

    async def operations_landed(self, old: str | None, new: str) -> Mapping[str, str]:
        """Return the commit of each ``Operation-Id`` that *new* has and *old* has not."""
        ...

    async def commit_all(self, parent: str, drafts: Sequence[Draft]) -> Sequence[str]:
        """Make the commits, one on the other, the first on *parent*. Nothing is pushed."""
        ...

    async def push(self, commit: str, expect: str) -> Outcome:
        """Push without force, if the branch still is at *expect*."""
        ...


class Syncing(Protocol):
    """The sources that are kept in step. ``controller.gitops.sources.Sources`` is one."""

    def mirror(self, namespace: str, name: str) -> Mirror | None:
        """Return the source's mirror, None while there is none."""
        ...

    async def remote(self, namespace: str, name: str) -> Remote:
        """Return the source's branch and what opens it, as of now."""
        ...

    def of_ticket(self, namespace: str, ticket: str) -> Origin | None:
        """Return where the Ticket is kept in git, None if it is kept on the API alone."""
        ...

    def for_new_tickets(self, namespace: str) -> str | None:
        """Return the name of the GitSource that takes new tickets, None if none does."""
        ...

    def path_of(self, namespace: str, name: str, ticket: str) -> str | None:
        """Return the file that the ticket was last applied from, None if there is none."""
        ...

    async def sync(self, namespace: str, name: str) -> bool:
        """Bring in what the branch says, now; tell whether a pass that began after the call did.

        Bounded by whoever calls. False: it failed, or the source is suspended.
        """
        ...
