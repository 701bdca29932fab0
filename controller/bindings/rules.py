"""Where a PodBinding stands and what it grants, from the pods and the time. Pure.

Authority belongs to uids. A binding that names no uids holds for whatever pods have its names now;
what was decided or asked for other pods of these names counts for nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from controller.kernel.clock import seconds
from controller.placement.desired import ended
from schemas.agentpod import AgentPod
from schemas.names import (
    ANNOTATION_CREATED_BY_UID,
    ANNOTATION_DEPTH,
    BindingState,
    Scope,
)
from schemas.podbinding import Approval, BindingDecision, DecisionState, PodBinding

REQUEST_SECONDS: Final = 24 * 3600.0
"""An unanswered request expires after this."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a binding stands at one moment."""

    state: BindingState
    granted: tuple[Scope, ...]
    """What the initiator may do now; empty unless active."""
    pending: tuple[Scope, ...]
    """What it asked for and the target has not answered. An active binding may have some, too."""
    initiator_uid: str | None
    """The pod that it is about; None: there is none."""
    target_uid: str | None
    reason: str
    """Why, as one CamelCase word."""
    message: str
    """Why, as a sentence."""
    changes_at: float | None = None
    """When it changes by itself, in seconds since 1970; None: never."""
    unrecorded: bool = False
    """It is pending, and since when is not on record: it counts from now on."""


def alive(pod: AgentPod | None) -> bool:
    """Whether the pod is there, has not ended and is not being deleted."""
    return pod is not None and not pod.metadata.deleting and not ended(pod)


def creator_uid(pod: AgentPod) -> str:
    """Return the uid of the pod that made it; empty: a person did."""
    return pod.metadata.annotations.get(ANNOTATION_CREATED_BY_UID, "")


def depth(pod: AgentPod) -> int:
    """Return how many pods stand between it and a person; at least 1 where a pod made it."""
    told = pod.metadata.annotations.get(ANNOTATION_DEPTH, "")
    known = int(told) if told.isascii() and told.isdecimal() and len(told) <= 3 else 0  # noqa: PLR2004 - beyond any limit
    return max(known, 1 if creator_uid(pod) else 0)


def related(initiator: AgentPod, target: AgentPod) -> bool:
    """Whether the initiator need not ask: it made the target, or the same pod made both.

    Not the other way round: a pod has no rights on the one that made it.
    """
    creator = creator_uid(target)
    return bool(creator) and creator in {initiator.metadata.uid, creator_uid(initiator)}


def ordered(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """Return the scopes, each once, reading before writing."""
    given = set(scopes)
    return tuple(scope for scope in Scope if scope in given)


def made_by_tool(binding: PodBinding) -> bool:
    """Whether a pod asked for it with bind_pod or got it with create_pod."""
    return ANNOTATION_CREATED_BY_UID in binding.metadata.annotations


def concerns(binding: PodBinding, pod: AgentPod) -> bool:
    """Whether *pod* is the initiator or the target: nobody else learns of the binding."""
    return is_initiator(binding, pod) or is_target(binding, pod)


def is_initiator(binding: PodBinding, pod: AgentPod) -> bool:
    """Whether the binding gives rights to *pod*, when it gives any."""
    spec = binding.spec
    return _is(binding, pod, spec.initiator, spec.initiator_uid)


def is_target(binding: PodBinding, pod: AgentPod) -> bool:
    """Whether the binding is about the terminal of *pod*."""
    return _is(binding, pod, binding.spec.target, binding.spec.target_uid)


def standing(
    binding: PodBinding, initiator: AgentPod | None, target: AgentPod | None, now: float
) -> Standing:
    """Return where *binding* stands. *initiator* and *target*: the pods of these names, if any."""
    initiator = initiator if initiator and is_initiator(binding, initiator) else None
    target = target if target and is_target(binding, target) else None
    ends = _Ends(binding, initiator, target)
    until = seconds(binding.spec.expires_at)
    if until is not None and now >= until:
        return ends.stand(BindingState.EXPIRED, "Expired", "spec.expiresAt has passed")
    decision = ends.decision()
    if decision is not None and decision.state is DecisionState.ENDED:
        return ends.stand(BindingState.INACTIVE, "Unbound", f"pod {decision.by} ended it")
    if (why := _missing(binding.spec.initiator, initiator, ends.initiator_uid)) or (
        why := _missing(binding.spec.target, target, ends.target_uid)
    ):
        return ends.stand(BindingState.INACTIVE, *why)
    if binding.metadata.deleting:
        return ends.stand(BindingState.INACTIVE, "Deleted", "it is being deleted")
    if binding.spec.approval is Approval.GRANTED:
        granted = ordered(binding.spec.scopes)
        return ends.stand(
            BindingState.ACTIVE, "Declared", "whoever made it approves", granted, changes_at=until
        )
    return _asked(ends, decision, now, until)


@dataclass(frozen=True, slots=True)
class _Ends:
    """A binding and the pods at its ends, as far as they are the right ones."""

    binding: PodBinding
    initiator: AgentPod | None
    target: AgentPod | None

    @property
    def initiator_uid(self) -> str | None:
        return self.binding.spec.initiator_uid or _uid(self.initiator)

    @property
    def target_uid(self) -> str | None:
        return self.binding.spec.target_uid or _uid(self.target)

    def decision(self) -> BindingDecision | None:
        """Return what was decided for these very pods."""
        found = self.binding.status.decision
        uids = (self.initiator_uid, self.target_uid)
        return found if found and (found.initiator_uid, found.target_uid) == uids else None

    def requested(self) -> tuple[float | None, tuple[Scope, ...]]:
        """Return when these very pods' request was made, None if that is not on record, and what.

        A pod asks for what it asks for; a person, for all that the spec says.
        """
        status, allowed = self.binding.status, ordered(self.binding.spec.scopes)
        asked = ordered(set(status.requested_scopes) & set(allowed))
        recorded = (status.initiator_uid, status.target_uid)
        if recorded != (self.initiator_uid, self.target_uid) or not asked:
            return None, allowed
        if asked != allowed and not made_by_tool(self.binding):
            return None, allowed
        return seconds(status.requested_at), asked

    def stand(  # noqa: PLR0913 - the parts of a standing, by name
        self,
        state: BindingState,
        reason: str,
        message: str,
        granted: tuple[Scope, ...] = (),
        pending: tuple[Scope, ...] = (),
        *,
        changes_at: float | None = None,
    ) -> Standing:
        uids = (self.initiator_uid, self.target_uid)
        unrecorded = bool(pending) and self.requested()[0] is None
        return Standing(state, granted, pending, *uids, reason, message, changes_at, unrecorded)


def _asked(
    ends: _Ends, decision: BindingDecision | None, now: float, until: float | None
) -> Standing:
    """Return where a binding stands that needs its target's word."""
    requested_at, requested = ends.requested()
    accepted = set(decision.scopes) & set(ends.binding.spec.scopes) if decision else set()
    granted = ordered(accepted)
    rejected = decision is not None and decision.state is DecisionState.REJECTED
    pending = () if rejected else ordered(set(requested) - accepted)
    deadline = requested_at + REQUEST_SECONDS if requested_at is not None and pending else None
    expired = deadline is not None and now >= deadline
    if expired:
        pending, deadline = (), None
    changes_at = min((t for t in (deadline, until) if t is not None), default=None)
    words = f": {decision.reason}" if decision and decision.reason else ""
    if granted:
        reason, message = "Accepted", "the target has accepted"
        if pending:
            message += f"; it has not answered yet about {', '.join(pending)}"
        elif rejected:
            reason, message = "PartlyRejected", f"the target has rejected further scopes{words}"
        return ends.stand(
            BindingState.ACTIVE, reason, message, granted, pending, changes_at=changes_at
        )
    if rejected:
        return ends.stand(BindingState.REJECTED, "Rejected", f"the target has rejected it{words}")
    if expired:
        message = "the target has not answered within 24 hours"
        return ends.stand(BindingState.EXPIRED, "NotAnswered", message)
    message = "the target has not answered yet: accept_binding or reject_binding"
    return ends.stand(BindingState.PENDING, "Pending", message, (), pending, changes_at=changes_at)


def _is(binding: PodBinding, pod: AgentPod, name: str, uid: str | None) -> bool:
    metadata = pod.metadata
    same = (metadata.namespace, metadata.name) == (binding.metadata.namespace, name)
    return same and uid in {None, metadata.uid}


def _uid(pod: AgentPod | None) -> str | None:
    return pod.metadata.uid if pod is not None else None


def _missing(name: str, pod: AgentPod | None, uid: str | None) -> tuple[str, str] | None:
    """Return why a binding with this pod at one end is not in force, None if it is."""
    if alive(pod):
        return None
    if pod is None and uid is None:
        return "PodNotFound", f"there is no pod {name}"
    return "PodEnded", f"pod {name} has ended"
