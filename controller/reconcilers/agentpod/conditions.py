"""The conditions of an AgentPod: the full truth each time. Pure."""

from typing import Final

from controller.kernel.clock import stamp
from controller.kernel.reconciler import Finding
from controller.placement.assign import Obstacle
from controller.placement.links import Reach
from controller.placement.programs import why_not_found
from controller.reconcilers.agentpod import standing
from controller.reconcilers.agentpod.phase import REACHABLE, RESTARTING
from controller.reconcilers.agentpod.plan import COMPLETED
from controller.reconcilers.agentpod.snapshot import PodSnapshot
from controller.reconcilers.conditions import Conditions
from schemas.agentpod_status import Observed, PodPhase
from schemas.base import Condition
from schemas.conditions import READY, RECONCILING, STALLED, TRUE, find

SCHEDULED: Final = "Scheduled"
"""Normal-true. A runner was chosen."""
AGENT_FOUND: Final = "AgentFound"
"""Normal-true. Before it is placed, that no runner has the agent's program; then its runner's."""
KEYS_READY: Final = "KeysReady"
"""Normal-true. Absent where the pod asks for no provider keys."""
RESOURCES_LIMITED: Final = "ResourcesLimited"
"""Normal-true. Absent where the pod asks for no limits."""
INITIALIZED: Final = "Initialized"
"""Normal-true. Worktree and home are there."""
PREPARING: Final = "Preparing"
"""Reason of Initialized while all goes well."""
STARTED: Final = "Started"
"""Normal-true. The agent's process was started."""
TOOLS_LISTED: Final = "ToolsListed"
"""Normal-true. The agent has asked for its tools. Absent for classes without an MCP format."""
PROMPT_SUBMITTED: Final = "PromptSubmitted"
"""Normal-true. Absent unless a prompt cannot be typed into the terminal or submitted there."""
TEARDOWN_BLOCKED: Final = "TeardownBlocked"
"""Abnormal-true, absent otherwise. It is deleted, and its runner cannot clear it away."""
OURS: Final = standing.TYPES | {
    *(SCHEDULED, KEYS_READY, INITIALIZED, STARTED, TOOLS_LISTED, PROMPT_SUBMITTED),
    *(TEARDOWN_BLOCKED, REACHABLE, COMPLETED, READY, RECONCILING, STALLED),
}
"""What no runner can say by itself. All others are the runner's, also those not known here."""

_PROMPT: Final = frozenset({"PromptWaits", "NotReady", "NotSubmitted"})
"""Reasons of a running pod's report that are about its prompt."""

_PREPARING: Final = frozenset(
    {"CloneFailed", "RefNotFound", "BranchConflict", "InvalidBranch", "RepositoryNotAllowed"}
)
"""Reasons of a failure before the worktree was there."""


def conditions(
    snapshot: PodSnapshot, phase: PodPhase, observed: Observed | None, now: float
) -> list[Condition]:
    """Return all conditions of the pod."""
    said = Conditions.of(snapshot.subject, now)
    if runner := _runner_name(snapshot):
        said.true(SCHEDULED, "Placed", f"on runner {runner}")
        _progress(said, snapshot, observed, phase)
        _tools(said, snapshot, phase)
        _prompt(said, observed, phase)
        _reachable(said, snapshot, phase, runner)
    else:
        _waiting(said, snapshot.obstacle)
    _unsupported(said, snapshot)
    if phase in {PodPhase.SUCCEEDED, PodPhase.FAILED}:
        reason = "Succeeded" if phase is PodPhase.SUCCEEDED else "Failed"
        said.true(COMPLETED, _cause(observed) or reason, ending(observed))
    _blocked(said, snapshot, observed)
    standing.stands(said, snapshot, phase)
    _summary(said, snapshot, phase, observed)
    standing.of_the_runner(said, snapshot, OURS)
    return said.items


def ending(observed: Observed | None) -> str:
    """Return one sentence on how the agent ended."""
    if observed is None:
        return "the agent has ended"
    if observed.reason in STOPS and observed.started_at is None:
        return f"{(observed.message or 'it was stopped').removesuffix('.')}; {_ON}"
    told = observed.message or f"the agent has ended: {observed.reason or 'unknown'}"
    told = told.removesuffix(".")
    if observed.started_at is None:
        return f"{told}. It was not started, and this is final: {_AGAIN}"
    how = _how(observed)
    match observed.reason:
        case "Stopped":
            by = f" ({how})" if how else ""
            return f"{told[:1].lower()}{told[1:]}{by}; {_ON}"
        case "IdleTimeout":
            return (
                "the agent was idle for spec.idleTimeoutSeconds, so it was stopped; set "
                "spec.desiredState to Stopped, then to Running, to have it started again"
            )
        case "DeadlineExceeded":
            return f"spec.activeDeadlineSeconds passed, so the agent was stopped ({how or told})"
        case "Exited" | "Signaled" | None if how:
            return f"the agent ended {how}" if observed.signal is None else f"the agent was {how}"
        case _:
            return f"{told} ({how})" if how else told


STOPS: Final = frozenset({"Stopped", "IdleTimeout"})
"""Ends that are no failures, whatever the exit code."""

_ON: Final = "setting spec.desiredState to Running starts it again"
_AGAIN: Final = "delete the pod and apply it again"


def _how(observed: Observed) -> str:
    """Return how the process ended, empty if nobody knows."""
    if observed.exit_code is not None:
        return f"with exit code {observed.exit_code}"
    return f"ended by signal {observed.signal}" if observed.signal is not None else ""


def _cause(observed: Observed | None) -> str | None:
    """Return what ended the pod, None if the agent ended by itself."""
    reason = observed.reason if observed else None
    return None if reason in {"Exited", "Signaled"} else reason


def _runner_name(snapshot: PodSnapshot) -> str:
    """Return the runner that the pod is on, or is about to be placed on; empty if there is none."""
    placement = snapshot.subject.status.placement
    if placement is not None:
        return placement.runner_name
    return snapshot.assignment.runner_name if snapshot.assignment else ""


def _waiting(said: Conditions, obstacle: Finding | None) -> None:
    if obstacle is not None:
        said.false(SCHEDULED, obstacle.reason, obstacle.message)
        if obstacle.reason == Obstacle.AGENT:
            said.false(AGENT_FOUND, why_not_found(obstacle.message), obstacle.message)
    else:
        said.false(SCHEDULED, "Deleted", "it was deleted before it was placed")


def _unsupported(said: Conditions, snapshot: PodSnapshot) -> None:
    spec = snapshot.subject.spec
    if spec.provider_key_refs:
        said.false(KEYS_READY, "NotSupported", "this release has no provider keys")
    if spec.resources is not None and spec.resources.limits is not None:
        said.false(
            RESOURCES_LIMITED,
            "NotEnforced",
            "resources.limits: this release does not enforce them; the pod runs without limits",
        )


def _progress(
    said: Conditions, snapshot: PodSnapshot, observed: Observed | None, phase: PodPhase
) -> None:
    """Say how far the start has come, keeping what is on record while the runner is silent."""
    seen = snapshot.observation
    reason, message = _why(observed)
    started = observed is not None and observed.started_at is not None
    if (seen is not None and seen.initialized) or started or _was(snapshot, INITIALIZED):
        said.true(INITIALIZED, "Prepared", "worktree and home are there")
    elif phase is PodPhase.FAILED:
        said.false(INITIALIZED, reason, message)
    elif trouble := _trouble(observed):
        said.false(INITIALIZED, *trouble)
    else:
        said.false(INITIALIZED, PREPARING, "worktree and home are being made")
    if started:
        said.true(STARTED, "Started", "the agent was started")
    elif phase is PodPhase.FAILED:
        said.false(STARTED, reason, message)
    else:
        said.false(STARTED, "NotYet", "the agent was not started yet")


def _tools(said: Conditions, snapshot: PodSnapshot, phase: PodPhase) -> None:
    """Say whether the agent has listed its tools: once it has, that stays true."""
    seen, known = snapshot.observation, find(snapshot.subject.status.conditions, TOOLS_LISTED)
    if known is not None and known.status == TRUE:
        said.true(TOOLS_LISTED, known.reason, known.message)
    elif seen is not None and seen.tools_listed_at is not None:
        when = stamp(seen.tools_listed_at)
        said.true(TOOLS_LISTED, TOOLS_LISTED, f"the agent listed its tools at {when}")
    elif not snapshot.has_tools:
        return
    elif phase in {PodPhase.SUCCEEDED, PodPhase.FAILED}:
        said.false(TOOLS_LISTED, "NotListed", "the agent ended without having listed its tools")
    else:
        said.false(TOOLS_LISTED, "Waiting", "the agent has not listed its tools yet")


def _prompt(said: Conditions, observed: Observed | None, phase: PodPhase) -> None:
    """Say what stands in the way of a prompt of a running agent."""
    reason = observed.reason if observed is not None else None
    if phase is PodPhase.RUNNING and observed is not None and reason in _PROMPT:
        said.false(PROMPT_SUBMITTED, reason or "", observed.message or "")


def _why(observed: Observed | None) -> tuple[str, str]:
    if observed is None:
        return "Failed", ""
    return observed.reason or "Failed", observed.message or ""


def _trouble(observed: Observed | None) -> tuple[str, str] | None:
    """Return why a start does not get on, while the runner tries again."""
    if observed is None or not observed.reason or observed.finished_at is not None:
        return None
    return observed.reason, f"{observed.message or observed.reason} The runner tries again."


def _restarting(snapshot: PodSnapshot) -> tuple[str, str] | None:
    told = snapshot.observation.conditions if snapshot.observation else ()
    return next(((RESTARTING, each.message) for each in told if each.type == RESTARTING), None)


def _was(snapshot: PodSnapshot, kind: str) -> bool:
    last = find(snapshot.subject.status.conditions, kind)
    return last is not None and last.status == TRUE


def _reachable(said: Conditions, snapshot: PodSnapshot, phase: PodPhase, name: str) -> None:
    if phase in {PodPhase.SUCCEEDED, PodPhase.FAILED}:
        return
    if snapshot.reach is Reach.UNREACHABLE:
        message = f"runner {name} is not connected; the pod goes on there if the machine is up"
        said.false(REACHABLE, "Disconnected", message)
    elif snapshot.reach is Reach.CONNECTED:
        said.true(REACHABLE, "Connected", f"runner {name} is connected")
    elif (last := find(snapshot.subject.status.conditions, REACHABLE)) is not None:
        said.say(REACHABLE, last.status, last.reason, last.message)
    else:
        said.true(REACHABLE, "Connected", f"runner {name} is connected")


def _blocked(said: Conditions, snapshot: PodSnapshot, observed: Observed | None) -> None:
    pod, placement = snapshot.subject, snapshot.subject.status.placement
    if not pod.metadata.deleting or placement is None:
        return
    if snapshot.reach is Reach.UNREACHABLE:
        said.true(
            TEARDOWN_BLOCKED,
            "RunnerUnreachable",
            f"runner {placement.runner_name} is not connected, so the pod cannot be cleared away: "
            "start the runner; or, if it will not come back, delete its Runner, or annotate the "
            f"pod with agentsmesh.io/force-teardown={pod.metadata.uid}",
        )
    elif observed is not None and observed.reason == "TeardownFailed":
        said.true(TEARDOWN_BLOCKED, "TeardownFailed", observed.message or "")


def _summary(
    said: Conditions, snapshot: PodSnapshot, phase: PodPhase, observed: Observed | None
) -> None:
    """Say Ready, and Reconciling or Stalled with it (kstatus)."""
    pod = snapshot.subject
    unreachable = snapshot.reach is Reach.UNREACHABLE and pod.status.placement is not None
    match phase:
        case PodPhase.SUCCEEDED | PodPhase.FAILED:
            _over(said, snapshot, phase, observed)
        case PodPhase.LOST:
            said.unknown(READY, "RunnerUnreachable", "its runner has been away for too long")
        case _ if unreachable:
            said.unknown(READY, "RunnerUnreachable", "its runner is not connected")
        case PodPhase.RUNNING if standing.is_suspended(snapshot):
            said.false(
                READY, standing.SUSPENDED, "it is frozen: set spec.suspend to false to go on"
            )
        case PodPhase.RUNNING:
            said.true(READY, "Running", "the agent is running")
        case PodPhase.PENDING:
            obstacle = snapshot.obstacle or Finding("Pending", "it waits for a runner")
            said.ready(obstacle, "")
        case PodPhase.SCHEDULED | PodPhase.STARTING | PodPhase.STOPPING:
            reason, message = str(phase), _PASSING_WORDS[phase]
            if phase is PodPhase.STARTING:
                reason, message = _restarting(snapshot) or _trouble(observed) or (reason, message)
            said.false(READY, reason, message)
            said.true(RECONCILING, reason, message)


def _over(
    said: Conditions, snapshot: PodSnapshot, phase: PodPhase, observed: Observed | None
) -> None:
    """Say that it has ended, or what keeps it from being started again, where that is wanted."""
    if snapshot.obstacle is not None:
        said.ready(snapshot.obstacle, "")
        return
    said.false(READY, _cause(observed) or COMPLETED, ending(observed))
    never = observed is None or observed.started_at is None
    if phase is PodPhase.FAILED and never and not standing.is_stopped(snapshot):
        said.true(STALLED, _cause(observed) or "Failed", ending(observed))


_PASSING_WORDS: Final = {
    PodPhase.SCHEDULED: "a runner was chosen",
    PodPhase.STARTING: "worktree, sandbox and agent are being made ready",
    PodPhase.STOPPING: "the agent is being ended",
}
