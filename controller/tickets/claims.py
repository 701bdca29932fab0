"""Whose a ticket is: one pod's at a time. Pure.

A pod asks for its ticket from its making on; it has it until it has ended for good or is gone. A
pod that a person stopped goes on later in the same worktree: it keeps the ticket.
"""

from collections.abc import Iterable
from typing import Final

from controller.placement.desired import STOPPED, ended
from controller.tickets.depth import is_run
from schemas.agentpod import AgentPod, Claim, DesiredState
from schemas.base import Condition
from schemas.conditions import STALLED, TRUE, find
from schemas.ticket import Ticket

_SCHEDULED: Final = "Scheduled"
_AT_ITS_TICKET: Final = frozenset({"TicketUnclaimed", "TicketClaimed", "TicketChanged"})


def over(pod: AgentPod) -> bool:
    """Whether the pod's work has ended, and is not only interrupted by a person."""
    return ended(pod) and not _says(pod, STOPPED)


def living(pod: AgentPod | None) -> bool:
    """Whether the pod, None if it is gone, can have a ticket."""
    return pod is not None and not over(pod)


def asks(pod: AgentPod) -> bool:
    """Whether the pod takes its ticket if nobody has it.

    Not before its placement while a person holds it up, or must mend it first.
    """
    reference = pod.spec.ticket_ref
    if reference is None or reference.claim is Claim.NEVER:
        return False
    if pod.metadata.deleting or over(pod):
        return False
    if pod.status.placement is not None:
        return True
    held = pod.spec.suspend or pod.spec.desired_state is DesiredState.STOPPED
    return not held and not _says(pod, STALLED)


def heir(pods: Iterable[AgentPod]) -> AgentPod | None:
    """Return the pod that gets a ticket which nobody has: one at work first, then the oldest."""
    asking = (pod for pod in pods if asks(pod))
    return min(asking, key=_precedence, default=None)


def owns(pod: AgentPod, ticket: Ticket) -> bool:
    """Whether the ticket is the pod's."""
    claim = ticket.status.claim
    return claim is not None and claim.pod_uid == pod.metadata.uid


def made_for(pod: AgentPod, ticket: Ticket) -> bool:
    """Whether the pod names the ticket as its own: it takes it whenever nobody has it."""
    reference = pod.spec.ticket_ref
    if reference is None or reference.claim is Claim.NEVER:
        return False
    return reference.name == ticket.metadata.name


def waiting(pod: AgentPod, ticket: Ticket) -> Condition | None:
    """Return why a pod that has the ticket, or was started for it, is not placed; None: it is.

    What it waits for at its ticket itself is over in a moment.
    """
    if pod.status.placement is not None or over(pod) or pod.metadata.deleting:
        return None
    said = find(pod.status.conditions, _SCHEDULED)
    if said is None or said.status == TRUE or said.reason in _AT_ITS_TICKET:
        return None
    return said if owns(pod, ticket) or is_run(pod, ticket.metadata.name) else None


def _precedence(pod: AgentPod) -> tuple[bool, str, str, str]:
    meta = pod.metadata
    return pod.status.placement is None, meta.creation_timestamp, meta.name, meta.uid


def _says(pod: AgentPod, kind: str) -> bool:
    said = find(pod.status.conditions, kind)
    return said is not None and said.status == TRUE
