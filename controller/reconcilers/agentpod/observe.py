"""Gathers what an AgentPod's plan and status are computed from."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from controller.kernel.key import Key
from controller.kernel.reconciler import Finding, Reconciler
from controller.kernel.store import Change, Store
from controller.kube.errors import NotFound
from controller.placement.assign import Assignment, Need
from controller.placement.desired import ended, started, waits
from controller.placement.fleet import Fleet
from controller.placement.indexes import BY_NAMESPACE
from controller.placement.links import Reach
from controller.placement.observation import Observation, PodState
from controller.placement.programs import wanted
from controller.placement.scheduler import Scheduler
from controller.reconcilers.agentpod.checks import AGAIN, first
from controller.reconcilers.agentpod.plan import plan
from controller.reconcilers.agentpod.snapshot import Ingredients, PodSnapshot, Timing
from controller.reconcilers.agentpod.status import report
from schemas.agentclass import AgentClass, McpFormat
from schemas.agentpod import AgentPod
from schemas.agentpod_status import Placement
from schemas.names import AGENT_POD, RUNNER, Resource
from schemas.organization import Organization
from schemas.repository import Repository
from schemas.runner import Runner
from schemas.ticket import Ticket

_ABSENT_SECONDS = 2.0
"""A runner's list that came this long after the deletion was not made before it."""


class Reader(Protocol):
    """What the observer needs of the API client."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object as it is now."""
        ...


class PodObserver:
    """Knows the pods' surroundings and when their status was last written."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        scheduler: Scheduler,
        kube: Reader,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._scheduler = scheduler
        self._kube = kube
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._written: dict[str, float] = {}
        store.listen(AgentPod, self._changed)

    def reconciler(self) -> Reconciler:
        """Return how AgentPods are reconciled."""
        return Reconciler(AGENT_POD.kind, self.observe, plan, report)

    async def observe(self, key: Key) -> PodSnapshot | None:
        """Return the snapshot, None if the pod is gone."""
        pod = self._store.of(AgentPod).get(key.namespace, key.name)
        if pod is None:
            return None
        if pod.status.placement is None:
            obstacle, assignment = self._schedule(pod)
            return PodSnapshot(
                subject=pod,
                obstacle=obstacle,
                assignment=assignment,
                observation=None,
                absent=False,
                vanished=False,
                reach=Reach.CONNECTED,
                runner_gone=False,
                timing=self._timing(pod, None),
            )
        return await self._placed(pod, pod.status.placement)

    async def _placed(self, pod: AgentPod, placement: Placement) -> PodSnapshot:
        uid = pod.metadata.uid
        seen = self._fleet.observed(uid)
        if seen is not None and (
            seen.epoch != placement.epoch or seen.runner_uid != placement.runner_uid
        ):
            seen = None  # it speaks of another placement
        gone = await self._runner_gone(pod, placement)
        known = self._store.of(Runner).by_uid(placement.runner_uid) is not None
        if seen is not None and (gone or not known) and seen.state is not PodState.REMOVED:
            seen = None  # nobody is there any more to stand by it
        absence = self._fleet.absence(uid)
        absent = absence is not None and absence.runner_uid == placement.runner_uid
        since = absence.deleting_seconds if absence else 0.0
        reach, recheck = self._fleet.links.reach(placement.runner_uid)
        obstacle, assignment = self._again(pod, placement) if waits(pod) else (None, None)
        return PodSnapshot(
            subject=pod,
            obstacle=obstacle,
            assignment=assignment,
            observation=seen,
            absent=absent and since >= _ABSENT_SECONDS,
            vanished=absent and started(pod) and not ended(pod),
            reach=reach,
            runner_gone=gone,
            has_tools=self._has_tools(pod),
            timing=self._timing(pod, seen),
            recheck_seconds=recheck,
        )

    def _has_tools(self, pod: AgentPod) -> bool:
        agent = self._store.of(AgentClass).get("", pod.spec.agent_class_name)
        return agent is not None and agent.spec.mcp.format is not McpFormat.NONE

    def _schedule(self, pod: AgentPod) -> tuple[Finding | None, Assignment | None]:
        """Return why the pod cannot be placed, or the runner that it was promised."""
        namespace, uid = pod.metadata.namespace, pod.metadata.uid
        if pod.metadata.deleting:
            self._scheduler.drop(namespace, uid)
            return None, None
        finding = first(pod, ingredients(self._store, pod))
        if finding is not None:
            self._scheduler.drop(namespace, uid)
            return finding, None
        verdict = self._scheduler.ask(namespace, need(pod, self._executable(pod)))
        if isinstance(verdict, Assignment):
            return None, verdict
        return verdict, None

    def _again(
        self, pod: AgentPod, placement: Placement
    ) -> tuple[Finding | None, Assignment | None]:
        """Return why a pod that was stopped is not started again, or that it is, on its runner."""
        namespace, uid = pod.metadata.namespace, pod.metadata.uid
        finding = first(pod, ingredients(self._store, pod), AGAIN)
        runner = self._store.of(Runner).by_uid(placement.runner_uid)
        if finding is None and runner is None:
            name = placement.runner_name
            text = f"Runner {name}, which has its worktree, is gone: delete it, make a new one"
            finding = Finding("RunnerNotFound", text, stalled=True)
        if finding is not None:
            self._scheduler.drop(namespace, uid)
            return finding, None
        asked = replace(
            need(pod, self._executable(pod)), runner_name=placement.runner_name, selector=()
        )
        verdict = self._scheduler.ask(namespace, asked)
        return (None, verdict) if isinstance(verdict, Assignment) else (verdict, None)

    def _executable(self, pod: AgentPod) -> str:
        agent = self._store.of(AgentClass).get("", pod.spec.agent_class_name)
        return wanted(agent) if agent else ""

    async def _runner_gone(self, pod: AgentPod, placement: Placement) -> bool:
        """Whether the runner is no more. What follows from that is final, so the API is asked."""
        known = self._store.of(Runner).by_uid(placement.runner_uid)
        if known is not None:  # while it is being deleted it is still asked to clear away
            reach, _ = self._fleet.links.reach(placement.runner_uid)
            return known.metadata.deleting and reach is Reach.UNREACHABLE
        if ended(pod) and not pod.metadata.deleting:
            return False  # nothing would follow from it
        try:
            manifest = await self._kube.get(RUNNER, pod.metadata.namespace, placement.runner_name)
        except NotFound:
            return True
        self._store.apply(RUNNER.kind, manifest)
        metadata = manifest.get("metadata") or {}
        return bool(metadata.get("uid") != placement.runner_uid)

    def _timing(self, pod: AgentPod, seen: Observation | None) -> Timing:
        now, uid = self._clock(), pod.metadata.uid
        written = self._written.get(uid)
        return Timing(
            since_write_seconds=now - written if written is not None else float("inf"),
            # unseen: it was there before we were, and has waited long enough
            since_seen_seconds=now - self._seen.get(uid, float("-inf")),
            deleting_seconds=self._fleet.deleting_seconds(uid),
            state_seconds=now - seen.since if seen is not None else 0.0,
        )

    def _changed(self, change: Change[AgentPod]) -> None:
        uid = change.subject.metadata.uid
        if change.new is None:
            self._seen.pop(uid, None)
            self._written.pop(uid, None)
            self._scheduler.drop(change.subject.metadata.namespace, uid)
            return
        self._seen.setdefault(uid, self._clock())
        if change.old is not None and change.old.status != change.new.status:
            self._written[uid] = self._clock()
        if change.new.status.placement is not None and not waits(change.new):
            self._scheduler.drop(change.new.metadata.namespace, uid)


def ingredients(store: Store, pod: AgentPod) -> Ingredients:
    """Return what the pod refers to, as far as it exists."""
    homes = store.of(Organization).indexed(BY_NAMESPACE, pod.metadata.namespace)
    classes, tickets = store.of(AgentClass), store.of(Ticket)
    agent = classes.get("", pod.spec.agent_class_name)
    use, named = pod.spec.repository_ref, pod.spec.ticket_ref
    repositories = store.of(Repository)
    available = () if agent else tuple(sorted(item.metadata.name for item in classes))
    return Ingredients(
        organization=min(homes, key=lambda item: item.metadata.creation_timestamp, default=None),
        agent=agent,
        available=available,
        repository=repositories.get(pod.metadata.namespace, use.name) if use else None,
        ticket=tickets.get(pod.metadata.namespace, named.name) if named else None,
    )


def need(pod: AgentPod, executable: str) -> Need:
    """Return what the pod, whose agent is that program, asks of a runner."""
    selector = pod.spec.runner_selector
    labels = selector.match_labels if selector else {}
    return Need(
        uid=pod.metadata.uid,
        created=pod.metadata.creation_timestamp,
        name=pod.metadata.name,
        runner_name=pod.spec.runner_name,
        selector=tuple(sorted(labels.items())),
        isolation=pod.spec.sandbox.isolation,
        executable=executable,
    )
