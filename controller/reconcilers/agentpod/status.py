"""The status of an AgentPod, whole, from what is known; and when it is worth a write. Pure."""

from typing import Any, Final

from controller.kernel.clock import stamp
from controller.kernel.reconciler import ReconcileError, Report, earliest
from controller.placement.desired import ENDED
from controller.placement.links import Reach
from controller.placement.observation import Observation, PodState
from controller.reconcilers.agentpod import activity
from controller.reconcilers.agentpod.conditions import conditions
from controller.reconcilers.agentpod.phase import contradicts, phase, relevant, seconds_until_lost
from controller.reconcilers.agentpod.snapshot import PodSnapshot
from controller.reconcilers.agentpod.transitions import transitions
from schemas.agentpod import AgentPod
from schemas.agentpod_status import (
    AgentPodStatus,
    Observed,
    Placement,
    PodPhase,
    SandboxStatus,
    TerminalStatus,
    WorktreeStatus,
)
from schemas.conditions import merge
from schemas.names import ANNOTATION_REQUESTED_AT

_FIRST_SECONDS: Final = 0.5
"""A new pod may lack what the next line of the same file creates: wait before saying so."""
_PROGRESS_SECONDS: Final = 2.0
"""Starting and Stopping are told when they last longer than this."""
_COARSE_SECONDS: Final = 30.0
"""Figures and activity alone are worth a write this often at the most."""
_WORK_SECONDS: Final = 4.0
"""Commits and changed files alone: soon, but without end not as often as raises the alarm."""

_PASSING: Final = frozenset({PodPhase.STARTING, PodPhase.STOPPING})


def report(snapshot: PodSnapshot, error: ReconcileError | None, now: float) -> Report:
    """Return the status that the pod should have, and how long that may wait."""
    del error  # its plan foresees everything that it says
    pod = snapshot.subject
    status = _status(snapshot, now)
    lost = seconds_until_lost(snapshot, now) if snapshot.reach is Reach.UNREACHABLE else None
    recheck = earliest(snapshot.recheck_seconds, lost if lost and lost > 0 else None)
    hold = _hold(pod.status, status, snapshot)
    return Report(status, hold, recheck, transitions(pod, status))


def _status(snapshot: PodSnapshot, now: float) -> AgentPodStatus:
    pod = snapshot.subject
    where = _placement(snapshot, now)
    seen = relevant(pod, snapshot.observation)
    now_phase = phase(snapshot, now)
    observed = _observed(pod, seen, snapshot, now_phase, now)
    conditioned = conditions(snapshot, now_phase, observed, now)
    return AgentPodStatus(
        observed_generation=pod.metadata.generation,
        last_handled_request_at=pod.metadata.annotations.get(ANNOTATION_REQUESTED_AT),
        conditions=merge(pod.status.conditions, conditioned),
        phase=now_phase,
        placement=where,
        observed=observed,
        worktree=_worktree(pod, seen),
        sandbox=_sandbox(pod, seen),
        terminal=_terminal(pod, seen, now_phase),
        **_activity(pod, seen, now_phase),
    )


def _placement(snapshot: PodSnapshot, now: float) -> Placement | None:
    pod, promised = snapshot.subject, snapshot.assignment
    if pod.status.placement is not None or promised is None:
        return pod.status.placement
    return Placement(
        runner_name=promised.runner_name,
        runner_uid=promised.runner_uid,
        epoch=1,  # grows with every placement, and no pod is placed twice in this release
        placed_at=stamp(now),
    )


def _observed(
    pod: AgentPod,
    seen: Observation | None,
    snapshot: PodSnapshot,
    now_phase: PodPhase,
    now: float,
) -> Observed | None:
    if seen is None or seen.state is PodState.REMOVED or contradicts(pod, seen):
        return _inferred(pod, snapshot, now_phase, now)
    return Observed(
        epoch=seen.epoch,
        started_at=stamp(seen.started_at) if seen.started_at is not None else None,
        finished_at=stamp(seen.finished_at) if seen.finished_at is not None else None,
        exit_code=seen.exit_code,
        signal=seen.signal,
        reason=seen.reason or None,
        message=seen.message or None,
        restarts=seen.restarts,
        pid=seen.pid,
    )


def _inferred(
    pod: AgentPod, snapshot: PodSnapshot, now_phase: PodPhase, now: float
) -> Observed | None:
    """Return what is on record, or what follows where the runner can say nothing any more."""
    known = pod.status.observed
    if now_phase is not PodPhase.FAILED or pod.status.phase is PodPhase.FAILED:
        return known
    placement = pod.status.placement
    runner = placement.runner_name if placement else "its runner"
    if snapshot.runner_gone:
        reason, message = "RunnerDeleted", f"Runner {runner} was deleted while the pod was on it"
    elif snapshot.vanished:
        reason = "RunnerRestarted"
        message = f"Runner {runner} has lost its data and does not know the pod any more"
    else:
        reason, message = "Removed", f"Runner {runner} has removed the pod unasked"
    update = {"reason": reason, "message": message, "finished_at": stamp(now), "pid": None}
    return (known or Observed(epoch=placement.epoch if placement else 0)).model_copy(update=update)


def _worktree(pod: AgentPod, seen: Observation | None) -> WorktreeStatus | None:
    known = pod.status.worktree
    if seen is None or not (seen.branch or seen.note or seen.saved_ref):
        return known
    return WorktreeStatus(
        branch=seen.branch or None,
        commit=seen.commit or None,
        base_commit=seen.base_commit or (known.base_commit if known else None),
        dirty=seen.dirty if seen.branch else None,
        saved_ref=seen.saved_ref or None,
        note=seen.note or None,
    )


def _sandbox(pod: AgentPod, seen: Observation | None) -> SandboxStatus | None:
    if seen is None or not seen.isolation:
        return pod.status.sandbox
    return SandboxStatus(
        isolation=seen.isolation, network=seen.network or None, limits=dict(seen.limits)
    )


def _terminal(
    pod: AgentPod, seen: Observation | None, now_phase: PodPhase
) -> TerminalStatus | None:
    """Say how much there is to read, and whether somebody can type."""
    known = pod.status.terminal
    if pod.status.placement is None:
        return None
    live = now_phase in {PodPhase.RUNNING, PodPhase.LOST} and (known or seen) is not None
    if seen is None:
        return known if known is None or known.attachable == live else _told(known.bytes, live=live)
    if seen.started_at is None:
        return known
    return _told(max(seen.terminal_bytes, known.bytes if known else 0), live=live)


def _told(size: int, *, live: bool) -> TerminalStatus:
    return TerminalStatus(bytes=size, attachable=live)


def _activity(pod: AgentPod, seen: Observation | None, now_phase: PodPhase) -> dict[str, Any]:
    """Return what it does, since when, and by what that is told; nothing while it does not run."""
    if now_phase is not PodPhase.RUNNING:
        return {}
    if seen is None:
        names = ("activity", "activity_since", "activity_evidence")
        return {name: getattr(pod.status, name) for name in names}
    if not seen.activity or seen.suspended:
        return {}
    since = seen.activity_since
    return {
        "activity": seen.activity,
        "activity_since": stamp(since) if since is not None else None,
        "activity_evidence": seen.activity_evidence or None,
    }


# --- when it is worth a write ---------------------------------------------------------------------


def _hold(old: AgentPodStatus, new: AgentPodStatus, snapshot: PodSnapshot) -> float:
    """Return how many seconds the difference between *old* and *new* may wait."""
    timing = snapshot.timing
    if old.phase is None and new.phase is PodPhase.PENDING:
        return max(0.0, _FIRST_SECONDS - timing.since_seen_seconds)
    blocked = _type_statuses(new).get("TeardownBlocked") != _type_statuses(old).get(
        "TeardownBlocked"
    )
    if snapshot.subject.metadata.deleting:
        told = old.phase is PodPhase.STOPPING or old.phase in ENDED
        patience = _COARSE_SECONDS if told else _PROGRESS_SECONDS
        return 0.0 if blocked else max(0.0, patience - timing.deleting_seconds)
    if (urgent := activity.hold_seconds(old, new, timing.since_write_seconds)) is not None:
        return urgent
    if old.phase in ENDED and new.phase is PodPhase.STARTING:
        return 0.0  # its runner is told only then
    if new.phase in _PASSING and old.phase is not PodPhase.LOST:
        return max(0.0, _PROGRESS_SECONDS - timing.state_seconds)
    if _coarse(old) == _coarse(new) and _work(old) != _work(new):
        return max(0.0, _WORK_SECONDS - timing.since_write_seconds)
    if _coarse(old) == _coarse(new):
        return max(0.0, _COARSE_SECONDS - timing.since_write_seconds)
    return 0.0


def _coarse(status: AgentPodStatus) -> tuple[object, ...]:
    """Return what is left of a status without figures, activity and words."""
    observed = status.observed.model_copy(update={"pid": None}) if status.observed else None
    tree = status.worktree
    return (
        status.phase,
        status.placement,
        status.observed_generation,
        status.last_handled_request_at,
        observed,
        (tree.branch, tree.saved_ref, tree.base_commit) if tree else None,
        status.sandbox,
        status.terminal.attachable if status.terminal else None,
        _type_statuses(status),
    )


def _work(status: AgentPodStatus) -> tuple[object, ...]:
    tree = status.worktree
    return (tree.commit, tree.dirty) if tree else ()


def _type_statuses(status: AgentPodStatus) -> dict[str, tuple[str, str]]:
    return {item.type: (str(item.status), item.reason) for item in status.conditions}
