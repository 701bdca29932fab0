"""Compares what should be with what is. Pure: the same question has the same answer.

Nothing here knows of tasks or retries: an action that is under way, or failed a moment ago, is
found again in every cycle, and the loop leaves it alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from meshwire.v1 import link_pb2

from runner.converge.states import ALIVE, ENDED, Row, State

_RESTARTED: Final = frozenset(
    {
        "Exited",
        "Signaled",
        "OutOfMemory",
        "TooManyProcesses",
        "RunnerRestarted",
        "RunnerDisconnected",
    }
)
"""Ends after which the restart policy has a say: the next run may do better. Not OutOfDisk: its
files are still there, and the work among them is a person's to sort."""


class Verb(StrEnum):
    """What can be done about a pod."""

    SETTLE = "settle"
    """Ask the operating system what became of the run, and write it down."""
    START = "start"
    """Prepare and start the first run of an epoch."""
    RESTART = "restart"
    """Start again: after a failure, as the restart policy wants, or because a person does."""
    STOP = "stop"
    """End the run; keep everything."""
    CANCEL = "cancel"
    """Note that a pod which never ran shall not run."""
    PARK = "park"
    """Note that an ended pod is wanted stopped: wanted again, it is started again."""
    FREEZE = "freeze"
    """Stop all its processes where they are."""
    THAW = "thaw"
    """Have them go on."""
    REMOVE = "remove"
    """End it, save its work, and leave nothing."""
    FORGET = "forget"
    """Speak of it no more."""
    DECLINE = "decline"
    """Say that this runner does not understand what is wanted; touch nothing."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do about one pod."""

    verb: Verb
    uid: str
    why: str
    ending: str = ""
    """With STOP and CANCEL: the reason that the end will carry."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rows do not say."""

    unsettled: frozenset[str] = field(default_factory=frozenset)
    """Pods whose run may have ended: the operating system has to be asked."""
    overdue: frozenset[str] = field(default_factory=frozenset)
    """Pods whose deadline passed."""
    idle: frozenset[str] = field(default_factory=frozenset)
    """Pods that were idle, for certain, for longer than they may."""
    doomed: Mapping[str, str] = field(default_factory=dict)
    """Pods that must not run on here, such as those over a limit, and the reason."""
    strays: frozenset[str] = field(default_factory=frozenset)
    """Pods that have a directory here and no row."""
    cut_off: frozenset[str] = field(default_factory=frozenset)
    """Pods that must not run while the controller is not heard for so long."""


def diff(
    desired: Mapping[str, link_pb2.PodDesired] | None,
    rows: Mapping[str, Row],
    facts: Facts | None = None,
) -> list[Action]:
    """Return what is to be done, at most one action per pod.

    *desired* is None until the controller told its whole state: then nothing is started or
    stopped, whatever the rows say, but what must end because the controller is not heard.
    """
    facts = facts or Facts()
    found: list[Action | None] = []
    for uid in sorted({*rows, *(desired or {}), *facts.strays}):
        row = rows.get(uid)
        if row is not None and uid in facts.unsettled and row.state in ALIVE:
            found.append(Action(Verb.SETTLE, uid, "its run may have ended"))
        elif uid in facts.cut_off and _may_run(uid, desired):
            found.append(_cut_off(uid, row))
        elif desired is not None:
            found.append(_for_pod(uid, desired.get(uid), row, facts))
    return [action for action in found if action is not None]


def _may_run(uid: str, desired: Mapping[str, link_pb2.PodDesired] | None) -> bool:
    """Whether the last word on the pod, if there was one, lets it run."""
    pod = (desired or {}).get(uid)
    return pod is None or pod.desired in {link_pb2.RUN, link_pb2.SUSPEND}


def _cut_off(uid: str, row: Row | None) -> Action | None:
    """Return what ends the pod; nothing of it is begun."""
    if row is None or row.state not in ALIVE:
        return None
    if row.state is State.STARTING:
        return Action(Verb.SETTLE, uid, "a start was journalled and not confirmed")
    why = "the controller was not heard for too long"
    return Action(Verb.STOP, uid, why, row.ending or "RunnerDisconnected")


def _for_pod(
    uid: str, pod: link_pb2.PodDesired | None, row: Row | None, facts: Facts
) -> Action | None:
    if pod is None:
        return _unwanted(uid, row)
    if row is not None and row.epoch > pod.ref.epoch:
        return None  # old news: the controller will say more
    match pod.desired:
        case link_pb2.RUN:
            return _to_run(uid, pod, row, facts)
        case link_pb2.STOP:
            return _to_stop(uid, pod, row, facts)
        case link_pb2.SUSPEND:
            return _to_suspend(uid, pod, row, facts)
        case link_pb2.REMOVE:
            return _to_remove(uid, pod, row)
        case _:
            return Action(Verb.DECLINE, uid, f"desired state {pod.desired} is not known here")


def _unwanted(uid: str, row: Row | None) -> Action | None:
    if row is not None and row.state is State.REMOVED:
        if row.forgotten_ms:
            return None
        return Action(Verb.FORGET, uid, "the controller does not know it any more")
    return Action(Verb.REMOVE, uid, "the controller does not want it any more")


def _to_run(uid: str, pod: link_pb2.PodDesired, row: Row | None, facts: Facts) -> Action | None:
    if uid in facts.overdue and (row is None or row.state is State.PREPARING):
        return Action(Verb.CANCEL, uid, "its deadline passed", "DeadlineExceeded")
    if row is None:
        return Action(Verb.START, uid, "missing")
    if row.epoch < pod.ref.epoch and row.state in ALIVE:
        return Action(Verb.STOP, uid, f"epoch {pod.ref.epoch} replaces it", "Replaced")
    if row.epoch < pod.ref.epoch:
        return Action(Verb.START, uid, f"placed again as epoch {pod.ref.epoch}")
    return _to_run_on(uid, pod, row, facts)


def _to_run_on(uid: str, pod: link_pb2.PodDesired, row: Row, facts: Facts) -> Action | None:
    match row.state:
        case State.PREPARING:
            return Action(Verb.START, uid, "preparation is not complete")
        case State.RUNNING:
            if must_end := _must_end(uid, facts):
                return must_end
            if uid in facts.idle:
                return Action(Verb.STOP, uid, "it was idle for too long", "IdleTimeout")
            return Action(Verb.THAW, uid, "it is to go on") if row.is_held else None
        case State.SUCCEEDED | State.FAILED:
            return _to_run_again(uid, pod, row, facts)
        case _:
            return _under_way(uid, row)


def _under_way(uid: str, row: Row) -> Action | None:
    """Return what completes a step that was begun."""
    match row.state:
        case State.STARTING:
            return Action(Verb.SETTLE, uid, "a start was journalled and not confirmed")
        case State.STOPPING:
            return Action(Verb.STOP, uid, "a stop was begun", row.ending or "Stopped")
        case _:
            return None


def _must_end(uid: str, facts: Facts) -> Action | None:
    if uid in facts.overdue:
        return Action(Verb.STOP, uid, "its deadline passed", "DeadlineExceeded")
    if uid in facts.doomed:
        return Action(Verb.STOP, uid, "it must not run on", facts.doomed[uid])
    return None


def _to_run_again(uid: str, pod: link_pb2.PodDesired, row: Row, facts: Facts) -> Action | None:
    if row.stopped:
        return Action(Verb.RESTART, uid, "it was stopped, and is wanted again")
    if not may_restart(pod, row):
        return None
    if uid in facts.overdue:
        return Action(Verb.CANCEL, uid, "its deadline passed", "DeadlineExceeded")
    return Action(Verb.RESTART, uid, f"restart {row.restart + 1} after {row.reason}")


def _to_suspend(uid: str, pod: link_pb2.PodDesired, row: Row | None, facts: Facts) -> Action | None:
    """Freeze what runs; what does not run is not started."""
    if row is None:
        return None
    if row.epoch < pod.ref.epoch:
        if row.state in ALIVE:
            return Action(Verb.STOP, uid, f"epoch {pod.ref.epoch} replaces it", "Replaced")
        return None
    if row.state is not State.RUNNING:
        return _under_way(uid, row)
    if must_end := _must_end(uid, facts):
        return must_end
    return None if row.is_frozen else Action(Verb.FREEZE, uid, "it is suspended")


def _to_stop(uid: str, pod: link_pb2.PodDesired, row: Row | None, facts: Facts) -> Action | None:
    if row is None and uid in facts.strays:
        return Action(Verb.SETTLE, uid, "it has a directory and no journal entry")
    if row is None or row.state is State.PREPARING:
        return Action(Verb.CANCEL, uid, "it is not to run", "Stopped")
    if row.state in ALIVE:
        return Action(Verb.STOP, uid, "it is to be stopped", row.ending or "Stopped")
    if row.epoch < pod.ref.epoch:
        return Action(Verb.CANCEL, uid, "its new placement is not to run", "Stopped")
    if pod.keep_stopped and not row.stopped and row.state in ENDED:
        return Action(Verb.PARK, uid, "it has ended, and is wanted stopped")
    return None


def _to_remove(uid: str, pod: link_pb2.PodDesired, row: Row | None) -> Action | None:
    if row is not None and row.state is State.REMOVED and row.epoch == pod.ref.epoch:
        return None
    return Action(Verb.REMOVE, uid, "it is to be removed")


def may_restart(pod: link_pb2.PodDesired, row: Row) -> bool:
    """Whether the restart policy wants an ended run back, and its end is proven."""
    return (
        pod.spec.restart_policy == link_pb2.RESTART_ON_FAILURE
        and row.state in ENDED
        and row.state is State.FAILED
        and (row.ran or row.started_ms > 0)
        and row.proven_dead
        and not row.stopped
        and row.reason in _RESTARTED
        and (not row.ending or row.ending in _RESTARTED)
    )
