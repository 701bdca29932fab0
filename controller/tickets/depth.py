"""How many pods stand between a person and the next pod of a ticket. Pure.

A pod that makes a ticket, asks for its state or has had it counts as the maker of the pod that is
started for it: ``Organization.spec.podDepth`` holds for every way from pod to pod. It grows by pods
that asked, not by attempts: a pod that the ticket itself started adds nothing to it. Only a
person's change of the ticket's state takes it back.
"""

from typing import Any, Final

from controller.bindings.rules import depth
from schemas.agentpod import AgentPod
from schemas.names import ANNOTATION_CREATED_BY_UID, ANNOTATION_DEPTH, LABEL_AUTO_RUN, LABEL_SOURCE
from schemas.ticket import Ticket

_DEEPEST: Final = 1000
"""As the schema has it; beyond any limit."""
_DIGITS: Final = 7


def born(ticket: Ticket) -> int:
    """Return how deep the ticket was made; 0: a person made it."""
    annotations = ticket.metadata.annotations
    told = annotations.get(ANNOTATION_DEPTH, "")
    known = 0
    if told.isascii() and told.isdecimal():
        known = int(told) if len(told) <= _DIGITS else _DEEPEST
    return min(max(known, 1 if annotations.get(ANNOTATION_CREATED_BY_UID) else 0), _DEEPEST)


def depth_of(ticket: Ticket) -> int:
    """Return how deep the next pod of the ticket is; 0: only people have asked for it."""
    runs = ticket.status.runs
    return runs.depth if runs is not None and runs.depth is not None else born(ticket)


def deepened(pod: AgentPod, ticket: Ticket) -> int | None:
    """Return how deep the ticket is once *pod* has asked for it; None: as deep as before."""
    wanted = min(depth(pod) + (0 if is_run(pod, ticket.metadata.name) else 1), _DEEPEST)
    return wanted if wanted > depth_of(ticket) else None


def unmade(ticket: Ticket) -> int | None:
    """Return what is written where a person has spoken; it outweighs how the ticket was made."""
    return 0 if born(ticket) else None


def at_first(ticket: Ticket) -> dict[str, Any] | None:
    """Return what is written of a ticket that a pod made, None if nothing is: it is there, or not.

    From then on a person's change of its state can be told.
    """
    if ticket.status.runs is not None or not born(ticket) or not may_run(ticket):
        return None
    return {"state": str(ticket.spec.state), "depth": born(ticket)}


def may_run(ticket: Ticket) -> bool:
    """Whether a pod may ever be started for the ticket by itself.

    One that comes from a GitSource has its label before its status says so.
    """
    status = ticket.status
    sourced = status.source or LABEL_SOURCE in ticket.metadata.labels
    return bool(ticket.spec.auto_run or status.runs or sourced)


def is_run(pod: AgentPod, ticket: str) -> bool:
    """Whether the pod was started by that ticket itself."""
    reference = pod.spec.ticket_ref
    named = reference is not None and reference.name == ticket
    return named and LABEL_AUTO_RUN in pod.metadata.labels
