"""What is done about a Ticket: nothing beside its status. Pure."""

from controller.kernel.reconciler import Plan
from controller.reconcilers.ticket.snapshot import TicketSnapshot


def plan(snapshot: TicketSnapshot, now: float) -> Plan:
    """Return whether to publish a status: not of a ticket that goes."""
    del now
    return Plan(publish=not snapshot.subject.metadata.deleting)
