"""How a pod stands beside its phase: frozen, stopped, stuck, and what its runner alone can tell.

Pure.
"""

from typing import Final

from controller.placement.desired import STOPPED, started
from controller.placement.observation import Observation
from controller.reconcilers.agentpod.snapshot import PodSnapshot
from controller.reconcilers.conditions import Conditions
from schemas.agentpod import AgentPod
from schemas.agentpod_status import PodPhase
from schemas.conditions import TRUE, find

SUSPENDED: Final = "Suspended"
"""True while it is frozen with all its processes, absent otherwise."""
STUCK: Final = "Stuck"
"""Abnormal-true, absent otherwise. At work by its signs, and nothing happens."""

TYPES: Final = frozenset({SUSPENDED, STOPPED, STUCK})

_MAX_CONDITIONS: Final = 16
"""In all: a status stays small, whatever a runner says (CRD-05)."""


def stands(said: Conditions, snapshot: PodSnapshot, phase: PodPhase) -> None:
    """Say what is unusual about a pod that runs, or that does not: frozen, stopped, stuck."""
    seen = snapshot.observation
    if phase is PodPhase.RUNNING and is_suspended(snapshot):
        said.true(SUSPENDED, "Suspended", "it is frozen, with all its processes (spec.suspend)")
    if phase in {PodPhase.SUCCEEDED, PodPhase.FAILED} and is_stopped(snapshot):
        said.true(STOPPED, "Stopped", "spec.desiredState Running starts it again")
    if seen is not None and seen.stuck and phase is PodPhase.RUNNING and not seen.suspended:
        said.true(STUCK, "NoProgress", seen.stuck)
    elif seen is None and (last := find(snapshot.subject.status.conditions, STUCK)) is not None:
        said.say(STUCK, last.status, last.reason, last.message)


def is_suspended(snapshot: PodSnapshot) -> bool:
    """Whether its processes are frozen, as far as is known."""
    seen = snapshot.observation
    return seen.suspended if seen is not None else _was(snapshot, SUSPENDED)


def is_stopped(snapshot: PodSnapshot) -> bool:
    """Whether its runner would start it again, as far as is known."""
    seen = snapshot.observation
    if seen is None:
        return _was(snapshot, STOPPED)
    return seen.stopped and remembers(snapshot.subject, seen)


def remembers(pod: AgentPod, seen: Observation) -> bool:
    """Whether the runner knows that the pod ran, if it did.

    One that has lost its data, told to stop what it does not know, says that it is stopped: it
    would start it as if for the first time, with its prompt and without its work.
    """
    return seen.started_at is not None or seen.restarts > 0 or not started(pod)


def of_the_runner(said: Conditions, snapshot: PodSnapshot, ours: frozenset[str]) -> None:
    """Say what the runner alone can tell; what is on record stays while it is silent.

    A condition that we say for lack of better, such as ResourcesLimited, gives way to its own.
    """
    if snapshot.subject.status.placement is None:
        return
    seen = snapshot.observation
    if seen is None:
        kept = {item.type for item in said.items} | ours
        old = [each for each in snapshot.subject.status.conditions if each.type not in kept]
        for item in old[: _MAX_CONDITIONS - len(said.items)]:
            said.say(item.type, item.status, item.reason, item.message)
        return
    told = [each for each in seen.conditions if each.type not in ours]
    types = {each.type for each in told}
    said.items = [item for item in said.items if item.type not in types]
    for each in told[: _MAX_CONDITIONS - len(said.items)]:
        (said.true if each.status else said.false)(each.type, each.reason, each.message)


def _was(snapshot: PodSnapshot, kind: str) -> bool:
    last = find(snapshot.subject.status.conditions, kind)
    return last is not None and last.status == TRUE
