"""All that a Ticket's plan and status are computed from."""

from dataclasses import dataclass

from controller.gitops.facts import Origin
from controller.gitops.writeback.values import NOTHING_WRITTEN, TicketWrites
from controller.kernel.reconciler import Finding
from schemas.agentpod import AgentPod
from schemas.ticket import Ticket, TicketCommit


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
    blockers: tuple[str, ...] = ()
    """Tickets that it waits for."""
    run: Finding | None = None
    """Why no pod is started for it by itself; None: nothing starts any."""
    runs_known: bool = True
    """Whether that has been looked at since our start."""
    origin: Origin | None = None
    """Where it is kept in git."""
    origin_known: bool = False
    """Whether it is known that it is kept nowhere in git, where ``origin`` is None."""
    writes: TicketWrites = NOTHING_WRITTEN
    """How changes of its file do."""
    commits: tuple[TicketCommit, ...] = ()
    """Commits that name it, as far as they were seen by now; the newest first."""
