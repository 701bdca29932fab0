"""The whole controller without its edges: an API server in memory and a runner that obeys."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from controller.kernel.events import Recorder
from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kernel.reconciler import Reconciler
from controller.kernel.worker import Kernel
from controller.placement.fleet import Fleet
from controller.placement.indexes import new_store
from controller.placement.scheduler import PLACEMENT, Scheduler
from controller.placement.surroundings import Surroundings
from controller.reconcilers.catalogue import reconcilers
from controller.reconcilers.routing import Routing
from controller.rpc.ports import RunnerKey
from schemas.kinds import KINDS
from schemas.names import AGENT_CLASS, AGENT_POD, ORGANIZATION, RUNNER

STATES = {"run": link_pb2.RUNNING, "ended": link_pb2.SUCCEEDED}


class ObedientRunner:
    """Does at once what it is told, starts nothing twice, and counts what it starts."""

    def __init__(self, fleet: Fleet, name: str, uid: str) -> None:
        self.fleet = fleet
        self.key = RunnerKey("acme", name, uid)
        self.connected = False
        self.has: dict[str, tuple[int, int]] = {}
        self.starts: Counter[tuple[str, int]] = Counter()
        self.saved_ref = ""
        self.kept_files = ""
        self.commit = ""
        self.tools_listed_ms = 0
        self.trouble = ("", "")
        """Reason and message of what it says of running pods."""

    def connect(self) -> None:
        info = link_pb2.RunnerInfo(version="1", isolations=["bubblewrap", "none"])
        self.fleet.connected(self.key, link_pb2.Hello(info=info, protocol_max=1))
        self.connected = True
        self.report(complete=True)

    def disconnect(self) -> None:
        if self.connected:
            self.fleet.disconnected(self.key)
        self.connected = False

    def step(self) -> None:
        if not self.connected:
            return
        wanted = {pod.ref.pod_uid: pod for pod in self.fleet.desired(self.key)}
        for uid in self.has.keys() - wanted.keys():
            del self.has[uid]
        for uid, pod in wanted.items():
            self._converge(uid, pod)
        self.report()

    def _converge(self, uid: str, pod: link_pb2.PodDesired) -> None:
        epoch = pod.ref.epoch
        if pod.desired == link_pb2.RUN and uid not in self.has:
            self.starts[uid, epoch] += 1
            self.has[uid] = (epoch, link_pb2.RUNNING)
        elif pod.desired == link_pb2.REMOVE:
            self.has[uid] = (epoch, link_pb2.REMOVED)

    def end(self, uid: str, state: Any = link_pb2.SUCCEEDED) -> None:
        self.has[uid] = (self.has[uid][0], state)
        self.report()

    def report(self, *, complete: bool = False) -> None:
        pods = [self._said(uid, *row) for uid, row in self.has.items()]
        self.fleet.observe(self.key, pods, complete=complete)

    def _said(self, uid: str, epoch: int, state: Any) -> link_pb2.PodObserved:
        said = link_pb2.PodObserved(
            ref=link_pb2.PodRef(pod_uid=uid, epoch=epoch),
            state=state,
            initialized=True,
            started_unix_ms=1_800_000_001_000,
            tools_listed_unix_ms=self.tools_listed_ms,
        )
        if state in {link_pb2.SUCCEEDED, link_pb2.FAILED}:
            said.finished_unix_ms = 1_800_000_002_000
            said.exit_code = 0 if state == link_pb2.SUCCEEDED else 3
        if state == link_pb2.RUNNING:
            said.reason, said.message = self.trouble
            said.worktree.branch, said.worktree.commit = (
                ("fix", self.commit) if self.commit else ("", "")
            )
        if state == link_pb2.REMOVED:
            said.worktree.saved_ref = self.saved_ref
            said.worktree.kept_files = self.kept_files
        return said


class Mesh:
    """A controller over an API server in memory, on a clock that only moves when told."""

    def __init__(self, kube: Any, sources: Any = None) -> None:
        self.kube = kube
        self.now = 1000.0
        clock: Callable[[], float] = lambda: self.now  # noqa: E731 - shared by all parts
        self.store = new_store()
        self.queue = WorkQueue(clock=clock, jitter=lambda low, _: low)
        self.fleet = Fleet(self.store, self.queue, kube, clock=clock)
        self.scheduler = Scheduler(Surroundings(self.store, self.fleet.links))
        routing = Routing(self.store, self.queue, self.scheduler)
        kinds = reconcilers(
            kube=kube,
            store=self.store,
            fleet=self.fleet,
            scheduler=self.scheduler,
            bundle=lambda: {"ca.crt": "PEM"},
            local_repositories=True,
            sources=sources,
            clock=clock,
        )
        self.recorder = Recorder(kube)
        self.kernel = Kernel(
            kube=kube,
            store=self.store,
            queue=self.queue,
            recorder=self.recorder,
            reconcilers=[*kinds, *self.more(sources), routing.reviews()],
        )
        self.runners: dict[str, ObedientRunner] = {}
        self._told = 0

    def more(self, sources: Any) -> list[Reconciler]:  # noqa: ARG002 - for others
        """Return what is to be reconciled beside the catalogue's kinds."""
        return []

    async def make(self, resource: Any, name: str, **parts: Any) -> dict[str, Any]:
        metadata = {"name": name} | parts.pop("metadata", {})
        namespace = "acme" if resource.namespaced else ""
        made: dict[str, Any] = await self.kube.create(
            resource, namespace, {"metadata": metadata, **parts}
        )
        return made

    async def organization(self, **spec: Any) -> None:
        members = [{"subject": {"kind": "User", "name": "ada"}, "role": "owner"}]
        await self.make(ORGANIZATION, "acme", spec={"members": members, **spec})

    async def agent_class(self, name: str = "greeter", **spec: Any) -> None:
        await self.make(AGENT_CLASS, name, spec={"executable": "greet", **spec})

    async def runner(self, name: str = "r1", **spec: Any) -> ObedientRunner:
        made = await self.make(RUNNER, name, spec=spec)
        self.runners[name] = ObedientRunner(self.fleet, name, made["metadata"]["uid"])
        return self.runners[name]

    async def pod(self, name: str = "fix", **spec: Any) -> str:
        made = await self.make(AGENT_POD, name, spec={"agentClassName": "greeter", **spec})
        return str(made["metadata"]["uid"])

    def status(self, name: str = "fix") -> dict[str, Any]:
        status: dict[str, Any] = self.kube.read("AgentPod", "acme", name).get("status", {})
        return status

    def condition(self, kind: str, name: str = "fix") -> dict[str, Any] | None:
        found = [c for c in self.status(name).get("conditions", ()) if c["type"] == kind]
        return found[0] if found else None

    def watch(self, limit: int | None = None) -> None:
        """Deliver what the API server has to tell, in order."""
        end = len(self.kube.events) if limit is None else self._told + limit
        for event, kind, obj in self.kube.events[self._told : end]:
            if kind not in KINDS:
                continue
            if event == "DELETED":
                self.store.remove(kind, obj["metadata"]["uid"])
            else:
                self.store.apply(kind, obj)
        self._told = min(end, len(self.kube.events))

    def forget_events(self) -> None:
        """Never deliver what has not been delivered yet: the watch was broken."""
        self._told = len(self.kube.events)

    async def settle(self, seconds: float = 5.0) -> None:
        """Let everybody work until nothing is left to do within the next *seconds*."""
        gate = asyncio.Event()
        gate.set()
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.kernel.run(2, gate))
            recording = tasks.create_task(self.recorder.run())
            steps = 10
            for _ in range(steps):
                await self._quiet()
                self.now += seconds / steps
                self.queue.add(Key(PLACEMENT, "nowhere", ""))  # wakes the queue: time has passed
            await self._quiet()
            await self.recorder.drain(1)
            running.cancel()
            recording.cancel()

    async def _quiet(self) -> None:
        calm = 0
        while calm < 3:
            before = (len(self.kube.events), self.queue.metrics.done)
            self.watch()
            for runner in self.runners.values():
                if runner.connected:
                    self.fleet.links.heartbeat(runner.key.uid)
                runner.step()
            for _ in range(20):
                await asyncio.sleep(0)
            after = (len(self.kube.events), self.queue.metrics.done)
            calm = calm + 1 if before == after and self.queue.idle else 0


@pytest.fixture
def mesh(kube: Any) -> Mesh:
    return Mesh(kube)


@pytest.fixture
def make_mesh(make_kube: Any) -> Callable[..., Mesh]:
    """Return a function that makes a mesh: of its own, or another controller of an API server."""
    return lambda kube=None: Mesh(kube or make_kube())
