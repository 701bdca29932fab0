"""The tools by which an agent finds what there is. Answered from the store alone."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from controller.kernel.store import Store
from controller.placement.capacity import max_pods
from controller.placement.desired import ended
from controller.placement.indexes import ACTIVE_ON, BY_NAMESPACE
from controller.placement.links import About
from controller.placement.programs import NOTHING, Programs, is_usable
from controller.services.authoriser import Authoriser
from controller.tools.call import Caller, Handler
from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod
from schemas.agentpod_status import PodPhase
from schemas.names import ANNOTATION_CREATED_BY, GROUP, Scope
from schemas.repository import Repository
from schemas.runner import Runner, RunnerPhase
from schemas.ticket import Ticket
from schemas.tools.discovery import (
    AvailableAgent,
    AvailablePod,
    AvailablePods,
    AvailableRunner,
    KnownRepository,
    ListAvailablePods,
    ListRepositories,
    ListRunners,
    Repositories,
    Runners,
)

LOCAL: Final = "local"
"""The provider of a repository on a runner's machine."""

_REMOTE: Final = frozenset({"https", "ssh"})

AboutRunner = Callable[[str], About | None]
"""What a runner said of itself, by its uid: ``Links.about``."""


class Discovery:
    """Shows a pod its own organization, and nothing else."""

    def __init__(self, store: Store, authoriser: Authoriser, about: AboutRunner) -> None:
        self._authoriser = authoriser
        self._about = about
        self._pods = store.of(AgentPod)
        self._classes = store.of(AgentClass)
        self._runners = store.of(Runner)
        self._repositories = store.of(Repository)
        self._tickets = store.of(Ticket)

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by tool."""
        return {
            "list_available_pods": self.list_available_pods,
            "list_runners": self.list_runners,
            "list_repositories": self.list_repositories,
        }

    async def list_available_pods(
        self,
        caller: Caller,
        arguments: ListAvailablePods,  # noqa: ARG002 - it has none
    ) -> AvailablePods:
        """Return the organization's pods that have not ended, oldest first."""
        pods = self._pods.indexed(BY_NAMESPACE, caller.namespace)
        there = sorted((pod for pod in pods if not ended(pod)), key=_age)
        return AvailablePods(pods=tuple(self._pod(caller, pod) for pod in there))

    async def list_runners(
        self,
        caller: Caller,
        arguments: ListRunners,  # noqa: ARG002 - it has none
    ) -> Runners:
        """Return the organization's runners by name."""
        agents = sorted((agent for agent in self._classes if is_usable(agent)), key=_name)
        found = self._runners.indexed(BY_NAMESPACE, caller.namespace)
        there = sorted((one for one in found if not one.metadata.deleting), key=_name)
        return Runners(runners=tuple(self._runner(runner, agents) for runner in there))

    async def list_repositories(
        self,
        caller: Caller,
        arguments: ListRepositories,  # noqa: ARG002 - it has none
    ) -> Repositories:
        """Return the organization's repositories by name."""
        found = self._repositories.indexed(BY_NAMESPACE, caller.namespace)
        there = sorted((one for one in found if not one.metadata.deleting), key=_name)
        return Repositories(repositories=tuple(_repository(one) for one in there))

    def _pod(self, caller: Caller, pod: AgentPod) -> AvailablePod:
        placement, reference = pod.status.placement, pod.spec.ticket_ref
        ticket = self._tickets.get(caller.namespace, reference.name) if reference else None
        return AvailablePod(
            pod_key=pod.metadata.name,
            status=pod.status.phase or PodPhase.PENDING,
            agent=pod.spec.agent_class_name,
            agent_status=pod.status.activity,
            runner=placement.runner_name if placement else None,
            ticket_id=reference.name if reference else None,
            ticket_title=ticket.spec.title if ticket else None,
            created_by=pod.metadata.annotations.get(ANNOTATION_CREATED_BY),
            created_at=pod.metadata.creation_timestamp,
            is_self=pod.metadata.uid == caller.uid,
            granted_scopes=_ordered(self._authoriser.scopes(caller.pod, pod)),
        )

    def _runner(self, runner: Runner, agents: Sequence[AgentClass]) -> AvailableRunner:
        uid, labels = runner.metadata.uid, runner.metadata.labels
        about = self._about(uid)
        return AvailableRunner(
            runner_id=runner.metadata.name,
            description=runner.spec.description,
            status=runner.status.phase or RunnerPhase.PENDING,
            labels={key: labels[key] for key in sorted(labels) if not _of_ours(key)},
            current_pods=self._pods.count(ACTIVE_ON, uid),
            max_concurrent_pods=max_pods(runner, about),
            available_agents=_available(agents, about.programs if about else NOTHING),
        )


def clone_url(url: str) -> str:
    """Return the address without credentials; the user of an ssh address belongs to it."""
    parts = urlsplit(url)
    if parts.scheme not in _REMOTE or "@" not in parts.netloc:
        return url
    user, _, host = parts.netloc.rpartition("@")
    keeps = parts.scheme == "ssh" and ":" not in user
    return url if keeps else urlunsplit(parts._replace(netloc=host))


def provider(url: str) -> str:
    """Return the host that the repository is at, or ``local``."""
    parts = urlsplit(url)
    return (parts.hostname or LOCAL) if parts.scheme in _REMOTE else LOCAL


def _repository(repository: Repository) -> KnownRepository:
    return KnownRepository(
        repository_id=repository.metadata.name,
        clone_url=clone_url(repository.spec.url),
        default_branch=repository.spec.default_branch,
        provider=provider(repository.spec.url),
        description=repository.spec.description,
    )


def _available(agents: Iterable[AgentClass], found: Programs) -> tuple[AvailableAgent, ...]:
    """Return the agents that the runner has, and those of which it has not said."""
    return tuple(
        AvailableAgent(name=agent.metadata.name, version=found.version(agent))
        for agent in agents
        if not found.lacks(agent)
    )


def _of_ours(label: str) -> bool:
    """Whether the label is one that the controller keeps for itself."""
    return label.startswith(f"{GROUP}/")


def _ordered(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    return tuple(scope for scope in Scope if scope in set(scopes))


def _age(pod: AgentPod) -> tuple[str, str]:
    return pod.metadata.creation_timestamp, pod.metadata.name


def _name(resource: Runner | Repository | AgentClass) -> str:
    return resource.metadata.name
