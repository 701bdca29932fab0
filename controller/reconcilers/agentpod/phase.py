"""The phase of an AgentPod, from what is known of it. Pure."""

from controller.kernel.clock import seconds
from controller.placement.desired import ENDED
from controller.placement.links import Reach
from controller.placement.observation import Observation, PodState
from controller.reconcilers.agentpod.snapshot import PodSnapshot
from schemas.agentpod import AgentPod, DesiredState, RestartPolicy
from schemas.agentpod_status import PodPhase
from schemas.base import ConditionStatus
from schemas.conditions import find

REACHABLE = "RunnerReachable"
RESTARTING = "Restarting"
"""Condition that a runner says of a pod which failed: when it is started again."""

_PHASES = {
    PodState.PREPARING: PodPhase.STARTING,
    PodState.STARTING: PodPhase.STARTING,
    PodState.RUNNING: PodPhase.RUNNING,
    PodState.STOPPING: PodPhase.STOPPING,
    PodState.SUCCEEDED: PodPhase.SUCCEEDED,
    PodState.FAILED: PodPhase.FAILED,
    PodState.REMOVED: PodPhase.FAILED,
}


def phase(snapshot: PodSnapshot, now: float) -> PodPhase:
    """Return the phase. What the runner last said counts until it says something else."""
    pod = snapshot.subject
    last = pod.status.phase
    if pod.status.placement is None:
        return PodPhase.SCHEDULED if snapshot.assignment else PodPhase.PENDING
    if pod.metadata.deleting:
        return last if last in ENDED else PodPhase.STOPPING
    if snapshot.assignment is not None:
        return PodPhase.STARTING  # it was stopped, and has its place again
    if final(pod):
        return last or PodPhase.FAILED
    seen = relevant(pod, snapshot.observation)
    if seen is not None and _PHASES[seen.state] in ENDED:
        return PodPhase.STARTING if begins_again(pod, seen) else _PHASES[seen.state]
    if last in ENDED and seen is None:
        return last
    if snapshot.runner_gone or snapshot.vanished:
        return PodPhase.FAILED
    if _lost(snapshot, now):
        return PodPhase.LOST
    if seen is not None:
        return _PHASES[seen.state]
    return last or PodPhase.SCHEDULED


def begins_again(pod: AgentPod, seen: Observation) -> bool:
    """Whether what has ended is about to be started again, and keeps its place for that."""
    if any(told.type == RESTARTING and told.status for told in seen.conditions):
        return True
    wanted = pod.spec.desired_state is DesiredState.RUNNING and pod.status.phase not in ENDED
    return wanted and seen.stopped


def final(pod: AgentPod) -> bool:
    """Whether the pod's phase is a last word: whatever comes, it stays."""
    restarts = pod.spec.restart_policy is not RestartPolicy.NEVER
    return pod.status.phase in ENDED and not (restarts and pod.status.phase is PodPhase.FAILED)


def contradicts(pod: AgentPod, seen: Observation) -> bool:
    """Whether the report says another phase than the one that is the pod's last word."""
    return final(pod) and _PHASES[seen.state] is not pod.status.phase


def relevant(pod: AgentPod, seen: Observation | None) -> Observation | None:
    """Return the report, unless it says less than what is known already.

    A runner that was told to stop what it does not know says that it failed without having
    started: that does not undo the end that is on record.
    """
    if seen is None or seen.state is PodState.UNKNOWN:
        return None
    known = pod.status.observed
    ran = known is not None and known.epoch == seen.epoch and known.started_at is not None
    return None if ran and seen.started_at is None and pod.status.phase in ENDED else seen


def _lost(snapshot: PodSnapshot, now: float) -> bool:
    if snapshot.reach is not Reach.UNREACHABLE:
        # the runner is on its way back, but has not spoken of the pod yet
        waits = snapshot.reach is Reach.WAITING or snapshot.observation is None
        return waits and snapshot.subject.status.phase is PodPhase.LOST
    left = seconds_until_lost(snapshot, now)
    return left is not None and left <= 0


def seconds_until_lost(snapshot: PodSnapshot, now: float) -> float | None:
    """Return when an unreachable pod counts as lost; None while that is not on record."""
    pod = snapshot.subject
    reachable = find(pod.status.conditions, REACHABLE)
    if reachable is None or reachable.status is not ConditionStatus.FALSE:
        return None
    since = seconds(reachable.last_transition_time)
    return since + pod.spec.disconnect.lost_after_seconds - now if since is not None else None
