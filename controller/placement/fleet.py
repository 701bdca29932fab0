"""What the gRPC edge knows of pods and runners: ``Placement`` and ``Registry`` of ``rpc.ports``.

Everything is answered from memory. What runners say goes to the tables of links and observations
and puts keys into the queue.
"""

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from meshwire.v1 import link_pb2

from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kernel.store import Change, Store
from controller.kube.errors import KubeError
from controller.placement import programs
from controller.placement.desired import Desired
from controller.placement.indexes import ACTIVE_ON, BY_RUNNER
from controller.placement.links import About, Links
from controller.placement.observation import Observation, observation
from controller.placement.scheduler import PLACEMENT
from controller.placement.warm import Warm
from controller.rpc.ports import Changes, PodPlace, RunnerKey
from controller.rpc.signals import Signals
from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod
from schemas.conditions import TRUE, find
from schemas.names import AGENT_POD, RUNNER, Resource
from schemas.repository import Repository
from schemas.runner import Runner
from schemas.ticket import Ticket

logger = logging.getLogger(__name__)


class Lister(Protocol):
    """What the fleet needs of the API client."""

    def pages(
        self, resource: Resource, namespace: str = "", *, limit: int = 500
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Give all objects page by page."""
        ...


@dataclass(frozen=True, slots=True)
class Absence:
    """A runner has listed all that it has, and the pod was not in it."""

    runner_uid: str
    deleting_seconds: float
    """For how long the pod had been being deleted then; 0 if it was not."""


class Fleet:
    """Desired states out, observed states in."""

    def __init__(
        self,
        store: Store,
        queue: WorkQueue,
        kube: Lister,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._queue = queue
        self._kube = kube
        self._clock = clock
        self._pods = store.of(AgentPod)
        self._runners = store.of(Runner)
        self._desired = Desired()
        self._synced = asyncio.Event()
        self._epoch = 0
        self._observations: dict[str, Observation] = {}
        self._absences: dict[str, Absence] = {}
        self._known: dict[str, set[str]] = {}
        self._deleting_since: dict[str, float] = {}
        self._catalogue = programs.catalogue(())
        self._pod_signals: Signals[str] = Signals()
        self._runner_signals: Signals[tuple[str, str]] = Signals()
        self.links = Links(clock)
        store.listen(AgentPod, self._pod_changed)
        store.listen(Runner, self._runner_changed)
        store.listen(AgentClass, self._ingredient_changed)
        store.listen(AgentClass, self._class_changed)
        store.listen(Repository, self._ingredient_changed)
        self._warm = Warm(store, self._pod_signals.notify_all)

    # --- for the composition root and the reconcilers ---

    def lead(self, epoch: int) -> None:
        """Take note of our epoch, before any runner is told anything."""
        self._epoch = epoch

    def synced(self) -> None:
        """Take note that the store holds everything."""
        self._synced.set()

    def observed(self, pod_uid: str) -> Observation | None:
        """Return what the pod's runner last said, None if nothing since our start."""
        return self._observations.get(pod_uid)

    def absence(self, pod_uid: str) -> Absence | None:
        """Return that the pod's runner does not have it, if it said so."""
        return self._absences.get(pod_uid)

    def deleting_seconds(self, pod_uid: str) -> float:
        """Return for how long we have known that the pod is to go; 0 if it is not."""
        since = self._deleting_since.get(pod_uid)
        return self._clock() - since if since is not None else 0.0

    # --- rpc.ports.Registry ---

    def runner(self, namespace: str, name: str) -> Runner | None:
        """Return the Runner as last seen by the watch, or None."""
        return self._runners.get(namespace, name)

    def runner_changes(self, namespace: str, name: str) -> AbstractContextManager[Changes]:
        """Listen for changes of that Runner."""
        return self._runner_signals.subscribe((namespace, name))

    # --- rpc.ports.Placement ---

    def epoch(self) -> int:
        """Return the controller's epoch."""
        return self._epoch

    async def wait_synced(self) -> None:
        """Return once the store holds everything."""
        await self._synced.wait()

    def desired(self, runner: RunnerKey) -> Sequence[link_pb2.PodDesired]:
        """Return every pod that the runner must have or must get rid of."""
        owner = self._runners.by_uid(runner.uid)
        evicted = (
            owner is not None
            and owner.metadata.deleting
            and not self._pods.count(ACTIVE_ON, runner.uid)
        )
        known = self._known.get(runner.uid, set())
        return [
            self._message(pod, evicted=evicted, known=pod.metadata.uid in known)
            for pod in self._pods.indexed(BY_RUNNER, runner.uid)
            if pod.metadata.namespace == runner.namespace  # whatever a forged status says
        ]

    def changes(self, runner: RunnerKey) -> AbstractContextManager[Changes]:
        """Listen for changes of ``desired(runner)``, the catalogue and ``warm(runner)``."""
        return self._pod_signals.subscribe(runner.uid)

    def catalogue(self) -> link_pb2.AgentCatalogue:
        """Return the agents that runners look for."""
        return self._catalogue

    def warm(self, runner: RunnerKey) -> link_pb2.WarmRepositories:
        """Return of which Repositories the runner shall keep worktrees ready."""
        return self._warm.of(runner.namespace)

    def found(self, runner: RunnerKey, agents: link_pb2.AgentsFound) -> None:
        """Take what agents the runner has, and have those looked at who wait for a runner."""
        if self.links.found(runner.uid, programs.programs(agents, self._catalogue)):
            self._queue.add(Key(PLACEMENT, runner.namespace, ""))

    async def confirmed_empty(self, runner: RunnerKey) -> bool:
        """Whether the API itself, not the store, has no pod placed on the runner."""
        try:
            async for page in self._kube.pages(AGENT_POD, runner.namespace):
                for manifest in page:
                    placement = (manifest.get("status") or {}).get("placement") or {}
                    if placement.get("runnerUID") == runner.uid:
                        self._store.apply(AGENT_POD.kind, manifest)
                        return False
        except KubeError as exc:
            logger.warning("not confirmed", extra={"runner": runner.name, "reason": str(exc)})
            return False
        return True

    def pod(self, pod_uid: str) -> PodPlace | None:
        """Return where the pod with this uid is, or None if there is none."""
        pod = self._pods.by_uid(pod_uid)
        return _place(pod) if pod else None

    def find(self, namespace: str, name: str) -> PodPlace | None:
        """Return where the pod of this name is, or None if there is none."""
        pod = self._pods.get(namespace, name)
        return _place(pod) if pod else None

    def observe(
        self, runner: RunnerKey, pods: Sequence[link_pb2.PodObserved], *, complete: bool
    ) -> None:
        """Take a report: note what is new and have those pods looked at."""
        known = self._known.setdefault(runner.uid, set())
        for report in pods:
            self._take(runner, report, known)
        if complete:
            named = {report.ref.pod_uid for report in pods}
            for pod in self._pods.indexed(BY_RUNNER, runner.uid):
                if pod.metadata.uid not in named:
                    self._miss(runner, pod)
        self._pod_signals.notify(runner.uid)

    def connected(self, runner: RunnerKey, hello: link_pb2.Hello) -> None:
        """Note that the runner has a session, and that it has shown no pod in it yet."""
        info = hello.info
        about = About(
            version=info.version,
            os=info.os,
            arch=info.arch,
            hostname=info.hostname,
            isolations=tuple(info.isolations),
            max_pods=info.max_pods or None,
            protocol=hello.protocol_max,
            looks=programs.FEATURE in hello.features,
            limits=tuple(sorted(info.limits.items())),
        )
        self._known[runner.uid] = set()
        self.links.connected(runner.uid, about)
        logger.info("runner connected", extra={"runner": f"{runner.namespace}/{runner.name}"})
        self.look_at(runner.namespace, runner.name, runner.uid)

    def heartbeat(self, runner: RunnerKey, beat: link_pb2.Heartbeat) -> None:  # noqa: ARG002 - the port's
        """Note that the runner is alive."""
        self.links.heartbeat(runner.uid)

    def disconnected(self, runner: RunnerKey) -> None:
        """Note that the runner's last session has ended."""
        self.links.disconnected(runner.uid)
        logger.info("runner disconnected", extra={"runner": f"{runner.namespace}/{runner.name}"})
        self.look_at(runner.namespace, runner.name, runner.uid)

    def look_at(self, namespace: str, name: str, uid: str) -> None:
        """Have the runner, all its pods and all who wait for a runner looked at."""
        self._queue.add(Key(RUNNER.kind, namespace, name))
        self._queue.add(Key(PLACEMENT, namespace, ""))
        for pod in self._pods.indexed(BY_RUNNER, uid):
            self._queue.add(_key(pod))

    # --- inside ---

    def _message(self, pod: AgentPod, *, evicted: bool, known: bool) -> link_pb2.PodDesired:
        agent = self._store.of(AgentClass).get("", pod.spec.agent_class_name)
        use = pod.spec.repository_ref
        repository = (
            self._store.of(Repository).get(pod.metadata.namespace, use.name) if use else None
        )
        tickets = functools.partial(self._store.of(Ticket).get, pod.metadata.namespace)
        return self._desired.message(pod, agent, repository, tickets, evicted=evicted, known=known)

    def _take(self, runner: RunnerKey, report: link_pb2.PodObserved, known: set[str]) -> None:
        uid = report.ref.pod_uid
        pod = self._pods.by_uid(uid)
        if pod is None:
            return
        if report.state != link_pb2.POD_STATE_UNSPECIFIED:
            known.add(uid)
            self._absences.pop(uid, None)
        fresh = observation(runner.uid, report, self._clock())
        last = self._observations.get(uid)
        if last == fresh:
            return
        if last is not None and _progress(last) == _progress(fresh):
            fresh = replace(fresh, since=last.since)
        self._observations[uid] = fresh
        self._queue.add(_key(pod))

    def _miss(self, runner: RunnerKey, pod: AgentPod) -> None:
        uid = pod.metadata.uid
        self._known.get(runner.uid, set()).discard(uid)
        self._observations.pop(uid, None)
        self._absences[uid] = Absence(runner.uid, self.deleting_seconds(uid))
        self._queue.add(_key(pod))

    def _pod_changed(self, change: Change[AgentPod]) -> None:
        pod = change.subject
        uid = pod.metadata.uid
        if change.new is None:
            self._forget(pod)
        elif pod.metadata.deleting:
            self._deleting_since.setdefault(uid, self._clock())
        for version in (change.old, change.new):
            if version is not None and version.status.placement is not None:
                self._pod_signals.notify(version.status.placement.runner_uid)

    def _forget(self, pod: AgentPod) -> None:
        uid, placement = pod.metadata.uid, pod.status.placement
        for table in (self._observations, self._absences, self._deleting_since):
            table.pop(uid, None)
        if placement is not None:
            self._known.get(placement.runner_uid, set()).discard(uid)
            self._desired.forget(uid, range(1, placement.epoch + 1))

    def _runner_changed(self, change: Change[Runner]) -> None:
        runner = change.subject.metadata
        self._runner_signals.notify((runner.namespace, runner.name))
        self._pod_signals.notify(runner.uid)  # deleting it evicts its pods
        if change.new is None:
            self.links.forget(runner.uid)
            self._known.pop(runner.uid, None)

    def _ingredient_changed(self, change: Change[Any]) -> None:
        """A class or repository came: pods that were placed before may be told now."""
        if change.old is None:
            self._pod_signals.notify_all()

    def _class_changed(self, change: Change[AgentClass]) -> None:  # noqa: ARG002 - all of them count
        """Have runners look for other agents where there are others."""
        catalogue = programs.catalogue(self._store.of(AgentClass))
        if catalogue != self._catalogue:
            self._catalogue = catalogue
            self._pod_signals.notify_all()


class RunnerRegistry:
    """``rpc.ports.Registry`` over the fleet: both ports have a method ``changes``."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def runner(self, namespace: str, name: str) -> Runner | None:
        """Return the Runner as last seen by the watch, or None."""
        return self._fleet.runner(namespace, name)

    def changes(self, namespace: str, name: str) -> AbstractContextManager[Changes]:
        """Listen for changes of that Runner."""
        return self._fleet.runner_changes(namespace, name)


def _key(pod: AgentPod) -> Key:
    return Key(AGENT_POD.kind, pod.metadata.namespace, pod.metadata.name)


def _progress(seen: Observation) -> tuple[object, ...]:
    """Return what tells one stage of a pod's life from the next."""
    return seen.epoch, seen.state, seen.initialized


def _place(pod: AgentPod) -> PodPlace:
    placement, use = pod.status.placement, pod.spec.repository_ref
    frozen = find(pod.status.conditions, "Suspended")
    namespace = pod.metadata.namespace
    return PodPlace(
        uid=pod.metadata.uid,
        namespace=namespace,
        name=pod.metadata.name,
        runner=RunnerKey(namespace, placement.runner_name, placement.runner_uid)
        if placement
        else None,
        epoch=placement.epoch if placement else 0,
        repository=use.name if use else "",
        suspended=frozen.message if frozen is not None and frozen.status == TRUE else "",
    )
