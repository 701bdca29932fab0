"""A source's mirror as its passes see it: their place is others' while a server is spoken to."""

from collections.abc import Iterable

from controller.gitops.listing import Mirror
from controller.gitops.reading import TicketCommit
from controller.gitops.remote import Remote
from controller.gitops.shares import Seat
from controller.gitops.values import Entry


class Aside:
    """The mirror, which also waits for a push that is under way. Errors: ``remote``."""

    def __init__(self, mirror: Mirror, seat: Seat) -> None:
        self._mirror = mirror
        self._seat = seat

    def use(self, remote: Remote) -> None:
        """Speak to that branch from now on."""
        self._mirror.use(remote)

    async def remote_tip(self) -> str | None:
        """Return the commit of the branch as the server says, None if absent."""
        async with self._seat.left():
            return await self._mirror.remote_tip()

    async def is_empty(self) -> bool:
        """Tell whether the repository has no branch at all."""
        async with self._seat.left():
            return await self._mirror.is_empty()

    def has(self, commit: str) -> bool:
        """Tell whether the commit is here for sure."""
        return self._mirror.has(commit)

    async def fetch(self) -> str:
        """Bring the branch here; return its commit."""
        async with self._seat.left():
            return await self._mirror.fetch()

    async def path_exists(self, commit: str, path: str) -> bool:
        """Tell whether the folder is in the commit."""
        return await self._mirror.path_exists(commit, path)

    async def entries(self, commit: str, path: str) -> list[Entry]:
        """Return everything below the folder."""
        return await self._mirror.entries(commit, path)

    async def blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Return the contents."""
        return await self._mirror.blobs(ids)

    async def newest(self, commit: str, path: str) -> list[str]:
        """Return paths below the folder, those first that were changed last."""
        return await self._mirror.newest(commit, path)

    async def descends(self, new: str, old: str) -> bool | None:
        """Tell whether *old* is *new* or comes before it; None: it is not known here."""
        return await self._mirror.descends(new, old)

    async def commits(self, old: str | None, new: str) -> list[TicketCommit]:
        """Return the commits in *new* and not in *old* that name a ticket, newest first."""
        return await self._mirror.commits(old, new)
