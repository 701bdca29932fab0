"""Which changes of a pod's status a person wants to see among its Events. Pure.

Only what went wrong, and that it waits for a person: a pod that starts, runs, ends well and goes
has no Event, because each costs a write. Computed from the status on record, so that a restarted
controller repeats nothing.
"""

from collections.abc import Iterator
from typing import Final

from controller.kernel.reconciler import Tell
from controller.reconcilers.agentpod.activity import notices
from controller.reconcilers.agentpod.conditions import (
    INITIALIZED,
    PREPARING,
    PROMPT_SUBMITTED,
    STOPS,
    TEARDOWN_BLOCKED,
    ending,
)
from controller.reconcilers.agentpod.phase import RESTARTING
from schemas.agentpod import AgentPod
from schemas.agentpod_status import AgentPodStatus, PodPhase
from schemas.base import Condition
from schemas.conditions import FALSE, STALLED, TRUE, find
from schemas.names import AGENT_POD

TRANSCRIPT_COMPLETE: Final = "TranscriptComplete"
"""What a runner tells of a pod's output, once some of it is missing."""


def transitions(pod: AgentPod, new: AgentPodStatus) -> tuple[Tell, ...]:
    """Return what is to be told once *new* has taken the place of the pod's status."""
    metadata = pod.metadata
    return tuple(
        Tell(
            AGENT_POD,
            metadata.namespace,
            metadata.name,
            metadata.uid,
            warning=warning,
            reason=reason,
            message=message,
        )
        for warning, reason, message in _all(pod.status, new)
    )


def _all(old: AgentPodStatus, new: AgentPodStatus) -> Iterator[tuple[bool, str, str]]:
    yield from ((True, reason, message) for reason, message in _told(old, new))
    yield from notices(old, new)


def _told(old: AgentPodStatus, new: AgentPodStatus) -> Iterator[tuple[str, str]]:
    entered = new.phase if new.phase is not old.phase else None
    if entered is PodPhase.FAILED and (new.observed and new.observed.reason in STOPS):
        pass  # as wanted
    elif entered is PodPhase.FAILED:
        yield "Failed", _failure(new)
    elif entered is PodPhase.LOST:
        ready = find(new.conditions, "Ready")
        yield "Lost", ready.message if ready else ""
    elif new.phase is PodPhase.PENDING and (stalled := _news(old, new, STALLED, TRUE)):
        yield stalled.reason, stalled.message
    elif new.phase is PodPhase.STARTING and (trouble := _trouble(old, new)):
        yield trouble.reason, trouble.message
    if again := _news(old, new, RESTARTING, TRUE):
        yield RESTARTING, again.message
    if prompt := _news(old, new, PROMPT_SUBMITTED, FALSE):
        yield prompt.reason, prompt.message
    if gap := _news(old, new, TRANSCRIPT_COMPLETE, FALSE):
        yield gap.reason, gap.message
    if blocked := _news(old, new, TEARDOWN_BLOCKED, TRUE):
        yield TEARDOWN_BLOCKED, f"{blocked.reason}: {blocked.message}"


def _failure(status: AgentPodStatus) -> str:
    sentence = ending(status.observed)
    reason = status.observed.reason if status.observed else None
    return f"{reason}: {sentence}" if reason else sentence


def _trouble(old: AgentPodStatus, new: AgentPodStatus) -> Condition | None:
    """Return why the start does not get on, where that is new; the runner tries again."""
    waits = _news(old, new, INITIALIZED, FALSE)
    return waits if waits is not None and waits.reason != PREPARING else None


def _news(old: AgentPodStatus, new: AgentPodStatus, kind: str, status: str) -> Condition | None:
    """Return the condition if it has the status, and had not, or for another reason."""
    have, had = find(new.conditions, kind), find(old.conditions, kind)
    if have is None or have.status != status:
        return None
    known = had is not None and (had.status, had.reason) == (have.status, have.reason)
    return None if known else have
