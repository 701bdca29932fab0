"""Says which keys a change concerns. Nothing is searched for: the store's indexes know."""

from typing import Any, Final

from controller.bindings.rules import alive
from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kernel.reconciler import Plan, ReconcileError, Reconciler, Report
from controller.kernel.store import Change, Store
from controller.placement.desired import ended, waits
from controller.placement.indexes import (
    BY_NAMESPACE,
    BY_RUNNER,
    OF_POD,
    OF_TICKET,
    UNPLACED_OF_CLASS,
    UNPLACED_OF_REPOSITORY,
)
from controller.placement.scheduler import PLACEMENT, Scheduler
from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod
from schemas.base import Object, Status
from schemas.gitsource import GitSource
from schemas.names import ORGANIZATION, RUNNER
from schemas.organization import Organization
from schemas.podbinding import PodBinding
from schemas.repository import Repository
from schemas.runner import Runner, RunnerEnrollment
from schemas.ticket import Ticket

_COUNTS_SECONDS: Final = 3.0
"""Counts of pods in the status of runners and organizations may lag behind this much."""

_KINDS: Final[tuple[type[Object], ...]] = (
    Organization,
    AgentClass,
    Repository,
    Runner,
    RunnerEnrollment,
    AgentPod,
    PodBinding,
    GitSource,
)
"""Those whose objects are looked at whenever they change."""


class Routing:
    """Listens to the store and fills the queue."""

    def __init__(self, store: Store, queue: WorkQueue, scheduler: Scheduler) -> None:
        self._store = store
        self._queue = queue
        self._scheduler = scheduler
        for model in _KINDS:
            store.listen(model, self._itself)
        store.listen(AgentPod, self._pod)
        store.listen(AgentPod, self._ends_of_bindings)
        store.listen(Runner, self._runner)
        store.listen(Organization, self._organization)
        store.listen(AgentClass, self._class)
        store.listen(Repository, self._repository)
        store.listen(Ticket, self._ticket)

    def reviews(self) -> Reconciler:
        """Return how the keys of ``PLACEMENT`` are worked on: they have no object."""
        return Reconciler(PLACEMENT, self._review, _no_plan, _no_status)

    async def _review(self, key: Key) -> None:
        pods = self._store.of(AgentPod)
        for uid in self._scheduler.review(key.namespace):
            if (pod := pods.by_uid(uid)) is not None:
                self._queue.add(_key(pod))

    def _itself(self, change: Change[Object]) -> None:
        if change.new is not None:
            self._queue.add(_key(change.new))

    def _pod(self, change: Change[AgentPod]) -> None:
        namespace = change.subject.metadata.namespace
        before, after = _takes_place(change.old), _takes_place(change.new)
        if before and not after:
            self._ask_review(namespace)
        if before != after or change.old is None or change.new is None:
            self._count(namespace)
            placement = change.subject.status.placement
            if placement is not None:
                key = Key(RUNNER.kind, namespace, placement.runner_name)
                self._queue.add_after(key, _COUNTS_SECONDS)
        if change.new is None:
            self._wake_deleting_runner(change.subject)

    def _ends_of_bindings(self, change: Change[AgentPod]) -> None:
        """Have the bindings looked at whose initiator or target came, ended or went."""
        if alive(change.old) == alive(change.new):
            return
        metadata = change.subject.metadata
        where = (metadata.namespace, metadata.name)
        for binding in self._store.of(PodBinding).indexed(OF_POD, where):
            self._queue.add(_key(binding))

    def _wake_deleting_runner(self, pod: AgentPod) -> None:
        placement = pod.status.placement
        owner = self._store.of(Runner).by_uid(placement.runner_uid) if placement else None
        if owner is not None and owner.metadata.deleting:
            self._queue.add(_key(owner))

    def _runner(self, change: Change[Runner]) -> None:
        runner = change.subject.metadata
        if change.old is None or change.new is None:
            self._count(runner.namespace)
        if _changed(change) or _labels(change):
            self._ask_review(runner.namespace)
        if change.new is None or (runner.deleting and _changed(change)):
            for pod in self._store.of(AgentPod).indexed(BY_RUNNER, runner.uid):
                self._queue.add(_key(pod))

    def _organization(self, change: Change[Organization]) -> None:
        if not _changed(change) and not _readiness(change):
            return
        namespace = change.subject.namespace
        for pod in self._store.of(AgentPod).indexed(BY_NAMESPACE, namespace):
            if pod.status.placement is None or waits(pod):
                self._queue.add(_key(pod))
        self._ask_review(namespace)

    def _class(self, change: Change[AgentClass]) -> None:
        if _changed(change) or _readiness(change):
            name = change.subject.metadata.name
            for pod in self._store.of(AgentPod).indexed(UNPLACED_OF_CLASS, name):
                self._queue.add(_key(pod))

    def _repository(self, change: Change[Repository]) -> None:
        if _changed(change) or _readiness(change):
            metadata = change.subject.metadata
            where = (metadata.namespace, metadata.name)
            for pod in self._store.of(AgentPod).indexed(UNPLACED_OF_REPOSITORY, where):
                self._queue.add(_key(pod))

    def _ticket(self, change: Change[Ticket]) -> None:
        """Have those looked at that wait for the ticket, or for its being theirs."""
        old, new = change.old, change.new
        if old and new and not _changed(change):
            before, after = old.status, new.status
            if before.claim == after.claim and before.runs == after.runs:
                return
        metadata = change.subject.metadata
        where = (metadata.namespace, metadata.name)
        for pod in self._store.of(AgentPod).indexed(OF_TICKET, where):
            if pod.status.placement is None:
                self._queue.add(_key(pod))

    def _ask_review(self, namespace: str) -> None:
        if self._scheduler.waiting(namespace):
            self._queue.add(Key(PLACEMENT, namespace, ""))

    def _count(self, namespace: str) -> None:
        """Have the counts of the namespace's organization looked at, sooner or later."""
        for home in self._store.of(Organization).indexed(BY_NAMESPACE, namespace):
            delay = 0.0 if home.metadata.deleting else _COUNTS_SECONDS
            self._queue.add_after(Key(ORGANIZATION.kind, "", home.metadata.name), delay)


def _key(item: Object) -> Key:
    metadata = item.metadata
    return Key(item.definition.resource.kind, metadata.namespace, metadata.name)


def _takes_place(pod: AgentPod | None) -> bool:
    return pod is not None and pod.status.placement is not None and not ended(pod)


def _changed(change: Change[Any]) -> bool:
    """Whether it came, went, is going, or its spec changed."""
    old, new = change.old, change.new
    if old is None or new is None:
        return True
    return bool(old.spec != new.spec or old.metadata.deleting != new.metadata.deleting)


def _labels(change: Change[Any]) -> bool:
    old, new = change.old, change.new
    return bool(old and new and old.metadata.labels != new.metadata.labels)


def _readiness(change: Change[Any]) -> bool:
    """Whether the conditions say something else: other objects go by them."""
    old, new = change.old, change.new
    return bool(old and new and _said(old.status) != _said(new.status))


def _said(status: Status) -> list[tuple[str, str, str, str]]:
    return [(i.type, str(i.status), i.reason, i.message) for i in status.conditions]


def _no_plan(snapshot: object, now: float) -> Plan:
    del snapshot, now
    return Plan(publish=False)


def _no_status(snapshot: object, error: ReconcileError | None, now: float) -> Report:
    del snapshot, error, now
    return Report(Status())
