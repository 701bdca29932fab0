"""Tools by which an agent finds what there is."""

from typing import Annotated

from pydantic import Field

from schemas.names import Scope
from schemas.tools.base import Arguments, Category, Result, Time, Tool


class ListAvailablePods(Arguments):
    """Nothing to say."""


class AvailablePod(Result):
    """A pod of the organization."""

    pod_key: str
    """Its name: what other tools call pod_key or target_pod."""
    status: str
    """Its phase: Pending, Scheduled, Starting, Running or Stopping."""
    agent: str
    """Its AgentClass."""
    agent_status: str | None = None
    """executing, waiting or idle; absent: not known."""
    runner: str | None = None
    """The runner it is on."""
    ticket_id: str | None = None
    """The ticket it works on."""
    ticket_title: str | None = None
    created_by: str | None = None
    """The pod that made it; absent: a person."""
    created_at: Time
    is_self: bool
    """Whether it is the caller."""
    granted_scopes: tuple[Scope, ...] = ()
    """What the caller may do with its terminal."""


class AvailablePods(Result):
    """The pods that are not finished."""

    pods: tuple[AvailablePod, ...]


class ListRunners(Arguments):
    """Nothing to say."""


class AvailableAgent(Result):
    """An agent that a runner can start."""

    name: str
    """The AgentClass: agent_type_id of create_pod."""
    version: str | None = None
    """The version that was found there; absent: not known."""


class AvailableRunner(Result):
    """A runner of the organization."""

    runner_id: str
    description: str | None = None
    status: str
    """Pending, Online, Offline or Banned."""
    labels: dict[str, str]
    current_pods: int
    max_concurrent_pods: int | None = None
    """Absent: not limited."""
    available_agents: tuple[AvailableAgent, ...]
    """Agents whose program was found there. Every agent, without a version, of a runner that has
    not said what it found: one of an older release, or not seen since the controller's start."""


class Runners(Result):
    """The runners."""

    runners: tuple[AvailableRunner, ...]


class ListRepositories(Arguments):
    """Nothing to say."""


class KnownRepository(Result):
    """A repository of the organization."""

    repository_id: str
    clone_url: str
    default_branch: str
    provider: Annotated[str, Field(max_length=253)]
    """The host it is at, or `local`."""
    description: str | None = None


class Repositories(Result):
    """The repositories."""

    repositories: tuple[KnownRepository, ...]


TOOLS = (
    Tool(
        "list_available_pods",
        Category.DISCOVERY,
        "List the agent pods of your organization that are not finished, with what you may do with "
        "the terminal of each.",
        ListAvailablePods,
        AvailablePods,
        read_only=True,
    ),
    Tool(
        "list_runners",
        Category.DISCOVERY,
        "List the runners on which pods can be started, with their agents and free places.",
        ListRunners,
        Runners,
        read_only=True,
    ),
    Tool(
        "list_repositories",
        Category.DISCOVERY,
        "List the git repositories that pods can work on.",
        ListRepositories,
        Repositories,
        read_only=True,
    ),
)
