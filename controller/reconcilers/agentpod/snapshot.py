"""All that an AgentPod's plan and status are computed from."""

from dataclasses import dataclass

from controller.kernel.reconciler import Finding
from controller.placement.assign import Assignment
from controller.placement.links import Reach
from controller.placement.observation import Observation
from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod
from schemas.organization import Organization
from schemas.repository import Repository
from schemas.ticket import Ticket


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What the pod refers to, as far as it exists."""

    organization: Organization | None
    agent: AgentClass | None
    available: tuple[str, ...]
    """Names of the classes that exist, for the message when the one asked for does not."""
    repository: Repository | None
    ticket: Ticket | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations by the monotonic clock."""

    since_write_seconds: float = float("inf")
    """Since we last wrote the pod's status; endless if we have not since our start."""
    since_seen_seconds: float = 0.0
    """Since we first saw the pod."""
    deleting_seconds: float = 0.0
    """Since we saw that it is to go; 0 if it is not."""
    state_seconds: float = 0.0
    """Since its runner first reported the state that it is in."""


@dataclass(frozen=True, slots=True)
class PodSnapshot:
    """The pod and the world around it."""

    subject: AgentPod
    obstacle: Finding | None
    """Why the pod is not placed, if it is not and cannot be."""
    assignment: Assignment | None
    """The runner that it was promised, if it is not placed yet."""
    observation: Observation | None
    """What its runner said, in this placement; None if nothing since our start."""
    absent: bool
    """The runner has listed all that it has since the pod was to go, and the pod was not in it."""
    vanished: bool
    """The runner has listed all that it has, and does not know a pod that it had started."""
    reach: Reach
    runner_gone: bool
    """The Runner that the pod was placed on is gone, or another one now, or is being deleted and
    cannot be reached any more."""
    has_tools: bool = False
    """Its class says how the agent is told of its tools."""
    timing: Timing = Timing()
    recheck_seconds: float | None = None
    """After which time the snapshot may be different by itself."""
