"""What is done about an AgentPod beside its status. Pure.

Order is everything: the finalizer before the placement, the placement (in the status, with
compare-and-swap) before any runner is told, the word on saved work before the finalizer goes.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from controller.kernel.clock import seconds, stamp
from controller.kernel.reconciler import Action, Create, Delete, Patch, Plan, Tell, earliest
from controller.placement.desired import ended, waits
from controller.placement.observation import PodState
from controller.reconcilers.agentpod.snapshot import PodSnapshot
from schemas.agentpod import AgentPod, DesiredState
from schemas.conditions import find
from schemas.names import (
    AGENT_POD,
    ANNOTATION_FORCE_TEARDOWN,
    EVENT,
    FIELD_MANAGER,
    FINALIZER_TEARDOWN,
    LABEL_TICKET,
)

COMPLETED: Final = "Completed"
_NOTHING: Final[Mapping[str, str]] = {}


def plan(snapshot: PodSnapshot, now: float) -> Plan:
    """Return what to do; planning again on the result does nothing."""
    pod = snapshot.subject
    if pod.metadata.deleting:
        return _teardown(snapshot, now)
    if snapshot.assignment is not None and FINALIZER_TEARDOWN not in pod.metadata.finalizers:
        finalizers = [*pod.metadata.finalizers, FINALIZER_TEARDOWN]
        return Plan(
            (_finalizers(pod, finalizers, "about to be placed", _labels(pod)),), publish=False
        )
    expiry = _expiry(pod)
    if expiry is not None and now >= expiry:
        why = f"ended {pod.spec.ttl_seconds_after_finished} s ago"
        metadata = pod.metadata
        gone = Delete(AGENT_POD, metadata.namespace, metadata.name, metadata.uid, why)
        return Plan((gone,), publish=False)
    left = expiry - now if expiry is not None else None
    return Plan(recheck_after_seconds=earliest(left, snapshot.recheck_seconds))


def _teardown(snapshot: PodSnapshot, now: float) -> Plan:
    pod = snapshot.subject
    if FINALIZER_TEARDOWN not in pod.metadata.finalizers:
        return Plan(publish=False)  # it goes as soon as others let it
    why = released(snapshot)
    if why is None:
        return Plan(recheck_after_seconds=snapshot.recheck_seconds)
    changes: list[Action] = []
    if note := _saved_work(snapshot, now):
        changes.append(note)
    if note := _kept_files(snapshot, now):
        changes.append(note)
    if forced(pod) and not snapshot.runner_gone:
        changes.append(_forced_note(pod))
    rest = [name for name in pod.metadata.finalizers if name != FINALIZER_TEARDOWN]
    changes.append(_finalizers(pod, rest, why))
    return Plan(tuple(changes), publish=False)


def released(snapshot: PodSnapshot) -> str | None:
    """Return why nothing of the pod is left on a runner, None while something may be."""
    pod, seen = snapshot.subject, snapshot.observation
    if pod.status.placement is None:
        return "it was never placed"
    if seen is not None and seen.state is PodState.REMOVED:
        return "its runner has removed it"
    if snapshot.absent:
        return "its runner does not have it"
    if snapshot.runner_gone:
        return "its runner was deleted"
    if forced(pod):
        return "a person stated that its runner will not come back"
    return None


def forced(pod: AgentPod) -> bool:
    """Whether a person has stated, for this very pod, that its runner will not come back."""
    return pod.metadata.annotations.get(ANNOTATION_FORCE_TEARDOWN) == pod.metadata.uid


def _labels(pod: AgentPod) -> dict[str, str]:
    """Return the label by which the pods of a ticket are found, where it is missing."""
    use = pod.spec.ticket_ref
    if use is None or LABEL_TICKET in pod.metadata.labels:
        return {}
    return {LABEL_TICKET: use.name}


def _finalizers(
    pod: AgentPod, finalizers: list[str], why: str, labels: Mapping[str, str] = _NOTHING
) -> Patch:
    metadata = {
        "uid": pod.metadata.uid,
        "resourceVersion": pod.metadata.resource_version,
        "finalizers": finalizers or None,
        **({"labels": dict(labels)} if labels else {}),
    }
    return Patch(AGENT_POD, pod.metadata.namespace, pod.metadata.name, {"metadata": metadata}, why)


def _expiry(pod: AgentPod) -> float | None:
    """Return when an ended pod is to be deleted, None if it is not."""
    if pod.spec.ttl_seconds_after_finished is None or not ended(pod):
        return None
    if pod.spec.desired_state is DesiredState.STOPPED or waits(pod):
        return None  # it is kept: it has not finished
    completed = find(pod.status.conditions, COMPLETED)
    finished = seconds(completed.last_transition_time) if completed else None
    return finished + pod.spec.ttl_seconds_after_finished if finished is not None else None


def _forced_note(pod: AgentPod) -> Tell:
    placement = pod.status.placement
    runner = placement.runner_name if placement else "its runner"
    return Tell(
        AGENT_POD,
        pod.metadata.namespace,
        pod.metadata.name,
        pod.metadata.uid,
        warning=True,
        reason="TeardownForced",
        message=f"released by annotation although {runner} has not removed it; what it left "
        "there goes when the runner comes back",
    )


def _saved_work(snapshot: PodSnapshot, now: float) -> Create | None:
    """Return the Event that says where unpushed work is; its name makes it happen only once."""
    pod, seen = snapshot.subject, snapshot.observation
    saved = seen.saved_ref if seen else ""
    if not saved and pod.status.worktree is not None:
        saved = pod.status.worktree.saved_ref or ""
    if not saved:
        return None
    placement = pod.status.placement
    runner = placement.runner_name if placement else "its runner"
    message = f"unpushed work was kept under {saved} in the repository cache of runner {runner}"
    # optional: a namespace that is being deleted takes no Events
    event = _event(pod, "WorkSaved", message, now)
    return Create(EVENT, pod.metadata.namespace, event, saved, optional=True)


def _kept_files(snapshot: PodSnapshot, now: float) -> Create | None:
    """Return the Event that says where files are that no commit could hold."""
    pod, seen = snapshot.subject, snapshot.observation
    if seen is None or not seen.kept_files:
        return None
    placement = pod.status.placement
    runner = placement.runner_name if placement else "its runner"
    message = f"files were kept in {seen.kept_files} on runner {runner}: {seen.note}"
    event = _event(pod, "FilesKept", message[:1000], now)
    return Create(EVENT, pod.metadata.namespace, event, seen.kept_files, optional=True)


def _event(pod: AgentPod, reason: str, message: str, now: float) -> dict[str, Any]:
    metadata = pod.metadata
    digest = hashlib.sha256(f"{metadata.uid}/{reason}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata.name[:200]}.{digest}", "namespace": metadata.namespace},
        "involvedObject": {
            "apiVersion": AGENT_POD.api_version,
            "kind": AGENT_POD.kind,
            "namespace": metadata.namespace,
            "name": metadata.name,
            "uid": metadata.uid,
        },
        "type": "Normal",
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": stamp(now),
        "lastTimestamp": stamp(now),
        "source": {"component": FIELD_MANAGER},
    }
