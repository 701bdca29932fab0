"""Tickets whose pod goes: nobody's then, in the state that follows from it. Pure.

The controller's own steps are taken, with what is known of the pod's commits by now.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cli.plan.cluster import Cluster
from controller.kernel.store import Store
from controller.tickets.attempts import recount
from controller.tickets.claims import living
from controller.tickets.depth import deepened
from controller.tickets.follow import Decide, Release, Write, step
from schemas.agentpod import AgentPod
from schemas.names import ANNOTATION_RECONCILE, TICKET
from schemas.organization import Organization
from schemas.ticket import Ticket, TicketState

_STEPS: Final = 8


@dataclass(frozen=True, slots=True)
class Released:
    """What is there once nobody has a ticket who is gone."""

    cluster: Cluster
    notes: tuple[str, ...] = ()
    """Of tickets whose state follows from what their pods leave."""


def released(cluster: Cluster, store: Store, home: Organization) -> Released:
    """Return what is there once pods have let go of tickets, and people's words are counted."""
    manifests = dict(cluster.manifests)
    notes: list[str] = []
    for ticket in store.of(Ticket):
        if ticket.metadata.deleting:
            continue
        after = _let_go(ticket, store, home)
        status: dict[str, Any] = {}
        if after is not ticket:
            status["claim"] = None
            if after.spec.state is not ticket.spec.state:
                notes.append(_note(ticket, after.spec.state))
        if after.status.claim is None:
            counted = dict(_counted(after, _holder(ticket, store)) if after is not ticket else ())
            status["runs"] = counted or recount(after)
        if status.get("runs") or "claim" in status:
            key = (TICKET.kind, ticket.metadata.name)
            manifests[key] = _with(manifests[key], after.spec.state, status)
    return Released(Cluster(cluster.namespace, manifests, cluster.unread), tuple(notes))


def _let_go(ticket: Ticket, store: Store, home: Organization) -> Ticket:
    """Return the ticket as its pod leaves it; the very one if its pod has it still, or none has."""
    holder = _holder(ticket, store)
    if ticket.status.claim is None or living(holder):
        return ticket
    follows = _follows(ticket, home)
    now = ticket
    for _ in range(_STEPS):
        match step(now, (), holder, follows=follows):
            case Decide(state) | Write(state):
                now = _in_state(now, state)
            case Release():
                break
            case _:
                return ticket
    return now.model_copy(update={"status": now.status.model_copy(update={"claim": None})})


def _holder(ticket: Ticket, store: Store) -> AgentPod | None:
    claim = ticket.status.claim
    return store.of(AgentPod).by_uid(claim.pod_uid) if claim is not None else None


def _follows(ticket: Ticket, home: Organization) -> bool:
    if ticket.metadata.annotations.get(ANNOTATION_RECONCILE) == "disabled":
        return False
    said = ticket.spec.follow_pods
    return home.spec.tickets.follow_pods if said is None else said


def _in_state(ticket: Ticket, state: TicketState) -> Ticket:
    """Return the ticket with the state that its claim has decided, and that is written."""
    status = ticket.status
    if status.claim is not None:
        decided = {"followed": state, "generation": None, "seen": None}
        status = status.model_copy(update={"claim": status.claim.model_copy(update=decided)})
    spec = ticket.spec.model_copy(update={"state": state})
    return ticket.model_copy(update={"spec": spec, "status": status})


def _counted(ticket: Ticket, holder: AgentPod | None) -> Iterator[tuple[str, Any]]:
    """Give what is counted where a pod lets go: no state that the ticket has is a person's."""
    if ticket.status.runs is None:
        return
    yield "state", str(ticket.spec.state)
    if holder is not None and (deep := deepened(holder, ticket)) is not None:
        yield "depth", deep


def _with(item: Mapping[str, Any], state: TicketState, change: Mapping[str, Any]) -> dict[str, Any]:
    status = dict(item.get("status") or {})
    if "claim" in change:
        status.pop("claim", None)
    if change.get("runs"):
        status["runs"] = {**(status.get("runs") or {}), **change["runs"]}
    return {**item, "spec": {**item["spec"], "state": str(state)}, "status": status}


def _note(ticket: Ticket, state: TicketState) -> str:
    claim = ticket.status.claim
    pod = claim.pod_name if claim is not None else ""
    name = ticket.metadata.name
    return f"Ticket {name} follows pod {pod} into {state}, unless that leaves other commits"
