"""The status of a PodBinding. Pure.

What pods asked for and decided (``requestedAt``, ``requestedScopes``, ``decision``) is the binding
service's and stays as it is. One exception: a request that a person declared has no service behind
it, so the time from which it counts is set here, for each pair of pods anew.
"""

from typing import Final

from controller.bindings.rules import Standing, made_by_tool, ordered, standing
from controller.kernel.clock import seconds, stamp
from controller.kernel.reconciler import ReconcileError, Report, Tell
from controller.reconcilers.conditions import Conditions
from controller.reconcilers.podbinding.snapshot import BindingSnapshot
from schemas.base import Condition
from schemas.conditions import READY, RECONCILING, STALLED, merge
from schemas.names import ANNOTATION_REQUESTED_AT, POD_BINDING, BindingState
from schemas.podbinding import PodBinding, PodBindingStatus

ACTIVE: Final = "Active"
"""Normal-true. The initiator has rights on the target's terminal."""

_SERVICE_SECONDS: Final = 3.0
"""So long the binding service has to say what a binding that it has just made is for."""

_EVENTS: Final = {
    BindingState.PENDING: "BindingRequested",
    BindingState.ACTIVE: "BindingActive",
    BindingState.REJECTED: "BindingRejected",
    BindingState.INACTIVE: "BindingEnded",
    BindingState.EXPIRED: "BindingExpired",
}
_FINAL: Final = frozenset({BindingState.REJECTED, BindingState.EXPIRED})
"""Nothing more happens until a pod asks again or a person acts."""


def report(snapshot: BindingSnapshot, error: ReconcileError | None, now: float) -> Report:
    """Return where the binding stands."""
    del error  # nothing is done that could fail
    binding = snapshot.subject
    found = standing(binding, snapshot.initiator, snapshot.target, now)
    status = _status(binding, found, now)
    recheck = None
    if status.requested_at != binding.status.requested_at:
        recheck = 0.0  # when it expires is known from the next look on
    hold = 0.0
    if found.unrecorded and made_by_tool(binding):
        age = now - (seconds(binding.metadata.creation_timestamp) or 0.0)
        hold = max(0.0, _SERVICE_SECONDS - age)
    return Report(status, hold, recheck_after_seconds=recheck, tells=_tells(binding, found, status))


def _status(binding: PodBinding, found: Standing, now: float) -> PodBindingStatus:
    status = binding.status
    requested_at, requested = status.requested_at, status.requested_scopes
    if found.unrecorded:
        requested_at, requested = stamp(now), ordered(binding.spec.scopes)
    return PodBindingStatus(
        observed_generation=binding.metadata.generation,
        last_handled_request_at=binding.metadata.annotations.get(ANNOTATION_REQUESTED_AT),
        conditions=merge(status.conditions, _conditions(binding, found, now)),
        state=found.state,
        granted_scopes=found.granted,
        pending_scopes=found.pending,
        initiator_uid=found.initiator_uid,
        target_uid=found.target_uid,
        requested_at=requested_at,
        requested_scopes=requested,
        decision=status.decision,
    )


def _conditions(binding: PodBinding, found: Standing, now: float) -> list[Condition]:
    said = Conditions.of(binding, now)
    if found.state is BindingState.ACTIVE:
        said.true(ACTIVE, found.reason, found.message)
        said.true(READY, found.reason, found.message)
        return said.items
    said.false(ACTIVE, found.reason, found.message)
    said.false(READY, found.reason, found.message)
    if found.state in _FINAL:
        said.true(STALLED, found.reason, found.message)
    elif found.state is BindingState.PENDING or found.reason == "PodNotFound":
        said.true(RECONCILING, found.reason, found.message)
    return said.items


def _tells(binding: PodBinding, found: Standing, status: PodBindingStatus) -> tuple[Tell, ...]:
    """Return the Event of a transition; what was declared and waits for its pods has none."""
    before = binding.status
    asked_more = bool(set(status.pending_scopes) - set(before.pending_scopes))
    state = BindingState.PENDING if asked_more else found.state
    if found.state is before.state and not asked_more:
        return ()
    if before.state is None and found.state is BindingState.INACTIVE:
        return ()
    metadata, spec = binding.metadata, binding.spec
    who = f"{spec.initiator} to {spec.target}"
    scopes = ", ".join(found.pending if asked_more else found.granted)
    message = f"{who}: {found.message}" + (f" ({scopes})" if scopes else "")
    where = (POD_BINDING, metadata.namespace, metadata.name, metadata.uid)
    return (Tell(*where, warning=False, reason=_EVENTS[state], message=message),)
