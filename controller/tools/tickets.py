"""The tools that find, read, make and change tickets."""

from collections.abc import Mapping
from typing import Any, Protocol

from controller.services.ticket_search import Sought
from controller.services.ticket_values import Written, by_pod
from controller.services.tickets import OutdatedError, Place, Tickets, Whole
from controller.tickets.claims import owns
from controller.tools.call import Caller, Handler, ToolError
from schemas.agentpod import AgentPod
from schemas.ticket import Ticket, TicketState
from schemas.tools import ticket as tools


class Claiming(Protocol):
    """Who has which ticket. ``controller.services.claims.Claims`` is one."""

    async def take(self, pod: AgentPod, ticket: Ticket) -> Ticket:
        """Make the ticket the pod's. Raises ToolError if another pod that lives has it."""
        ...

    async def dropped(self, pod: AgentPod, ticket: Ticket) -> Ticket:
        """Take ``take`` back, as the change for which the pod took the ticket was not to be."""
        ...

    async def noted(self, pod: AgentPod, ticket: Ticket, state: TicketState) -> Ticket:
        """Write down that the state, which the ticket is about to get, is a pod's wish."""
        ...


def handlers(tickets: Tickets, claims: Claiming) -> Mapping[str, Handler]:
    """Return the handlers of the four tools, by name."""
    tools_of_tickets = TicketTools(tickets, claims)
    return {
        "search_tickets": tools_of_tickets.search,
        "get_ticket": tools_of_tickets.get,
        "create_ticket": tools_of_tickets.create,
        "update_ticket": tools_of_tickets.update,
    }


class TicketTools:
    """What each of the tools does."""

    def __init__(self, tickets: Tickets, claims: Claiming) -> None:
        self._tickets = tickets
        self._claims = claims

    async def search(self, caller: Caller, wanted: tools.SearchTickets) -> tools.FoundTickets:
        """Find tickets."""
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
        found, total = await self._tickets.search(by_pod(caller.pod), caller.namespace, sought)
        rows = tuple(tools.TicketSummary(**_summary(ticket)) for ticket in found)
        return tools.FoundTickets(tickets=rows, total=total)

    async def get(self, caller: Caller, wanted: tools.GetTicket) -> tools.Ticket:
        """Return a whole ticket."""
        found = self._tickets.find(caller.namespace, wanted.ticket_id)
        ticket, note = self._tickets.as_asked(by_pod(caller.pod), found)
        return _shown(await self._tickets.whole(by_pod(caller.pod), ticket), note or None)

    async def create(self, caller: Caller, wanted: tools.CreateTicket) -> tools.Ticket:
        """Make a ticket, in git where a GitSource takes new ones."""
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
        written = await self._tickets.create(by_pod(caller.pod), Place(caller.namespace), spec)
        return await self._told(caller, written)

    async def update(self, caller: Caller, wanted: tools.UpdateTicket) -> tools.Ticket:
        """Change a ticket: the resource, or its file in git."""
        given = {
            "title": wanted.title,
            "body": wanted.description,
            "state": wanted.status,
            "priority": wanted.priority,
            "type": wanted.type,
        }
        changes = {field: str(value) for field, value in given.items() if value is not None}
        if both := sorted(set(wanted.done) & set(wanted.undone)):
            raise ToolError("InvalidArgument", f"done, undone: {both[0]!r} is in both")
        found = before = self._tickets.find(caller.namespace, wanted.ticket_id)
        if wanted.status is not None:
            before = await self._claim(caller.pod, before, wanted)
        try:
            written = await self._write(caller, wanted, changes, wanted.expected_revision)
        except OutdatedError as exc:
            if not _followed(before, exc.current, caller.pod, wanted):
                raise await self._outdated(caller, exc) from exc
            changes.pop("state")
            try:
                revision = exc.current.metadata.generation
                written = await self._write(caller, wanted, changes, revision)
            except OutdatedError as again:
                raise await self._outdated(caller, again) from again
        took = wanted.status is TicketState.IN_PROGRESS and not owns(caller.pod, found)
        if took and "state" in written.conflicts:
            await self._claims.dropped(caller.pod, before)
        shown = await self._told(caller, written)
        if written.conflicts:
            raise ToolError("Conflict", written.message, shown.structured())
        return shown

    async def _write(
        self,
        caller: Caller,
        wanted: tools.UpdateTicket,
        changes: Mapping[str, str],
        revision: int | None,
    ) -> Written:
        return await self._tickets.update(
            by_pod(caller.pod),
            caller.namespace,
            wanted.ticket_id,
            changes,
            items=dict.fromkeys(wanted.done, True) | dict.fromkeys(wanted.undone, False),
            expected_revision=revision,
        )

    async def _told(self, caller: Caller, written: Written) -> tools.Ticket:
        """Return the ticket as the pod is shown it after a change."""
        ticket, note = written.ticket, None
        if written.pending:
            ticket, note = self._tickets.as_asked(by_pod(caller.pod), ticket)[0], written.message
        return _shown(await self._tickets.whole(by_pod(caller.pod), ticket), note)

    async def _outdated(self, caller: Caller, exc: OutdatedError) -> ToolError:
        now = _shown(await self._tickets.whole(by_pod(caller.pod), exc.current)).structured()
        return ToolError("Conflict", str(exc), now)

    async def _claim(self, pod: AgentPod, ticket: Ticket, wanted: tools.UpdateTicket) -> Ticket:
        """Make sure that no other pod works on it, and write down whose wish the state is.

        Not before there is a resource to write it on: else the state would pass for a person's.
        """
        if not ticket.metadata.uid:
            raise ToolError(
                "Unavailable",
                "status: the ticket's file is accepted and on its way: nothing was changed, try "
                "again in a few seconds",
            )
        revision = wanted.expected_revision
        outdated = revision is not None and ticket.metadata.generation > revision
        if wanted.status is None or outdated:
            return ticket  # nothing will be changed
        if wanted.status is TicketState.IN_PROGRESS:
            ticket = await self._claims.take(pod, ticket)
        await self._claims.noted(pod, ticket, wanted.status)
        return ticket


def _followed(before: Ticket, now: Ticket, pod: AgentPod, wanted: tools.UpdateTicket) -> bool:
    """Whether all that has changed is what follows from the pod's own claim: the state it wants.

    A ticket follows its pod at once, perhaps before the pod's own change of it is written.
    """
    claim = now.status.claim
    return (
        wanted.status is TicketState.IN_PROGRESS
        and claim is not None
        and claim.pod_uid == pod.metadata.uid
        and before.metadata.generation == wanted.expected_revision
        and now.metadata.generation == before.metadata.generation + 1
        and now.spec == before.spec.model_copy(update={"state": TicketState.IN_PROGRESS})
    )


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


def _shown(whole: Whole, note: str | None = None) -> tools.Ticket:
    ticket, spec = whole.ticket, whole.ticket.spec
    how_far = whole.progress
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
        children=whole.children,
        depends_on=spec.depends_on,
        file=_file(whole),
        note=note,
        revision=ticket.metadata.generation,
        created_at=ticket.metadata.creation_timestamp,
    )


def _file(whole: Whole) -> tools.TicketFile | None:
    file = whole.file
    if file is None:
        return None
    return tools.TicketFile(source=file.source, path=file.path, commit=file.commit)
