"""All that a Ticket's plan and status are computed from."""

from dataclasses import dataclass

from schemas.agentpod import AgentPod
from schemas.ticket import Ticket


@dataclass(frozen=True, slots=True)
class TicketSnapshot:
    """The ticket and what hangs on it."""

    subject: Ticket
    children: tuple[Ticket, ...] = ()
    pods: tuple[AgentPod, ...] = ()
    missing: tuple[str, ...] = ()
    """What it refers to and is not there."""
    parents_cycle: tuple[str, ...] = ()
    """The way from it to itself along parents; empty = there is none."""
    dependencies_cycle: tuple[str, ...] = ()
    """The same along dependencies."""
