"""Tickets and pods over an API server in memory, with a controller that can be killed anywhere."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override

from controller.kernel.events import Recorder
from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kube.errors import KubeError
from controller.placement.indexes import new_store
from controller.reconcilers.agentpod import checks
from controller.reconcilers.agentpod.snapshot import Ingredients
from controller.services.claims import Claims
from controller.services.ticket_runs import TICKET_RUNS, TicketRuns
from controller.services.ticket_values import CONTROLLER, By, Written, by_pod
from controller.services.ticket_work import TICKET_WORK, TicketWork
from controller.services.tickets import Tickets
from controller.tickets.claims import over
from schemas.agentpod import AgentPod
from schemas.kinds import KINDS
from schemas.names import (
    AGENT_CLASS,
    AGENT_POD,
    ANNOTATION_CREATED_BY,
    ANNOTATION_CREATED_BY_UID,
    ANNOTATION_DEPTH,
    GIT_SOURCE,
    LABEL_SOURCE,
    ORGANIZATION,
    TICKET,
    Resource,
)
from schemas.ticket import Ticket
from tests.unit.controller.kube_memory import MemoryKube

NOW = 1_800_000_000.0
ORG = "acme"
AT = "2027-01-01T00:00:00Z"


class Killed(BaseException):
    """The controller was killed: nothing of it goes on."""


class QueuedTickets(Tickets):
    """Tickets of which some changes are on their way into git."""

    def __init__(self, world: "TicketWorld") -> None:
        super().__init__(world.store, world.kube)
        self._world = world

    @override
    async def update(
        self, by: By, namespace: str, ticket_id: str, changes: Mapping[str, Any], **bound: Any
    ) -> Written:
        """Queue what the controller asks for while the server is away."""
        if not (self._world.away and by == CONTROLLER):
            return await super().update(by, namespace, ticket_id, changes, **bound)
        if (wanted := (ticket_id, changes["state"])) not in self._world.queued:
            self._world.queued.append(wanted)
        return Written(self.find(namespace, ticket_id), pending=True)

    @override
    def wished(self, ticket: Ticket) -> bool:
        return any(name == ticket.metadata.name for name, _ in self._world.queued)


class TicketWorld:
    """What persons, runners and agents do, and a controller that answers."""

    def __init__(self) -> None:
        self.now = NOW
        self.kube = MemoryKube(now=lambda: datetime.fromtimestamp(self.now, UTC))
        self.made: Counter[str] = Counter()
        """How often each pod was made, by its name."""
        self.placed: Counter[str] = Counter()
        """The same of how often it was placed: from then on it costs."""
        self.queued: list[tuple[str, str]] = []
        """Changes of states that are accepted and on their way into git: ticket and state."""
        self.away = False
        """Whether what the controller writes to tickets waits for the server of their files."""
        self.states: list[tuple[str, Ticket]] = []
        """Every state that the controller wrote, with the ticket as it was before."""
        self._by_controller = False
        self._kill_in = -1
        self._late = False
        self.kube.before = self._before
        self.kube.after = self._after
        self.kube.watchers.append(self._watch)
        self._last: dict[str, Ticket] = {}
        self.restart()

    # --- the controller ---------------------------------------------------------------------------

    def restart(self) -> None:
        """Begin anew with what the API has, as a controller that was killed does."""
        self._by_controller, self._kill_in = False, -1
        self.store = new_store()
        for (kind, _, _), stored in sorted(self.kube.objects.items()):
            if kind in KINDS:
                self.store.apply(kind, stored)
        self.queue = WorkQueue(clock=lambda: self.now, jitter=lambda low, _: low)
        self.recorder = recorder = Recorder(self.kube)
        self.claims = Claims(self.store, self.kube, lambda: self.now, lambda: self.now)
        self.tickets = QueuedTickets(self)
        self.work = TicketWork(self.store, self.queue, self.claims, self.tickets, recorder)
        self.runs = TicketRuns(
            self.store, self.queue, self.kube, self.claims, recorder, lambda: self.now
        )

    def kill_in(self, requests: int, *, late: bool = False) -> None:
        """Have the controller killed before so many more requests; *late*: after the last write."""
        self._kill_in, self._late = requests, late

    async def settle(self, seconds: float = 1.0) -> None:
        """Let the controller work until nothing is to be done within so many *seconds*."""
        handlers = {TICKET_WORK: self.work.reconciler(), TICKET_RUNS: self.runs.reconciler()}
        end = self.now + seconds
        self._by_controller = True
        try:
            for _ in range(2000):
                if not self.queue.idle:
                    await self._handle(handlers)
                elif self.now >= end:
                    return
                else:
                    self.now = min(self.now + max(0.25, seconds / 20), end)
                    self.queue.add(Key("Nothing", "", ""))  # time has passed: wakes the queue
            raise AssertionError("it does not settle")
        finally:
            self._by_controller = False

    async def _handle(self, handlers: Mapping[str, Any]) -> None:
        key = await self.queue.take()
        try:
            if key.kind in handlers:
                await handlers[key.kind].observe(key)
        except KubeError:
            self.queue.retry(key)
        else:
            self.queue.forget(key)
        finally:
            self.queue.done(key)

    async def settle_over_a_kill(self, requests: int, *, late: bool) -> bool:
        """Settle, killed on the way and begun anew; return whether it came to that."""
        self.kill_in(requests, late=late)
        try:
            await self.settle()
        except Killed:
            self.restart()
            await self.settle()
            return True
        self.kill_in(-1)
        return False

    # --- what others do ---------------------------------------------------------------------------

    async def organization(self, **spec: Any) -> None:
        members = [{"subject": {"kind": "User", "name": "ada"}, "role": "owner"}]
        await self._make(ORGANIZATION, "", ORG, {"members": members, **spec})
        await self.agent_class("c")

    async def agent_class(self, name: str) -> None:
        await self._make(AGENT_CLASS, "", name, {"executable": "x"})

    async def ticket(self, name: str = "tk-1", **spec: Any) -> None:
        await self._make(TICKET, ORG, name, {"title": name, "state": "todo", **spec})

    async def pod(self, name: str, ticket: str | None = "tk-1", **use: Any) -> None:
        spec = {"agentClassName": "c"} | ({"ticketRef": {"name": ticket, **use}} if ticket else {})
        await self._make(AGENT_POD, ORG, name, spec)

    async def source(self, *states: str) -> None:
        """Make a GitSource whose rule starts pods for its tickets in those states."""
        one = {"name": "all", "agentClassName": "c", "states": list(states), "maxConcurrent": 9}
        spec = {"repositoryRef": {"name": "shop"}, "autoRun": [one]}
        await self._make(GIT_SOURCE, ORG, "team", spec)

    async def create(self, pod: str, name: str, **spec: Any) -> None:
        """Make a ticket as a pod does, with the tool: its file, and so its resource."""
        by = by_pod(self.pods[pod])
        made_by = {
            ANNOTATION_CREATED_BY: by.name,
            ANNOTATION_CREATED_BY_UID: by.uid,
            ANNOTATION_DEPTH: str(by.depth),
        }
        meta = {"name": name, "labels": {LABEL_SOURCE: "team"}, "annotations": made_by}
        await self.kube.create(TICKET, ORG, {"metadata": meta, "spec": {"title": name, **spec}})

    async def sourced(self, name: str) -> None:
        """Have the ticket's status say which GitSource it comes from."""
        origin = {"name": "team", "path": f"{name}.md", "blob": "0" * 40, "commit": "0" * 40}
        await self.kube.patch(
            TICKET, ORG, name, {"status": {"source": origin}}, subresource="status"
        )

    async def move(self, state: str, name: str = "tk-1", **spec: Any) -> None:
        """Change a ticket as a person does."""
        await self.kube.patch(TICKET, ORG, name, {"spec": {"state": state, **spec}})

    async def say(self, pod: str, state: str, name: str = "tk-1") -> None:
        """Change a ticket's state as a pod does, with the tool."""
        caller, ticket = self.pods[pod], self.found(name)
        if state == "in_progress":
            ticket = await self.claims.take(caller, ticket)
        await self.claims.noted(caller, ticket, ticket.spec.state.__class__(state))
        await self.tickets.update(by_pod(caller), ORG, name, {"state": state})

    async def wish(self, pod: str, state: str, name: str = "tk-1") -> None:
        """The same where the ticket is a file, and the push waits."""
        caller, ticket = self.pods[pod], self.found(name)
        await self.claims.noted(caller, ticket, ticket.spec.state.__class__(state))
        self.queued.append((name, state))

    async def land(self) -> None:
        """Have the oldest change of a file pushed and brought back."""
        if self.queued:
            name, state = self.queued[0]
            await self.move(state, name)
            del self.queued[0]

    async def place(self) -> None:
        """Place every pod that its ticket lets go."""
        for pod in list(self.pods.values()):
            ticket = self.found(pod.spec.ticket_ref.name) if pod.spec.ticket_ref else None
            world = Ingredients(None, None, (), None, ticket)
            if pod.status.placement or checks.first(pod, world, checks.TICKET):
                continue
            self.placed[pod.metadata.name] += 1
            where = {"runnerName": "r", "runnerUID": "u", "epoch": 1, "placedAt": AT}
            await self._status(pod.metadata.name, {"placement": where, "phase": "Scheduled"})

    async def start(self, name: str) -> None:
        """Let the agent of a placed pod begin."""
        tree = {"branch": "b", "commit": "c0", "baseCommit": "c0"}
        seen = {"epoch": 1, "startedAt": AT}
        await self._status(name, {"phase": "Running", "observed": seen, "worktree": tree})

    async def end(self, name: str, *, commits: bool, phase: str = "Succeeded") -> None:
        """Let the agent of a pod end."""
        tree = {"commit": "c1"} if commits else {}
        await self._status(name, {"phase": phase, "worktree": tree})

    async def delete(self, name: str) -> None:
        await self.kube.delete(AGENT_POD, ORG, name)

    async def _status(self, name: str, status: Mapping[str, Any]) -> None:
        await self.kube.patch(AGENT_POD, ORG, name, {"status": dict(status)}, subresource="status")

    async def _make(self, resource: Resource, where: str, name: str, spec: Any) -> None:
        manifest = {"metadata": {"name": name}, "spec": spec}
        await self.kube.create(resource, where, manifest)

    # --- what there is ----------------------------------------------------------------------------

    def found(self, name: str = "tk-1") -> Ticket:
        return Ticket.model_validate(self.kube.objects[TICKET.kind, ORG, name])

    @property
    def pods(self) -> dict[str, AgentPod]:
        """Return the pods by their names."""
        return {
            name: AgentPod.model_validate(stored)
            for (kind, _, name), stored in self.kube.objects.items()
            if kind == AGENT_POD.kind
        }

    def living(self) -> list[str]:
        return [name for name, pod in self.pods.items() if not over(pod)]

    # --- inside -----------------------------------------------------------------------------------

    def _before(self, verb: str, resource: Resource, name: str) -> None:  # noqa: ARG002 - the hook's
        if self._by_controller and self._kill_in >= 0 and not self._late:
            self._count()

    def _after(self, verb: str, resource: Resource, name: str) -> None:
        if verb == "create" and resource == AGENT_POD:
            self.made[name] += 1
        if self._by_controller and self._kill_in >= 0 and self._late:
            self._count()

    def _count(self) -> None:
        self._kill_in -= 1
        if self._kill_in < 0:
            raise Killed

    def _watch(self, resource: Resource, stored: dict[str, Any]) -> None:
        if resource.kind not in KINDS:
            return
        meta = stored["metadata"]
        if resource == TICKET:
            self._note(stored)
        if (resource.kind, meta["namespace"], meta["name"]) in self.kube.objects:
            self.store.apply(resource.kind, stored)
        else:
            self.store.remove(resource.kind, meta["uid"])

    def _note(self, stored: dict[str, Any]) -> None:
        now = Ticket.model_validate(stored)
        before = self._last.get(now.metadata.name)
        self._last[now.metadata.name] = now
        if before is not None and before.spec.state != now.spec.state and self._by_controller:
            self.states.append((str(now.spec.state), before))
