"""Keeps tickets with their pods: who has which, and the state that follows from it.

A pass looks at one ticket and takes one step at a time (``controller.tickets.follow``), each
written before the next is taken; whatever is killed in between, the next pass goes on from what was
written. States are written as everybody's are, so a ticket that lives in git changes by a commit.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol

from controller.kernel.events import About, Recorder
from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kernel.reconciler import Plan, ReconcileError, Reconciler, Report
from controller.kernel.store import Change, Store
from controller.kube.errors import Conflict, NotFound
from controller.placement.indexes import BY_NAMESPACE, CLAIMED_BY, OF_TICKET
from controller.services.claims import Claims
from controller.services.ticket_values import CONTROLLER, By, Written
from controller.tickets import attempts
from controller.tickets.follow import (
    Decide,
    Drop,
    Keep,
    Release,
    Remember,
    Step,
    Take,
    Write,
    step,
)
from controller.tools.call import ToolError
from schemas.agentpod import AgentPod
from schemas.base import Status
from schemas.names import ANNOTATION_RECONCILE, TICKET
from schemas.organization import Organization
from schemas.ticket import Ticket

logger = logging.getLogger(__name__)

TICKET_WORK: Final = "TicketWork"
"""Kind of the keys that ask for a pass: one per ticket."""
_STEPS: Final = 8
"""Of one pass; more follow in the next one."""
_SOON_SECONDS: Final = 1.0
_PENDING_SECONDS: Final = 10.0
"""A change that is on its way into git is asked after this often, and noticed when it is there."""


class StateWriter(Protocol):
    """Changes tickets. ``controller.services.tickets.Tickets`` does."""

    async def update(
        self,
        by: By,
        namespace: str,
        ticket_id: str,
        changes: Mapping[str, Any],
        *,
        seen: Mapping[str, Any] | None = None,
        wait_seconds: float = ...,
        operation_id: str = ...,
        summary: str = ...,
    ) -> Written:
        """Change the fields that are as *seen*. The same *operation_id* is one change, ever."""
        ...

    def wished(self, ticket: Ticket) -> bool:
        """Whether a state that no person asked for is on its way to the ticket, through git."""
        ...


class TicketWork:
    """Passes over tickets."""

    def __init__(
        self,
        store: Store,
        queue: WorkQueue,
        claims: Claims,
        writer: StateWriter,
        recorder: Recorder,
    ) -> None:
        self._store = store
        self._tickets = store.of(Ticket)
        self._queue = queue
        self._claims = claims
        self._writer = writer
        self._recorder = recorder
        store.listen(Ticket, self._ticket)
        store.listen(AgentPod, self._pod)
        store.listen(Organization, self._organization)
        for ticket in self._tickets:
            queue.add(_key(ticket))

    def reconciler(self) -> Reconciler:
        """Return how the keys of ``TICKET_WORK`` are worked on: they have no object."""
        return Reconciler(TICKET_WORK, self._work, no_plan, no_status)

    async def _work(self, key: Key) -> None:
        for _ in range(_STEPS):
            ticket = self._tickets.get(key.namespace, key.name)
            if ticket is None or ticket.metadata.deleting:
                return
            try:
                if not await self._once(ticket):
                    return
            except Conflict:
                if not await self._look(ticket):
                    return
            except NotFound:
                return
        self._queue.add_after(key, _SOON_SECONDS)

    async def _once(self, ticket: Ticket) -> bool:
        """Take the next step; return whether there may be another."""
        holder = self._claims.holder(ticket)
        claimed = ticket.status.claim is not None
        if claimed and holder is None and not await self._claims.is_gone(ticket):
            return True  # the store has it by now
        where = (ticket.metadata.namespace, ticket.metadata.name)
        pods = self._store.of(AgentPod).indexed(OF_TICKET, where)
        return await self._take(ticket, step(ticket, pods, holder, follows=self._follows(ticket)))

    async def _take(self, ticket: Ticket, what: Step) -> bool:
        match what:
            case Keep():
                return await self._recount(ticket)
            case Take(pod):
                await self._claims.write(ticket, self._claims.taken(pod, ticket))
            case Decide(state):
                generation, seen = ticket.metadata.generation, str(ticket.spec.state)
                decided = {"followed": str(state), "generation": generation, "seen": seen}
                await self._claims.write(ticket, {"claim": decided})
            case Remember(state):
                await self._claims.write(ticket, {"claim": {"followed": str(state)}})
            case Write():
                return await self._write(ticket, what)
            case Release(reason, message):
                await self._claims.write(ticket, self._claims.released(ticket, reason, message))
                self._tell(ticket, "PodEnded", message)
            case Drop(message):
                await self._claims.write(ticket, {"claim": None})
                self._tell(ticket, "NotFollowed", message, warning=True)
        extra = {"key": f"{ticket.metadata.namespace}/{ticket.metadata.name}"}
        logger.info("ticket", extra={**extra, "change": type(what).__name__})
        return True

    async def _recount(self, ticket: Ticket) -> bool:
        """Count attempts anew where a person changed the state."""
        wishes = bool(attempts.wishes(ticket))
        settled = not (self._claims.just_noted(ticket) or self._writer.wished(ticket))
        if (change := attempts.recount(ticket, settled=settled)) is None:
            if wishes:
                self._queue.add_after(_key(ticket), _PENDING_SECONDS)
            return False
        await self._claims.write(ticket, {"runs": change})
        return True

    async def _write(self, ticket: Ticket, what: Write) -> bool:
        """Write the state that was decided; return whether there may be another step."""
        meta, claim = ticket.metadata, ticket.status.claim
        if claim is None:
            return False
        # one change for each decision, however often it is asked for
        decision = f"follow-{meta.uid}-{claim.pod_uid}-{claim.claimed_at}-{what.state}"
        try:
            written = await self._writer.update(
                CONTROLLER,
                meta.namespace,
                meta.name,
                {"state": str(what.state)},
                seen={"state": str(what.seen)},
                wait_seconds=0.0,
                operation_id=decision,
                summary=what.summary,
            )
        except ToolError as exc:
            await self._give_up(ticket, str(exc))
            return True
        if written.conflicts:
            await self._give_up(ticket, written.message)
            return True
        if written.pending:
            self._queue.add_after(Key(TICKET_WORK, meta.namespace, meta.name), _PENDING_SECONDS)
            return False
        self._tell(ticket, "Followed", what.summary)
        return True

    async def _give_up(self, ticket: Ticket, why: str) -> None:
        """Leave the state as it is: somebody else has changed it, or it cannot be changed."""
        await self._claims.write(ticket, {"claim": {"generation": None, "seen": None}})
        self._tell(ticket, "NotFollowed", f"its state stays as it is: {why}", warning=True)

    async def _look(self, ticket: Ticket) -> bool:
        """Read the ticket, which somebody else has changed; return whether it is there."""
        try:
            await self._claims.fresh(ticket)
        except NotFound:
            return False
        return True

    def _follows(self, ticket: Ticket) -> bool:
        if ticket.metadata.annotations.get(ANNOTATION_RECONCILE) == "disabled":
            return False
        if ticket.spec.follow_pods is not None:
            return ticket.spec.follow_pods
        home = organization_of(self._store, ticket.metadata.namespace)
        return home is None or home.spec.tickets.follow_pods

    def _tell(self, ticket: Ticket, reason: str, message: str, *, warning: bool = False) -> None:
        meta = ticket.metadata
        about = About(TICKET, meta.namespace, meta.name, meta.uid)
        self._recorder.event(about, warning=warning, reason=reason, message=message)

    # --- what has it look ------------------------------------------------------------------------

    def _ticket(self, change: Change[Ticket]) -> None:
        if change.new is not None:
            self._queue.add(_key(change.new))

    def _pod(self, change: Change[AgentPod]) -> None:
        pod = change.subject
        if (reference := pod.spec.ticket_ref) is not None:
            self._queue.add(Key(TICKET_WORK, pod.metadata.namespace, reference.name))
        for ticket in self._tickets.indexed(CLAIMED_BY, pod.metadata.uid):
            self._queue.add(_key(ticket))

    def _organization(self, change: Change[Organization]) -> None:
        """Have tickets looked at that pods have, where they follow them from now on."""
        old, new = change.old, change.new
        if new is None or (old is not None and old.spec.tickets == new.spec.tickets):
            return
        for ticket in self._tickets.indexed(BY_NAMESPACE, new.namespace):
            if ticket.status.claim is not None:
                self._queue.add(_key(ticket))


def organization_of(store: Store, namespace: str) -> Organization | None:
    """Return the organization that has the namespace, the oldest if there are several."""
    homes = store.of(Organization).indexed(BY_NAMESPACE, namespace)
    return min(homes, key=lambda home: home.metadata.creation_timestamp, default=None)


def no_plan(snapshot: object, now: float) -> Plan:
    """Return that there is nothing to plan: of keys without an object."""
    del snapshot, now
    return Plan(publish=False)


def no_status(snapshot: object, error: ReconcileError | None, now: float) -> Report:
    """Return that there is nothing to say: of keys without an object."""
    del snapshot, error, now
    return Report(Status())


def _key(ticket: Ticket) -> Key:
    return Key(TICKET_WORK, ticket.metadata.namespace, ticket.metadata.name)
