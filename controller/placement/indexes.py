"""How objects are filed in the store, so that nothing has to be searched for."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final

from controller.kernel.store import Collection, Store
from controller.placement.desired import ended
from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod
from schemas.organization import Organization
from schemas.repository import Repository
from schemas.runner import Runner, RunnerEnrollment

BY_NAMESPACE: Final = "namespace"
BY_RUNNER: Final = "runner"
"""AgentPods placed, by the uid of their runner."""
ACTIVE_ON: Final = "active-on"
"""AgentPods placed and not ended, by the uid of their runner."""
ACTIVE_IN: Final = "active-in"
"""AgentPods placed and not ended, by namespace."""
UNPLACED_OF_CLASS: Final = "unplaced-of-class"
UNPLACED_OF_REPOSITORY: Final = "unplaced-of-repository"
"""AgentPods not placed yet, by (namespace, repository)."""

_Indexer = Callable[[Any], Iterable[Hashable]]


def _namespace(item: Any) -> Iterable[str]:
    yield item.metadata.namespace


def _runner(pod: AgentPod) -> Iterable[str]:
    if pod.status.placement is not None:
        yield pod.status.placement.runner_uid


def _active_on(pod: AgentPod) -> Iterable[str]:
    if pod.status.placement is not None and not ended(pod):
        yield pod.status.placement.runner_uid


def _active_in(pod: AgentPod) -> Iterable[str]:
    if pod.status.placement is not None and not ended(pod):
        yield pod.metadata.namespace


def _of_class(pod: AgentPod) -> Iterable[str]:
    if pod.status.placement is None:
        yield pod.spec.agent_class_name


def _of_repository(pod: AgentPod) -> Iterable[tuple[str, str]]:
    if pod.status.placement is None and pod.spec.repository_ref is not None:
        yield pod.metadata.namespace, pod.spec.repository_ref.name


def _home(organization: Organization) -> Iterable[str]:
    yield organization.namespace


_OF_PODS: Final[Mapping[str, _Indexer]] = {
    BY_NAMESPACE: _namespace,
    BY_RUNNER: _runner,
    ACTIVE_ON: _active_on,
    ACTIVE_IN: _active_in,
    UNPLACED_OF_CLASS: _of_class,
    UNPLACED_OF_REPOSITORY: _of_repository,
}


def new_store() -> Store:
    """Return an empty store of the six kinds."""
    return Store(
        (
            Collection(Organization, {BY_NAMESPACE: _home}),
            Collection(AgentClass),
            Collection(Repository),
            Collection(Runner, {BY_NAMESPACE: _namespace}),
            Collection(RunnerEnrollment),
            Collection(AgentPod, _OF_PODS),
        )
    )
