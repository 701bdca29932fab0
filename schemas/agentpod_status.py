"""What is known of an AgentPod: its status."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.base import Model, Status, Timestamp


class PodPhase(StrEnum):
    """A summary; the conditions say more."""

    PENDING = "Pending"
    SCHEDULED = "Scheduled"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    LOST = "Lost"


class Placement(Model):
    """Where the pod is. Written with compare-and-swap before anything is started."""

    runner_name: Annotated[str, Field(max_length=63)]
    """The runner."""
    runner_uid: Annotated[str, Field(max_length=64)] = Field(alias="runnerUID")
    """Its uid."""
    epoch: Annotated[int, Field(ge=1)]
    """Grows with every placement: (uid, epoch) is started at most once."""
    placed_at: Timestamp
    """When."""


class Observed(Model):
    """What the runner last said of the pod."""

    epoch: int = 0
    """The placement that it spoke of."""
    started_at: Timestamp | None = None
    """When the agent's process started."""
    finished_at: Timestamp | None = None
    """When it ended."""
    exit_code: int | None = None
    """Its exit code."""
    signal: int | None = None
    """The signal that ended it."""
    reason: Annotated[str, Field(max_length=128)] | None = None
    """Why, as one word."""
    message: Annotated[str, Field(max_length=1024)] | None = None
    """Why, as a sentence."""
    restarts: int = 0
    """How often it was started again."""
    pid: int | None = None
    """Process id of the agent on the runner's machine."""


class WorktreeStatus(Model):
    """The pod's worktree."""

    branch: Annotated[str, Field(max_length=250)] | None = None
    """Its branch."""
    commit: Annotated[str, Field(max_length=64)] | None = None
    """Its latest commit, as of the last report."""
    base_commit: Annotated[str, Field(max_length=64)] | None = None
    """The commit that it started from."""
    dirty: bool | None = None
    """Whether there are changes that are not committed, as of the last report."""
    saved_ref: Annotated[str, Field(max_length=250)] | None = None
    """Where unpushed work was kept, in the runner's cache of the repository."""
    note: Annotated[str, Field(max_length=1024)] | None = None
    """Something to know, such as a fetch that failed."""


class SandboxStatus(Model):
    """The sandbox that the agent really has."""

    isolation: Annotated[str, Field(max_length=32)] | None = None
    """bubblewrap, landlock or none."""
    network: Annotated[str, Field(max_length=32)] | None = None
    """host or none."""
    limits: dict[str, Annotated[str, Field(max_length=64)]] = Field(
        default_factory=dict, max_length=16
    )
    """What keeps each limit: cgroup2, cgroup1, rlimit, watched (looked at now and then, and ended
    when it is over), or none."""


class TerminalStatus(Model):
    """The pod's terminal."""

    bytes: int = 0
    """Length of its transcript, as of the last report."""
    attachable: bool = False
    """Whether it can be attached to."""


class AgentPodStatus(Status):
    """What is known of the pod."""

    phase: PodPhase | None = None
    """Pending, Scheduled, Starting, Running, Stopping, Succeeded, Failed or Lost."""
    placement: Placement | None = None
    """Where it is."""
    observed: Observed | None = None
    """What the runner last said of it."""
    worktree: WorktreeStatus | None = None
    """Its worktree."""
    sandbox: SandboxStatus | None = None
    """The sandbox that it really has."""
    terminal: TerminalStatus | None = None
    """Its terminal."""
    activity: Annotated[str, Field(max_length=32)] | None = None
    """executing, waiting or idle."""
    activity_since: Timestamp | None = None
    """Since when."""
    activity_evidence: Annotated[str, Field(max_length=256)] | None = None
    """What it was told by: a hook, a sign of the class, output, processes."""
