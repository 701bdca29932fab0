"""The tools that find, read, make and change tickets."""

from collections.abc import Mapping
from typing import Any

from controller.services.tickets import OutdatedError, Sought, Tickets, Whole
from controller.tickets.facts import progress
from controller.tools.call import Caller, Handler, ToolError
from schemas.ticket import Ticket
from schemas.tools import ticket as tools


def handlers(tickets: Tickets) -> Mapping[str, Handler]:
    """Return the handlers of the four tools, by name."""

    async def search(caller: Caller, wanted: tools.SearchTickets) -> tools.FoundTickets:
        sought = Sought(
            repository=wanted.repository_id or "",
            state=wanted.status or "",
            type=wanted.type or "",
            priority=wanted.priority or "",
            assignee=wanted.assignee_id or "",
            parent=wanted.parent_id or "",
            query=wanted.query or "",
            limit=wanted.limit,
            page=wanted.page,
        )
        found, total = await tickets.search(caller.namespace, sought)
        rows = tuple(tools.TicketSummary(**_summary(ticket)) for ticket in found)
        return tools.FoundTickets(tickets=rows, total=total)

    async def get(caller: Caller, wanted: tools.GetTicket) -> tools.Ticket:
        return _shown(tickets.whole(tickets.find(caller.namespace, wanted.ticket_id)))

    async def create(caller: Caller, wanted: tools.CreateTicket) -> tools.Ticket:
        spec: dict[str, Any] = {
            "title": wanted.title,
            "type": str(wanted.type),
            "priority": str(wanted.priority),
        }
        if wanted.description is not None:
            spec["body"] = wanted.description
        if wanted.repository_id is not None:
            spec["repositoryRef"] = {"name": wanted.repository_id}
        if wanted.parent_ticket_id is not None:
            spec["parent"] = wanted.parent_ticket_id
        return _shown(tickets.whole(await tickets.create(caller, spec)))

    async def update(caller: Caller, wanted: tools.UpdateTicket) -> tools.Ticket:
        given = {
            "title": wanted.title,
            "body": wanted.description,
            "state": wanted.status,
            "priority": wanted.priority,
            "type": wanted.type,
        }
        changes = {field: str(value) for field, value in given.items() if value is not None}
        try:
            ticket = await tickets.update(
                caller, wanted.ticket_id, changes, wanted.expected_revision
            )
        except OutdatedError as exc:
            now = _shown(tickets.whole(exc.current)).structured()
            raise ToolError("Conflict", str(exc), now) from exc
        return _shown(tickets.whole(ticket))

    return {
        "search_tickets": search,
        "get_ticket": get,
        "create_ticket": create,
        "update_ticket": update,
    }


def _summary(ticket: Ticket) -> dict[str, Any]:
    spec = ticket.spec
    return {
        "ticket_id": ticket.metadata.name,
        "title": spec.title,
        "status": spec.state,
        "priority": spec.priority,
        "type": spec.type,
        "assignees": spec.assignees,
        "parent_id": spec.parent,
    }


def _shown(whole: Whole) -> tools.Ticket:
    ticket, spec = whole.ticket, whole.ticket.spec
    how_far = progress(ticket, whole.children)
    branches = dict.fromkeys(pod.branch for pod in whole.pods if pod.branch)
    commits = dict.fromkeys(pod.commit for pod in whole.pods if pod.commit)
    return tools.Ticket(
        **_summary(ticket),
        description=spec.body,
        repository_id=spec.repository_ref.name if spec.repository_ref is not None else None,
        labels=spec.labels,
        acceptance=tuple(
            tools.AcceptanceItem(id=item.id, text=item.text, done=item.done)
            for item in spec.acceptance
        ),
        progress=tools.TicketProgress(done=how_far.done, total=how_far.total),
        pods=tuple(pod.name for pod in whole.pods),
        branches=tuple(branches),
        commits=tuple(commits),
        children=tuple(child.metadata.name for child in whole.children),
        depends_on=spec.depends_on,
        revision=ticket.metadata.generation,
        created_at=ticket.metadata.creation_timestamp,
    )
