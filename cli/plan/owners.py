"""Whose tickets are: the controller's own rules of claims. Pure."""

from cli.plan.cluster import Cluster
from controller.kernel.store import Store
from controller.placement.indexes import OF_TICKET
from controller.tickets.claims import asks, heir, living
from schemas.agentpod import AgentPod, Claim
from schemas.ticket import Ticket, TicketClaim


class Owners:
    """Whose the tickets are once the controller has given those that nobody has."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self._tickets = store.of(Ticket)
        self._namespace = cluster.namespace
        self._pods = store.of(AgentPod)
        self.rivals: dict[str, str] = {}
        """Pods that insist on a ticket that is any of theirs, and that ticket."""

    def ticket(self, pod: AgentPod) -> Ticket | None:
        """Return the pod's ticket, as whose it will be; None: there is none."""
        use = pod.spec.ticket_ref
        ticket = self._tickets.get(self._namespace, use.name) if use is not None else None
        if ticket is None or use is None:
            return None
        claim = ticket.status.claim
        if claim is not None and living(self._pods.by_uid(claim.pod_uid)):
            return ticket
        asking = self._pods.indexed(OF_TICKET, (self._namespace, use.name))
        asking = [each for each in asking if asks(each) and not each.metadata.deleting]
        owner = heir(asking)
        if owner is not None and owner.status.placement is None and asks(pod):
            if len(asking) > 1 and use.claim is Claim.REQUIRED:
                self.rivals[pod.metadata.name] = use.name
            owner = pod
        return _claimed(ticket, owner)


def _claimed(ticket: Ticket, owner: AgentPod | None) -> Ticket:
    if owner is None:
        return ticket
    meta = owner.metadata
    claim = TicketClaim(pod_name=meta.name, pod_uid=meta.uid, claimed_at=meta.creation_timestamp)
    return ticket.model_copy(update={"status": ticket.status.model_copy(update={"claim": claim})})
