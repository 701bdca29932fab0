"""AgentPod: one agent at work, with its worktree, sandbox and terminal."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from schemas.agentclass import EnvironmentVariable
from schemas.agentpod_status import AgentPodStatus
from schemas.base import (
    READY_COLUMNS,
    Column,
    Definition,
    LocalReference,
    Model,
    Name,
    Object,
    Rule,
    worded,
)
from schemas.names import AGENT_POD

GitRef = Annotated[
    str,
    Field(
        min_length=1,
        max_length=250,
        pattern=r"^[^-\x00-\x20\x7f~^:?*\[\\][^\x00-\x20\x7f~^:?*\[\\]*$",
        json_schema_extra=worded(
            Rule("!self.startsWith('-')", "must not begin with -"),
            Rule(
                r"!self.matches(r'[\x00-\x20\x7f~^:?*\[\\]')",
                "must not have spaces, control characters or any of ~ ^ : ? * [ \\",
            ),
            Rule("!self.contains('..') && !self.contains('@{')", "must not have .. or @{"),
        ),
    ),
]
"""A git ref or commit: no option, no revision syntax, no control characters."""

LabelValue = Annotated[
    str, Field(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
]


class DesiredState(StrEnum):
    """What the pod shall be."""

    RUNNING = "Running"
    STOPPED = "Stopped"


class RestartPolicy(StrEnum):
    """What follows the end of the agent."""

    NEVER = "Never"
    ON_FAILURE = "OnFailure"


class Isolation(StrEnum):
    """How much a sandbox is insisted on."""

    REQUIRED = "required"
    PREFERRED = "preferred"
    NONE = "none"


class Network(StrEnum):
    """What the agent reaches."""

    HOST = "host"
    NONE = "none"
    ALLOWLIST = "allowlist"


class WorktreeRequest(Model):
    """The pod's branch."""

    branch: GitRef | None = None
    """Branch of the worktree; agentsmesh/<pod>-<uid> if not given."""
    create_branch: bool = True
    """Make the branch from ref. False: it must exist in the repository already."""
    continue_branch: bool = False
    """With createBranch: a branch that exists in the repository already is continued, not refused;
    ref is not used then."""


class RepositoryUse(Model):
    """The repository that the pod works on."""

    name: Name
    """Name of the Repository, in the same namespace."""
    ref: GitRef | None = None
    """Branch, tag or commit to start from; the repository's default branch if not given."""
    worktree: WorktreeRequest = WorktreeRequest()
    """The pod's own branch."""


class RunnerSelector(Model):
    """Which runners may be used."""

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=16, default_factory=dict)]
    """Labels that the Runner must have."""


class Sandbox(Model):
    """How the agent is kept apart from its machine."""

    isolation: Isolation = Isolation.PREFERRED
    """required: refused where there is no sandbox. preferred: the best that the runner has;
    status.sandbox says which. none: no sandbox, only where the runner's operator allows it
    (agentsmesh up --allow-no-isolation): the agent can read and do all that the runner's account
    can."""
    network: Network = Network.HOST
    """host: the runner's network. none: no network. allowlist: only allowedHosts."""
    allowed_hosts: Annotated[
        tuple[Annotated[str, Field(max_length=253)], ...], Field(max_length=64)
    ] = ()
    """Hosts that may be reached with network allowlist."""
    writable_paths: Annotated[
        tuple[Annotated[str, Field(max_length=1024, pattern=r"^/[^\x00]*$")], ...],
        Field(max_length=16),
    ] = ()
    """Further paths that the agent may write, if the runner's operator allowed them."""


_BYTES: Final = r"^([0-9]*[1-9][0-9]*(\.[0-9]+)?|0+\.[0-9]*[1-9][0-9]*)(Ki|Mi|Gi|Ti|k|M|G|T)?$"
_PROCESSORS: Final = (
    r"^([0-9]*[1-9][0-9]*(\.[0-9]{1,3})?|0+\.(0{0,2}[1-9]|[0-9]?[1-9][0-9]|[1-9][0-9]{0,2}))$"
    r"|^[0-9]*[1-9][0-9]*m$"
)


class ResourceLimits(Model):
    """Limits of the pod."""

    cpu: Annotated[str, Field(max_length=32, pattern=_PROCESSORS)] | None = None
    """Processors, more than none: 2, 0.5 or 500m."""
    memory: Annotated[str, Field(max_length=32, pattern=_BYTES)] | None = None
    """Bytes, more than none: a number with Ki, Mi, Gi, Ti, k, M, G, T or nothing, such as 4Gi."""
    pids: Annotated[int, Field(ge=1, le=4194304)] | None = None
    """Processes and threads."""
    open_files: Annotated[int, Field(ge=16, le=1048576)] | None = None
    """Open files of each process."""
    disk: Annotated[str, Field(max_length=32, pattern=_BYTES)] | None = None
    """Bytes of worktree, home and temporary files together; as memory."""


class Resources(Model):
    """What the pod may use."""

    limits: ResourceLimits | None = None
    """At the most this."""


class Terminal(Model):
    """The size of the pod's terminal at its start."""

    cols: Annotated[int, Field(ge=2, le=1000)] = 120
    """Columns."""
    rows: Annotated[int, Field(ge=2, le=1000)] = 40
    """Rows."""


class Disconnect(Model):
    """What follows when the runner cannot be reached."""

    lost_after_seconds: Annotated[int, Field(ge=10, le=604800)] = 300
    """After how long the pod counts as Lost. It goes on working; nothing takes its place."""
    stop_after_seconds: Annotated[int, Field(ge=10, le=604800)] | None = None
    """The runner ends the agent once it has not heard from the controller for so long.

    Without it the agent goes on working. Counted also while the machine sleeps.
    """


class KeyUse(Model):
    """A provider key for the agent."""

    name: Name
    """Name of the ProviderKey, in the same namespace."""
    env: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Variable that holds it, if not the one of the ProviderKey."""


class Claim(StrEnum):
    """Whether a pod takes its ticket for its own."""

    IF_FREE = "IfFree"
    REQUIRED = "Required"
    NEVER = "Never"


class TicketUse(Model):
    """The ticket that the pod works on."""

    name: Name
    """Name of the Ticket, in the same namespace."""
    claim: Claim = Claim.IF_FREE
    """IfFree: the ticket is the pod's unless another pod has it; the pod starts anyway. Required:
    the pod is not placed before the ticket is its own. Never: it helps, and does not own it."""


class AgentPodSpec(Model):
    """What shall run. After placement only desiredState, suspend, deadlines and channels change."""

    agent_class_name: Name
    """The AgentClass: which agent, and how it is started."""
    prompt: Annotated[str, Field(max_length=32768, pattern=r"^[^\x00]*$")] | None = None
    """The agent's first prompt, at most 32 KiB, byte for byte. No NUL."""
    repository_ref: RepositoryUse | None = None
    """The repository to work on; without one the agent starts in its private home."""
    ticket_ref: TicketUse | None = None
    """The Ticket to work on: what it says is in the first prompt, and in the file that
    AGENTSMESH_TICKET_FILE names."""
    channel_refs: Annotated[tuple[LocalReference, ...], Field(max_length=32)] = ()
    """Channels that the pod belongs to."""
    provider_key_refs: Annotated[tuple[KeyUse, ...], Field(max_length=16)] = ()
    """Provider keys for the agent."""
    runner_selector: RunnerSelector | None = None
    """Which runners may be used."""
    runner_name: Name | None = None
    """The runner to use. May be set later, not changed."""
    model: Annotated[str, Field(max_length=128, pattern=r"^[^\x00]*$")] | None = None
    """The model, as the agent names it."""
    config: Annotated[
        dict[str, Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]],
        Field(max_length=64, default_factory=dict),
    ]
    """Values for options of the AgentClass, by name; numbers and true or false as text."""
    permission_mode: (
        Annotated[
            str,
            Field(
                json_schema_extra={"enum": ["plan", "default", "acceptEdits", "bypassPermissions"]}
            ),
        ]
        | None
    ) = None
    """How freely the agent acts: plan, default, acceptEdits or bypassPermissions."""
    sandbox: Sandbox = Sandbox()
    """How the agent is kept apart from its machine."""
    resources: Resources | None = None
    """What the pod may use."""
    environment: Annotated[tuple[EnvironmentVariable, ...], Field(max_length=64)] = ()
    """Variables for the agent's environment. Never a secret."""
    terminal: Terminal = Terminal()
    """The size of its terminal."""
    desired_state: DesiredState = DesiredState.RUNNING
    """Running, or Stopped: the agent is ended with grace and everything else kept. Running again:
    it is started again in the same worktree, as the `resume` of its class says."""
    restart_policy: RestartPolicy = RestartPolicy.NEVER
    """What follows when the agent fails: nothing, or (OnFailure) it is started again, after a pause
    that grows, as the `resume` of its class says."""
    disconnect: Disconnect = Disconnect()
    """What follows when the runner cannot be reached."""
    active_deadline_seconds: Annotated[int, Field(ge=1, le=31536000)] | None = None
    """The pod is stopped, and has failed, so many seconds after its start."""
    idle_timeout_seconds: Annotated[int, Field(ge=10, le=31536000)] | None = None
    """The pod is stopped, as with desiredState Stopped, after it was idle for so many seconds."""
    termination_grace_period_seconds: Annotated[int, Field(ge=0, le=3600)] = 30
    """How long the agent may take to end when asked to."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31536000)] | None = None
    """The AgentPod is deleted so many seconds after its end."""
    suspend: bool = False
    """True: not placed while it is not yet placed; a running pod is frozen, with all its processes,
    until it is false again."""


_AFTER_PLACEMENT = (
    "only desiredState, suspend, activeDeadlineSeconds, idleTimeoutSeconds, "
    "ttlSecondsAfterFinished, disconnect, runnerName (once) and channelRefs can be changed once "
    "the pod is placed; delete it and make a new one"
)
_FROZEN = (
    "prompt",
    "repositoryRef",
    "ticketRef",
    "providerKeyRefs",
    "runnerSelector",
    "model",
    "config",
    "permissionMode",
    "sandbox",
    "resources",
    "environment",
    "terminal",
    "restartPolicy",
    "terminationGracePeriodSeconds",
)


def _same(name: str) -> str:
    present = f"has(self.spec.{name}) == has(oldSelf.spec.{name})"
    return f"{present} && (!has(self.spec.{name}) || self.spec.{name} == oldSelf.spec.{name})"


class AgentPod(Object):
    """One agent at work, with its own worktree, sandbox and terminal on a runner."""

    definition: ClassVar = Definition(
        resource=AGENT_POD,
        short_names=("apod", "apods"),
        columns=(
            Column("Class", ".spec.agentClassName"),
            Column("Phase", ".status.phase"),
            Column("Runner", ".status.placement.runnerName"),
            Column("Activity", ".status.activity"),
            Column("Branch", ".status.worktree.branch", wide=True),
            Column("Isolation", ".status.sandbox.isolation", wide=True),
            Column("Epoch", ".status.placement.epoch", type="integer", wide=True),
            Column("Exit", ".status.observed.exitCode", type="integer", wide=True),
            *READY_COLUMNS,
        ),
        spec_rules=(
            Rule(
                "self.agentClassName == oldSelf.agentClassName",
                "agentClassName is immutable: delete the resource and make a new one",
                ".agentClassName",
            ),
            Rule(
                "!has(self.prompt) || size(bytes(self.prompt)) <= 32768",
                "prompt must be at most 32 KiB of UTF-8",
                ".prompt",
            ),
            Rule(
                "!has(oldSelf.runnerName) || "
                "(has(self.runnerName) && self.runnerName == oldSelf.runnerName)",
                "runnerName cannot be changed once it is set",
                ".runnerName",
            ),
            Rule(
                "self.sandbox.network != 'allowlist' || has(self.sandbox.allowedHosts)",
                "sandbox.allowedHosts is required when sandbox.network is allowlist",
                ".sandbox",
            ),
        ),
        root_rules=tuple(
            Rule(
                f"!has(oldSelf.status) || !has(oldSelf.status.placement) || ({_same(name)})",
                f"{name}: {_AFTER_PLACEMENT}",
                f".spec.{name}",
            )
            for name in _FROZEN
        ),
        selectable_fields=(".spec.runnerName", ".status.phase", ".status.placement.runnerName"),
    )

    spec: AgentPodSpec
    """What shall run."""
    status: AgentPodStatus = AgentPodStatus()
    """What is known of the pod."""
