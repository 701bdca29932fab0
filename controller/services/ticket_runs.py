"""Starts pods for tickets that want one: counted first, made then, and never more than allowed.

A pass looks at a whole organization, because what may start depends on all that is there. Before a
pod is made the ticket says, by compare-and-swap, that it is being made, and under which name; so a
controller that was killed makes that very pod, and no other.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Protocol

from controller.kernel.clock import stamp, wall
from controller.kernel.events import About, Recorder
from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kernel.reconciler import Finding, Reconciler, earliest
from controller.kernel.redact import redact
from controller.kernel.store import Change, Store
from controller.kube.errors import AlreadyExists, Conflict, NotFound, OverQuota, Refused
from controller.placement.indexes import (
    ACTIVE_IN,
    BY_NAMESPACE,
    OF_SOURCE,
    OF_TICKET,
    RUNS_IN,
    WITH_RUN,
)
from controller.reconcilers.agentpod.observe import ingredients
from controller.rpc.ports import Objects
from controller.services.claims import Claims
from controller.services.ticket_work import no_plan, no_status, organization_of
from controller.tickets import runs
from controller.tickets.attempts import recount
from controller.tickets.depth import is_run
from controller.tickets.facts import blockers
from controller.tickets.fitness import Fitness
from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod
from schemas.conditions import READY, find
from schemas.gitsource import GitSource
from schemas.names import AGENT_POD, ANNOTATION_RECONCILE, LABEL_AUTO_RUN, TICKET, Resource
from schemas.organization import Organization
from schemas.repository import Repository
from schemas.ticket import Ticket

logger = logging.getLogger(__name__)

TICKET_RUNS: Final = "TicketRuns"
"""Kind of the keys that ask for a pass: one per namespace, without a name."""
_SOON_SECONDS: Final = 0.2
"""What comes together is looked at together."""
_REST: Final = 4.0
"""So many times as long as a pass took there is none: a fifth of a processor at the most."""
_AT_ONCE: Final = 250
"""So many tickets are looked at before others get their turn."""


class Writer(Objects, Protocol):
    """Reads and writes the API."""

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete the object of that uid; one that is gone is fine."""
        ...


class TicketRuns:
    """Passes over organizations."""

    def __init__(
        self,
        store: Store,
        queue: WorkQueue,
        kube: Writer,
        claims: Claims,
        recorder: Recorder,
        clock: Callable[[], float] = wall,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._tickets = store.of(Ticket)
        self._pods = store.of(AgentPod)
        self._queue = queue
        self._kube = kube
        self._claims = claims
        self._recorder = recorder
        self._clock = clock
        self._ticks = ticks
        self._took_seconds: dict[str, float] = {}
        """How long the last pass took, by namespace."""
        self._whys: dict[str, dict[str, Finding]] = {}
        """By namespace and uid of the ticket; a namespace is there once a pass has looked at it."""
        store.listen(Ticket, self._ticket)
        store.listen(AgentPod, self._pod)
        store.listen(Organization, self._organization)
        store.listen(GitSource, self._source)
        store.listen(Repository, self._repository)
        store.listen(AgentClass, self._class)
        for home in store.of(Organization):
            self._ask(home.namespace)

    def reconciler(self) -> Reconciler:
        """Return how the keys of ``TICKET_RUNS`` are worked on: they have no object."""
        return Reconciler(TICKET_RUNS, self._pass, no_plan, no_status)

    def knows(self, namespace: str) -> bool:
        """Whether a pass has looked at the organization since our start."""
        return namespace in self._whys

    def why(self, ticket: Ticket) -> Finding | None:
        """Return why no pod is started for the ticket; None: nothing starts pods for it."""
        return self._whys.get(ticket.metadata.namespace, {}).get(ticket.metadata.uid)

    async def _pass(self, key: Key) -> None:
        began = self._ticks()
        try:
            await self._look_over(key)
        finally:
            self._took_seconds[key.namespace] = self._ticks() - began

    async def _look_over(self, key: Key) -> None:
        namespace = key.namespace
        await self._finish(namespace)
        await self._withdraw(namespace)
        ready, whys, pause = await self._wishes(namespace)
        home = organization_of(self._store, namespace)
        if home is None or home.spec.suspend or home.metadata.deleting:
            said = Finding("Suspended", "the organization is suspended, or there is none")
            whys |= {wish.ticket.metadata.uid: said for wish in ready}
        else:
            unfit = Fitness(lambda pod: ingredients(self._store, pod))
            starts, waits = runs.chosen(ready, _limits(home), self._there(namespace), unfit)
            whys |= waits
            for wish in starts:
                await self._start(wish)
        self._say(namespace, whys)
        if pause is not None:
            self._queue.add_after(key, pause)

    # --- what there is ---------------------------------------------------------------------------

    async def _wishes(
        self, namespace: str
    ) -> tuple[list[runs.Wish], dict[str, Finding], float | None]:
        """Return tickets that a pod may be started for, why none is for others, until when."""
        ready: list[runs.Wish] = []
        whys: dict[str, Finding] = {}
        pause: float | None = None
        async for wish in self._candidates(namespace):
            ticket, now = wish.ticket, self._clock()
            needed = blockers(ticket, lambda name: self._tickets.get(namespace, name))
            pods = self._pods.indexed(OF_TICKET, (namespace, ticket.metadata.name))
            why = runs.obstacle(wish, needed, pods, now)
            if why is None:
                ready.append(wish)
                continue
            whys[ticket.metadata.uid] = why
            if why.reason == "BackOff" and ticket.status.runs is not None:
                left = runs.pause_seconds(ticket, ticket.status.runs.attempts, now)
                pause = earliest(pause, max(left, _SOON_SECONDS))
        return ready, whys, pause

    async def _candidates(self, namespace: str) -> AsyncIterator[runs.Wish]:
        """Give the tickets of which a rule says that they get a pod as they are now."""
        seen = {t.metadata.uid: t for t in self._tickets.indexed(WITH_RUN, namespace)}
        for source in self._store.of(GitSource).indexed(BY_NAMESPACE, namespace):
            if source.spec.auto_run:
                found = self._tickets.indexed(OF_SOURCE, (namespace, source.metadata.name))
                seen |= {ticket.metadata.uid: ticket for ticket in found}
        for number, ticket in enumerate(seen.values()):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            rule = self._rule(ticket)
            left_alone = ticket.metadata.annotations.get(ANNOTATION_RECONCILE) == "disabled"
            if rule is None or left_alone or ticket.metadata.deleting:
                continue
            if ticket.spec.state in rule.states:
                yield runs.Wish(ticket, rule)

    def _rule(self, ticket: Ticket) -> runs.Rule | None:
        name, said = runs.origin_of(ticket), ticket.status.source
        source = self._store.of(GitSource).get(ticket.metadata.namespace, name) if name else None
        if source is not None and (said is None or said.name != name):
            return None  # its status does not say yet where it is from, and whose wish it is
        return runs.rule_of(ticket, source)

    def _there(self, namespace: str) -> runs.There:
        return runs.there(
            self._pods.indexed(RUNS_IN, namespace),
            self._pods.count(BY_NAMESPACE, namespace),
            self._pods.count(ACTIVE_IN, namespace),
        )

    # --- what is done ----------------------------------------------------------------------------

    async def _start(self, wish: runs.Wish) -> None:
        """Count the run and make its pod; a ticket that changed meanwhile is looked at again."""
        ticket = wish.ticket
        before = ticket.status.runs
        again = recount(ticket) or {}
        attempts = again.get("attempts", before.attempts if before else 0)
        number = (before.total if before else 0) + 1
        change = {
            "attempts": attempts + 1,
            **({"depth": again["depth"]} if "depth" in again else {}),
            "total": number,
            "lastPod": runs.pod_name(ticket.metadata.name, number),
            "rule": wish.rule.name or None,
            "state": str(ticket.spec.state),
            "starting": True,
            "startedAt": stamp(self._clock()),
        }
        try:
            ticket = await self._claims.write(ticket, {"runs": change})
        except Conflict:  # perhaps its conditions alone have changed, which asks for no pass
            await self._look(ticket)
            self._ask(ticket.metadata.namespace)
            return
        except NotFound:
            return
        await self._make(ticket, wish.rule)

    async def _finish(self, namespace: str) -> None:
        """Go on where pods were counted and perhaps not made."""
        for ticket in self._tickets.indexed(WITH_RUN, namespace):
            status = ticket.status.runs
            if status is None or not status.starting or ticket.metadata.deleting:
                continue
            rule = self._rule(ticket)
            wanted = rule is not None and ticket.spec.state in rule.states
            if rule is None or not wanted or ticket.spec.state != status.state:
                await self._made(ticket)  # a person has changed it: the pod, if there, is withdrawn
            else:
                await self._make(ticket, rule)

    async def _make(self, ticket: Ticket, rule: runs.Rule) -> None:
        """Make the pod that the ticket has counted last, unless it is there already."""
        status, meta = ticket.status.runs, ticket.metadata
        if status is None:
            return
        manifest = runs.manifest(runs.Wish(ticket, rule), status.total)
        name = manifest["metadata"]["name"]
        try:
            answer = await self._kube.create(AGENT_POD, meta.namespace, manifest)
        except AlreadyExists:
            answer = await self._kube.get(AGENT_POD, meta.namespace, name)
        except Refused as exc:  # that a quota is full is said before that a name is taken
            if not isinstance(exc, OverQuota) or not (answer := await self._found(ticket, name)):
                await self._made(ticket)
                why = f"pod {name} was refused: {redact(str(exc), 300)}"
                self._tell(ticket, "AutoRunRefused", why, warning=True)
                return
        self._store.apply(AGENT_POD.kind, answer)
        await self._made(ticket)
        if is_run(AgentPod.model_validate(answer), meta.name):
            logger.info("pod started", extra={"key": f"{meta.namespace}/{name}"})
            self._tell(ticket, "PodStarted", f"pod {name} was started for it")
        else:
            text = f"a pod {name} is there that was not started for it: the attempt is lost"
            self._tell(ticket, "AutoRunRefused", text, warning=True)

    async def _found(self, ticket: Ticket, name: str) -> dict[str, Any]:
        with contextlib.suppress(NotFound):
            return await self._kube.get(AGENT_POD, ticket.metadata.namespace, name)
        return {}

    async def _made(self, ticket: Ticket) -> None:
        """Write down that the last pod is there, or will never be."""
        number = ticket.status.runs.total if ticket.status.runs else 0

        def edit(now: Ticket) -> dict[str, Any] | None:
            mine = now.status.runs
            if mine is None or mine.total != number or not mine.starting:
                return None
            return {"runs": {"starting": None}}

        with contextlib.suppress(NotFound):
            await self._claims.edit(ticket, edit)

    async def _withdraw(self, namespace: str) -> None:
        """Delete pods that tickets started, that have not begun, and that nobody wants any more."""
        for pod in self._pods.indexed(RUNS_IN, namespace):
            reference = pod.spec.ticket_ref
            if reference is None or pod.metadata.deleting or pod.status.placement is not None:
                continue
            ticket = self._tickets.get(namespace, reference.name)
            if ticket is not None and not runs.pointless(pod, ticket):
                continue
            meta = pod.metadata
            await self._kube.delete(AGENT_POD, namespace, meta.name, uid=meta.uid)
            logger.info("pod withdrawn", extra={"key": f"{namespace}/{meta.name}"})
            if ticket is not None:
                text = f"pod {meta.name}, which had not begun, was deleted: the ticket has changed"
                self._tell(ticket, "PodWithdrawn", text)

    async def _look(self, ticket: Ticket) -> None:
        with contextlib.suppress(NotFound):
            await self._claims.fresh(ticket)

    def _tell(self, ticket: Ticket, reason: str, message: str, *, warning: bool = False) -> None:
        meta = ticket.metadata
        about = About(TICKET, meta.namespace, meta.name, meta.uid)
        self._recorder.event(about, warning=warning, reason=reason, message=message)

    def _say(self, namespace: str, whys: dict[str, Finding]) -> None:
        """Remember why nothing starts, and have those tickets looked at that can say else now."""
        first = namespace not in self._whys
        before = self._whys.get(namespace, {})
        self._whys[namespace] = whys
        changed = {uid for uid in before.keys() | whys.keys() if before.get(uid) != whys.get(uid)}
        if first:  # what their status says may be from before our start
            changed |= {t.metadata.uid for t in self._tickets.indexed(WITH_RUN, namespace)}
        for uid in changed:
            if (ticket := self._tickets.by_uid(uid)) is not None:
                self._queue.add(Key(TICKET.kind, namespace, ticket.metadata.name))

    # --- what has it look ------------------------------------------------------------------------

    def _ask(self, namespace: str) -> None:
        """Have a pass made soon; long ones are made the more rarely."""
        pause = max(_SOON_SECONDS, _REST * self._took_seconds.get(namespace, 0.0))
        self._queue.add_after(Key(TICKET_RUNS, namespace, ""), pause)

    def _ticket(self, change: Change[Ticket]) -> None:
        """Any ticket counts: others may wait for it. Its conditions alone do not."""
        old, new = change.old, change.new
        if old is not None and new is not None and _same(old, new):
            return
        namespace = change.subject.metadata.namespace
        if self._store.of(Ticket).count(WITH_RUN, namespace) or self._has_rules(namespace):
            self._ask(namespace)

    def _pod(self, change: Change[AgentPod]) -> None:
        namespace, pod = change.subject.metadata.namespace, change.subject
        concerned = LABEL_AUTO_RUN in pod.metadata.labels or bool(self._whys.get(namespace))
        if concerned and (change.old is None or change.new is None or _moved(change)):
            self._ask(namespace)

    def _organization(self, change: Change[Organization]) -> None:
        if change.old is None or change.new is None or change.old.spec != change.new.spec:
            self._ask(change.subject.namespace)

    def _source(self, change: Change[GitSource]) -> None:
        old, new = change.old, change.new
        if old is None or new is None or old.spec != new.spec:
            self._ask(change.subject.metadata.namespace)

    def _repository(self, change: Change[Repository]) -> None:
        namespace = change.subject.metadata.namespace
        if self._whys.get(namespace) and _readied(change):
            self._ask(namespace)

    def _class(self, change: Change[AgentClass]) -> None:
        if _readied(change):
            for namespace in (each for each, whys in self._whys.items() if whys):
                self._ask(namespace)

    def _has_rules(self, namespace: str) -> bool:
        sources = self._store.of(GitSource).indexed(BY_NAMESPACE, namespace)
        return any(source.spec.auto_run for source in sources)


def _limits(home: Organization) -> runs.Limits:
    quota = home.spec.quota
    return runs.Limits(
        home.spec.tickets.max_concurrent_runs,
        quota.agent_pods if quota else None,
        quota.running_agent_pods if quota else None,
        home.spec.pod_depth,
    )


def _same(old: Ticket, new: Ticket) -> bool:
    """Whether nothing changed that a start follows from."""
    before, after = (
        (t.spec, t.status.claim, t.status.runs, t.status.source, t.metadata.deleting)
        for t in (old, new)
    )
    return before == after and old.metadata.annotations == new.metadata.annotations


def _readied(change: Change[Repository] | Change[AgentClass]) -> bool:
    """Whether pods that name it may do so with more success, or less."""
    old, new = change.old, change.new
    if old is None or new is None or old.spec != new.spec:
        return True
    return find(old.status.conditions, READY) != find(new.status.conditions, READY)


def _moved(change: Change[AgentPod]) -> bool:
    old, new = change.old, change.new
    if old is None or new is None:
        return True
    before, after = (
        (p.status.phase, p.status.placement is None, p.metadata.deleting) for p in (old, new)
    )
    return before != after
