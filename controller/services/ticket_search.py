"""Which tickets somebody looks for. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from schemas.ticket import Ticket, TicketPriority

_URGENCY: Final = {priority: rank for rank, priority in enumerate(TicketPriority)}


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
        """Whether the ticket is one of them."""
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
            and self._said_in(ticket)
        )

    def _said_in(self, ticket: Ticket) -> bool:
        words = self.query.casefold().split()
        if not words:
            return True
        text = f"{ticket.metadata.name}\n{ticket.spec.title}\n{ticket.spec.body}".casefold()
        return all(word in text for word in words)


def urgency(ticket: Ticket) -> tuple[int, str, str]:
    """Return what sorts the most urgent first, then the oldest."""
    return (_URGENCY[ticket.spec.priority], *age(ticket))


def age(ticket: Ticket) -> tuple[str, str]:
    """Return what sorts the oldest first."""
    return ticket.metadata.creation_timestamp, ticket.metadata.name


def batched(items: list[Ticket], size: int) -> Iterator[list[Ticket]]:
    """Give the items in lists of at most *size*."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
