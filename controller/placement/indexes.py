"""How objects are filed in the store, so that nothing has to be searched for."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final

from controller.kernel.store import Collection, Store
from controller.placement.desired import ended, waits
from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod
from schemas.channel import Channel
from schemas.gitsource import GitSource
from schemas.names import ANNOTATION_CREATED_BY_UID, LABEL_AUTO_RUN, LABEL_SOURCE
from schemas.organization import Organization
from schemas.podbinding import PodBinding
from schemas.repository import Repository
from schemas.runner import Runner, RunnerEnrollment
from schemas.ticket import Ticket

BY_NAMESPACE: Final = "namespace"
BY_RUNNER: Final = "runner"
"""AgentPods placed, by the uid of their runner."""
ACTIVE_ON: Final = "active-on"
"""AgentPods placed and not ended, by the uid of their runner."""
ACTIVE_IN: Final = "active-in"
"""AgentPods placed and not ended, by namespace."""
UNPLACED_OF_CLASS: Final = "unplaced-of-class"
UNPLACED_OF_REPOSITORY: Final = "unplaced-of-repository"
"""AgentPods not placed yet, or waiting to be started again, by (namespace, repository)."""
CREATED_BY: Final = "created-by"
"""AgentPods, Channels and Tickets that a pod made, by that pod's uid."""
OF_TICKET: Final = "of-ticket"
"""AgentPods by (namespace, ticket that they work on)."""
IN_CHANNEL: Final = "in-channel"
"""AgentPods by each (namespace, channel) that their spec.channelRefs name."""
OF_PAIR: Final = "of-pair"
"""PodBindings by (namespace, initiator's name, target's name)."""
OF_POD: Final = "of-pod"
"""PodBindings by (namespace, name of initiator or target)."""
OF_PARENT: Final = "of-parent"
"""Tickets by (namespace, parent)."""
DEPENDS_ON: Final = "depends-on"
"""Tickets by each (namespace, ticket that must be done first)."""
BY_TITLE: Final = "by-title"
"""Channels by (namespace, their name for people in folded case)."""

CLAIMED_BY: Final = "claimed-by"
"""Tickets by the uid of the pod that has claimed them."""
WITH_RUN: Final = "with-run"
"""Tickets by namespace that ask for a pod themselves, or had one started."""
RUNS_IN: Final = "runs-in"
"""AgentPods by namespace that tickets started."""

OF_SOURCE: Final = "of-source"
"""What a GitSource made, by (namespace, that source's name): every kind that it may make."""
OF_REPOSITORY: Final = "of-repository"
"""GitSources by (namespace, repository)."""

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
    if pod.status.placement is None or waits(pod):
        yield pod.spec.agent_class_name


def _of_repository(pod: AgentPod) -> Iterable[tuple[str, str]]:
    unplaced = pod.status.placement is None or waits(pod)
    if unplaced and pod.spec.repository_ref is not None:
        yield pod.metadata.namespace, pod.spec.repository_ref.name


def _created_by(item: Any) -> Iterable[str]:
    if creator := item.metadata.annotations.get(ANNOTATION_CREATED_BY_UID):
        yield creator


def _of_ticket(pod: AgentPod) -> Iterable[tuple[str, str]]:
    if pod.spec.ticket_ref is not None:
        yield pod.metadata.namespace, pod.spec.ticket_ref.name


def _in_channel(pod: AgentPod) -> Iterable[tuple[str, str]]:
    for reference in pod.spec.channel_refs:
        yield pod.metadata.namespace, reference.name


def _pair(binding: PodBinding) -> Iterable[tuple[str, str, str]]:
    yield binding.metadata.namespace, binding.spec.initiator, binding.spec.target


def _ends(binding: PodBinding) -> Iterable[tuple[str, str]]:
    yield binding.metadata.namespace, binding.spec.initiator
    yield binding.metadata.namespace, binding.spec.target


def _parent(ticket: Ticket) -> Iterable[tuple[str, str]]:
    if ticket.spec.parent is not None:
        yield ticket.metadata.namespace, ticket.spec.parent


def _depends_on(ticket: Ticket) -> Iterable[tuple[str, str]]:
    for name in ticket.spec.depends_on:
        yield ticket.metadata.namespace, name


def _claimed(ticket: Ticket) -> Iterable[str]:
    if ticket.status.claim is not None:
        yield ticket.status.claim.pod_uid


def _with_run(ticket: Ticket) -> Iterable[str]:
    if ticket.spec.auto_run is not None or ticket.status.runs is not None:
        yield ticket.metadata.namespace


def _run(pod: AgentPod) -> Iterable[str]:
    if LABEL_AUTO_RUN in pod.metadata.labels:
        yield pod.metadata.namespace


def _title(channel: Channel) -> Iterable[tuple[str, str]]:
    yield channel.metadata.namespace, channel.title.casefold()


def _source(item: Any) -> Iterable[tuple[str, str]]:
    if source := item.metadata.labels.get(LABEL_SOURCE):
        yield item.metadata.namespace, source


def _repository(source: GitSource) -> Iterable[tuple[str, str]]:
    yield source.metadata.namespace, source.spec.repository_ref.name


def _home(organization: Organization) -> Iterable[str]:
    yield organization.namespace


_OF_PODS: Final[Mapping[str, _Indexer]] = {
    BY_NAMESPACE: _namespace,
    BY_RUNNER: _runner,
    ACTIVE_ON: _active_on,
    ACTIVE_IN: _active_in,
    UNPLACED_OF_CLASS: _of_class,
    UNPLACED_OF_REPOSITORY: _of_repository,
    CREATED_BY: _created_by,
    OF_TICKET: _of_ticket,
    IN_CHANNEL: _in_channel,
    OF_SOURCE: _source,
    RUNS_IN: _run,
}


def new_store() -> Store:
    """Return an empty store of all kinds."""
    return Store(
        (
            Collection(Organization, {BY_NAMESPACE: _home}),
            Collection(AgentClass),
            Collection(Repository, {BY_NAMESPACE: _namespace, OF_SOURCE: _source}),
            Collection(Runner, {BY_NAMESPACE: _namespace, OF_SOURCE: _source}),
            Collection(RunnerEnrollment),
            Collection(AgentPod, _OF_PODS),
            Collection(
                PodBinding,
                {BY_NAMESPACE: _namespace, OF_PAIR: _pair, OF_POD: _ends, OF_SOURCE: _source},
            ),
            Collection(
                Channel,
                {
                    BY_NAMESPACE: _namespace,
                    BY_TITLE: _title,
                    CREATED_BY: _created_by,
                    OF_SOURCE: _source,
                },
            ),
            Collection(
                Ticket,
                {
                    BY_NAMESPACE: _namespace,
                    OF_PARENT: _parent,
                    DEPENDS_ON: _depends_on,
                    CREATED_BY: _created_by,
                    OF_SOURCE: _source,
                    CLAIMED_BY: _claimed,
                    WITH_RUN: _with_run,
                },
            ),
            Collection(GitSource, {BY_NAMESPACE: _namespace, OF_REPOSITORY: _repository}),
        )
    )


def pods_of(store: Store, ticket: Ticket) -> tuple[AgentPod, ...]:
    """Return the pods that name the ticket, and the one that has claimed it."""
    pods, claim = store.of(AgentPod), ticket.status.claim
    found = list(pods.indexed(OF_TICKET, (ticket.metadata.namespace, ticket.metadata.name)))
    owner = pods.by_uid(claim.pod_uid) if claim is not None else None
    if owner is not None and owner.metadata.uid not in {pod.metadata.uid for pod in found}:
        found.append(owner)
    return tuple(found)
