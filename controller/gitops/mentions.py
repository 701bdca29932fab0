"""The commits that name a ticket in a trailer, as far as they were seen."""

from collections.abc import Callable
from typing import Final, Protocol

from controller.gitops.reading import TicketCommit

COMMITS_KEPT: Final = 20
"""Of each ticket."""


class History(Protocol):
    """What is needed of ``controller.gitops.mirror.Mirror``."""

    async def commits(self, old: str | None, new: str) -> list[TicketCommit]:
        """Return the commits in *new* and not in *old* that name a ticket, newest first."""
        ...


class Mentions:
    """Those of one source."""

    def __init__(self, history: History, is_known: Callable[[str], bool]) -> None:
        """*is_known*: whether there is such a Ticket, for a message may name anything."""
        self._history = history
        self._is_known = is_known
        self._found: dict[str, list[TicketCommit]] = {}
        self._until = ""

    async def look(self, commit: str) -> set[str]:
        """Take note of the commits up to this one; return the tickets that they name.

        Raises:
            MirrorError: They cannot be read.
        """
        named: set[str] = set()
        if self._until == commit:
            return named
        for found in reversed(await self._history.commits(self._until or None, commit)):
            for ticket in filter(self._is_known, found.tickets):
                self._found.setdefault(ticket, []).insert(0, found)
                del self._found[ticket][COMMITS_KEPT:]
                named.add(ticket)
        self._until = commit
        return named

    def of(self, ticket: str) -> tuple[TicketCommit, ...]:
        """Return the commits that name the ticket, newest first."""
        return tuple(self._found.get(ticket, ()))
