"""Tools that find, read, make and change tickets."""

from typing import Annotated

from pydantic import Field

from schemas.ticket import TicketPriority, TicketState, TicketType
from schemas.tools.base import Arguments, Category, Key, Result, Time, Tool

_State = Annotated[TicketState, Field(strict=False)]
_Type = Annotated[TicketType, Field(strict=False)]
_Item = Annotated[str, Field(min_length=1, max_length=63)]
_Priority = Annotated[TicketPriority, Field(strict=False)]


class SearchTickets(Arguments):
    """Which tickets; all conditions together."""

    repository_id: Key | None = None
    status: _State | None = None
    type: _Type | None = None
    priority: _Priority | None = None
    assignee_id: Key | None = None
    parent_id: Key | None = None
    query: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Words of title or description, upper or lower case."""
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    page: Annotated[int, Field(ge=1, le=100_000)] = 1


class TicketSummary(Result):
    """A ticket."""

    ticket_id: str
    title: str
    status: TicketState
    priority: TicketPriority
    type: TicketType
    assignees: tuple[str, ...] = ()
    parent_id: str | None = None


class FoundTickets(Result):
    """Tickets, the most urgent first, then the oldest."""

    tickets: tuple[TicketSummary, ...]
    total: int
    """How many there are on all pages."""


class GetTicket(Arguments):
    """Which ticket."""

    ticket_id: Key


class AcceptanceItem(Result):
    """Something that must be true when the ticket is done."""

    id: str
    text: str
    done: bool


class TicketProgress(Result):
    """How far it is."""

    done: int
    """Acceptance items that are done, and children that are done or canceled."""
    total: int
    """Acceptance items and children."""


class TicketFile(Result):
    """Where the ticket lies in git."""

    source: str
    path: str
    commit: str | None = None


class Ticket(TicketSummary):
    """A whole ticket."""

    description: str
    """Markdown."""
    repository_id: str | None = None
    labels: tuple[str, ...] = ()
    acceptance: tuple[AcceptanceItem, ...] = ()
    progress: TicketProgress
    pods: tuple[str, ...] = ()
    """Pods that work or worked on it."""
    branches: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    """The oldest 256; search_tickets with parent_id finds all."""
    depends_on: tuple[str, ...] = ()
    file: TicketFile | None = None
    note: str | None = None
    """What is accepted and not pushed yet, if anything."""
    revision: int
    """expected_revision of update_ticket."""
    created_at: Time


class CreateTicket(Arguments):
    """The ticket to make."""

    title: Annotated[str, Field(min_length=1, max_length=500)]
    description: Annotated[str, Field(max_length=65_536)] | None = None
    """Markdown, kept byte for byte."""
    repository_id: Key | None = None
    type: _Type = TicketType.TASK
    priority: _Priority = TicketPriority.MEDIUM
    parent_ticket_id: Key | None = None


class UpdateTicket(Arguments):
    """What to change; what is absent stays as it is."""

    ticket_id: Key
    title: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    description: Annotated[str, Field(max_length=65_536)] | None = None
    """Markdown, kept byte for byte."""
    status: _State | None = None
    priority: _Priority | None = None
    type: _Type | None = None
    done: Annotated[tuple[_Item, ...], Field(max_length=64, strict=False)] = ()
    """Ids of acceptance items that are done now."""
    undone: Annotated[tuple[_Item, ...], Field(max_length=64, strict=False)] = ()
    """Ids of those that are not done after all."""
    expected_revision: Annotated[int, Field(ge=1)] | None = None
    """The revision you have read: if it is outdated nothing is changed."""


TOOLS = (
    Tool(
        "search_tickets",
        Category.TICKET,
        "Find tickets of your organization.",
        SearchTickets,
        FoundTickets,
        read_only=True,
    ),
    Tool(
        "get_ticket",
        Category.TICKET,
        "Return a whole ticket.",
        GetTicket,
        Ticket,
        read_only=True,
    ),
    Tool(
        "create_ticket",
        Category.TICKET,
        "Make a ticket.",
        CreateTicket,
        Ticket,
    ),
    Tool(
        "update_ticket",
        Category.TICKET,
        "Change a ticket.",
        UpdateTicket,
        Ticket,
    ),
)
