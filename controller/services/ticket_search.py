"""Which tickets somebody looks for, found and ordered in short steps. Pure.

There may be tens of thousands, each with a long text: nothing here looks at all of them at once.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Final

from controller.tickets.facts import closed, progress
from schemas.ticket import Progress, Ticket, TicketPriority

MOST_CHILDREN: Final = 256
"""So many children of a ticket are named, the oldest ones. As many as its status names."""

_URGENCY: Final = {priority: rank for rank, priority in enumerate(TicketPriority)}
_AT_ONCE: Final = 512
"""So many are sorted in one step."""

Ranked = tuple[tuple[int, str, str], Ticket]
"""A ticket behind what it is ordered by."""


@dataclass(frozen=True, slots=True)
class Sought:
    """Which tickets are looked for: all conditions together; empty says nothing."""

    repository: str = ""
    state: str = ""
    type: str = ""
    priority: str = ""
    assignee: str = ""
    parent: str = ""
    query: str = ""
    limit: int = 20
    page: int = 1

    def fits(self, ticket: Ticket) -> bool:
        """Whether the ticket is one of them, as far as its text does not matter."""
        spec = ticket.spec
        repository = spec.repository_ref.name if spec.repository_ref is not None else ""
        return (
            not ticket.metadata.deleting
            and self.repository in {"", repository}
            and self.state in {"", spec.state}
            and self.type in {"", spec.type}
            and self.priority in {"", spec.priority}
            and (not self.assignee or self.assignee in spec.assignees)
            and self.parent.lower() in {"", spec.parent or ""}
        )

    def words(self) -> tuple[str, ...]:
        """Return the words of the query that say something: the longest first, none in another."""
        words: list[str] = []
        for word in sorted(set(self.query.casefold().split()), key=lambda w: (-len(w), w)):
            if not any(word in longer for longer in words):
                words.append(word)
        return tuple(words)


class Search:
    """One search: *page* and *total* count once all steps are taken."""

    def __init__(self, sought: Sought) -> None:
        self._sought = sought
        self._found: list[Ranked] = []
        self.page: list[Ticket] = []
        """The most urgent first, then the oldest."""

    @property
    def total(self) -> int:
        """Return how many there are on all pages."""
        return len(self._found)

    def steps(self, tickets: Iterable[Ticket]) -> Iterator[None]:
        """Look through the tickets, a word of one of them in a step."""
        words = self._sought.words()
        for ticket in tickets:
            if self._sought.fits(ticket):
                missing = yield from _missing(words, ticket)
                if not missing:
                    self._found.append((_urgency(ticket), ticket))
            yield
        sought, first = self._sought, (self._sought.page - 1) * self._sought.limit
        if first < len(self._found):
            yield from _cut(self._found, first, first + sought.limit, self.page)


class Children:
    """The children of a ticket: *names* and *progress* count once all steps are taken."""

    def __init__(self, parent: Ticket) -> None:
        self.names: list[str] = []
        """The oldest first, ``MOST_CHILDREN`` at most."""
        self.progress: Progress = progress(parent, ())
        """How far the parent is, with all its children."""

    def steps(self, tickets: Iterable[Ticket]) -> Iterator[None]:
        """Look through the children, one in a step."""
        there: list[Ranked] = []
        done = 0
        for ticket in tickets:
            if not ticket.metadata.deleting:
                there.append(((0, *_age(ticket)), ticket))
                done += closed(ticket)
            yield
        said = self.progress
        self.progress = Progress(done=said.done + done, total=said.total + len(there))
        oldest: list[Ticket] = []
        yield from _cut(there, 0, MOST_CHILDREN, oldest)
        self.names = [ticket.metadata.name for ticket in oldest]


def _missing(words: Iterable[str], ticket: Ticket) -> Generator[None, None, bool]:
    """Return whether one of the words is not in the ticket's text, each looked for in a step."""
    text = ""
    for word in words:
        if not text:
            text = f"{ticket.metadata.name}\n{ticket.spec.title}\n{ticket.spec.body}".casefold()
        if word not in text:
            return True
        yield
    return False


def _cut(ranked: list[Ranked], start: int, end: int, into: list[Ticket]) -> Iterator[None]:
    """Put those from *start* to before *end* into a list, in their order."""
    parts: list[list[Ranked]] = []
    for begin in range(0, len(ranked), _AT_ONCE):
        parts.append(sorted(ranked[begin : begin + _AT_ONCE], key=itemgetter(0)))
        yield
    for number, (_, ticket) in enumerate(islice(merge(*parts, key=itemgetter(0)), end)):
        if number >= start:
            into.append(ticket)
        yield


def _urgency(ticket: Ticket) -> tuple[int, str, str]:
    """Return what sorts the most urgent first, then the oldest."""
    return (_URGENCY[ticket.spec.priority], *_age(ticket))


def _age(ticket: Ticket) -> tuple[str, str]:
    """Return what sorts the oldest first."""
    return ticket.metadata.creation_timestamp, ticket.metadata.name
