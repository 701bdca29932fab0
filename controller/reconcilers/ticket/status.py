"""The status of a Ticket. Pure."""

from typing import Final

from controller.kernel.reconciler import ReconcileError, Report
from controller.reconcilers.conditions import Conditions
from controller.reconcilers.references import say
from controller.reconcilers.ticket.checks import first
from controller.reconcilers.ticket.snapshot import TicketSnapshot
from controller.tickets.facts import children_of, progress, worked_on
from schemas.conditions import merge
from schemas.names import ANNOTATION_REQUESTED_AT
from schemas.ticket import TicketStatus

_PODS: Final = 20
_CHILDREN: Final = 256


def report(snapshot: TicketSnapshot, error: ReconcileError | None, now: float) -> Report:
    """Return how far the ticket is, who works on it, and what is wrong with it."""
    del error  # nothing is done that could fail
    item = snapshot.subject
    said = Conditions.of(item, now)
    say(said, snapshot.missing)
    said.ready(first(snapshot), "its references are there and it waits for nothing of its own")
    return Report(
        TicketStatus(
            observed_generation=item.metadata.generation,
            last_handled_request_at=item.metadata.annotations.get(ANNOTATION_REQUESTED_AT),
            conditions=merge(item.status.conditions, said.items),
            progress=progress(item, snapshot.children),
            agent_pods=worked_on(snapshot.pods, item.status.agent_pods)[:_PODS],
            children=children_of(snapshot.children)[:_CHILDREN],
        )
    )
