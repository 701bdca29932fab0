"""How a ticket follows the pod that has claimed it, one step at a time. Pure.

A state is first decided, in the claim, with the generation of the ticket; then it is written. So
whoever comes after a crash knows whether it was: while the state is the old one and nobody can have
changed it back. A state that a person gave stays, whatever the pod does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from controller.placement.desired import ended, started
from controller.tickets.claims import heir, living, made_for
from controller.tickets.facts import closed
from schemas.agentpod import AgentPod
from schemas.conditions import find
from schemas.ticket import Ticket, TicketClaim, TicketPod, TicketState

COMMITTED: Final = "Committed"
NO_COMMITS: Final = "NoCommits"
NOT_STARTED: Final = "NotStarted"
DELETED: Final = "Deleted"

_OPEN: Final = frozenset({TicketState.BACKLOG, TicketState.TODO})
_BEFORE: Final = {
    TicketState.IN_PROGRESS: _OPEN,
    TicketState.IN_REVIEW: _OPEN | {TicketState.IN_PROGRESS},
    TicketState.TODO: frozenset({TicketState.IN_PROGRESS}),
}
"""From which states a ticket is brought into which."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing is to be done."""


@dataclass(frozen=True, slots=True)
class Take:
    """The ticket becomes the pod's."""

    pod: AgentPod


@dataclass(frozen=True, slots=True)
class Decide:
    """The state is written down as decided, before it is written."""

    state: TicketState


@dataclass(frozen=True, slots=True)
class Remember:
    """The state that the ticket has is written down: whatever differs from it is a person's."""

    state: TicketState


@dataclass(frozen=True, slots=True)
class Write:
    """The ticket is given the state that was decided."""

    state: TicketState
    seen: TicketState
    """The state that it replaces."""
    summary: str
    """Why, in one line."""


@dataclass(frozen=True, slots=True)
class Release:
    """The ticket becomes nobody's."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Drop:
    """The ticket becomes nobody's: it was closed before the pod that took it was at work on it."""

    message: str


Step = Keep | Take | Decide | Remember | Write | Release | Drop


@dataclass(frozen=True, slots=True)
class End:
    """How a pod ended."""

    started: bool
    reason: str
    message: str

    @property
    def committed(self) -> bool:
        """Whether it left commits."""
        return self.reason == COMMITTED


def step(
    ticket: Ticket, pods: Iterable[AgentPod], holder: AgentPod | None, *, follows: bool
) -> Step:
    """Return what is to be done next about who has the ticket, and its state.

    *pods*: those that name it. *holder*: the pod that has it; None: none has, or it is gone.
    """
    claim = ticket.status.claim
    if claim is None:
        pod = heir(pods)
        return Take(pod) if pod is not None else Keep()
    if follows and claim.followed is not None and undone(ticket, claim):
        return Write(claim.followed, ticket.spec.state, _summary(ticket, claim, holder))
    if holder is not None and living(holder):
        if follows and _closed_before(ticket, claim) and not made_for(holder, ticket):
            said, name = ticket.spec.state, holder.metadata.name
            return Drop(f"it was {said} before pod {name} worked on it: it is nobody's again")
        return _begun(ticket, claim, holder) if follows else Keep()
    end = ending(ticket, claim, holder)
    if follows and (state := _after(ticket, claim, end)) is not None:
        return Decide(state)
    return Release(end.reason, end.message)


def undone(ticket: Ticket, claim: TicketClaim) -> bool:
    """Whether the state that was decided has not been written, nor overtaken by a person's.

    One change of the ticket may lie between: that cannot have been ours, the state being as before.
    """
    if claim.followed is None or claim.generation is None:
        return False
    as_before = ticket.spec.state == claim.seen != claim.followed
    return as_before and ticket.metadata.generation <= claim.generation + 1


def ending(ticket: Ticket, claim: TicketClaim, pod: AgentPod | None) -> End:
    """Return how the pod that had the ticket ended; None: it is gone, and was last seen so."""
    if pod is None or not ended(pod):
        return _gone(claim, _last_seen(ticket, claim))
    name, how = pod.metadata.name, _how(pod)
    tree = pod.status.worktree
    if not started(pod):
        return End(started=False, reason=NOT_STARTED, message=f"pod {name} did not start: {how}")
    if tree is not None and tree.commit and tree.base_commit and tree.commit != tree.base_commit:
        text = f"pod {name} ended with commits up to {tree.commit[:12]}: {how}"
        return End(started=True, reason=COMMITTED, message=text)
    left = ", and left changes that are not committed" if tree and tree.dirty else ""
    text = f"pod {name} ended without a commit{left}: {how}"
    return End(started=True, reason=NO_COMMITS, message=text)


def _closed_before(ticket: Ticket, claim: TicketClaim) -> bool:
    """Whether the one change since the pod was to be seen at work on the ticket has closed it."""
    if claim.followed is not TicketState.IN_PROGRESS or claim.generation is None:
        return False
    return closed(ticket) and ticket.metadata.generation == claim.generation + 1


def _begun(ticket: Ticket, claim: TicketClaim, pod: AgentPod) -> Step:
    """Return what follows from the pod's being at work, once."""
    if claim.followed is not None or not started(pod) or ended(pod):
        return Keep()
    state = ticket.spec.state
    return Decide(TicketState.IN_PROGRESS) if state in _OPEN else Remember(state)


def _after(ticket: Ticket, claim: TicketClaim, end: End) -> TicketState | None:
    """Return the state that follows from the pod's end; None: the ticket stays as it is."""
    state = ticket.spec.state
    if claim.followed is None:  # it ended before it was seen at work
        ours = end.started and state in _OPEN | {TicketState.IN_PROGRESS}
    else:
        ours = state is claim.followed is TicketState.IN_PROGRESS
    if not ours:
        return None
    after = TicketState.IN_REVIEW if end.committed else TicketState.TODO
    return after if state in _BEFORE[after] else None


def _gone(claim: TicketClaim, seen: TicketPod | None) -> End:
    name = claim.pod_name
    began = claim.followed is not None or bool(seen and seen.commit)
    if seen and seen.commit and seen.base_commit and seen.commit != seen.base_commit:
        text = f"pod {name} was deleted and left commits up to {seen.commit[:12]}"
        return End(started=began, reason=COMMITTED, message=text)
    return End(started=began, reason=DELETED, message=f"pod {name} was deleted, without a commit")


def _last_seen(ticket: Ticket, claim: TicketClaim) -> TicketPod | None:
    return next((pod for pod in ticket.status.agent_pods if pod.uid == claim.pod_uid), None)


def _how(pod: AgentPod) -> str:
    said = find(pod.status.conditions, "Completed")
    text = said.message if said is not None else ""
    return text or f"it has {str(pod.status.phase or 'ended').lower()}"


def _summary(ticket: Ticket, claim: TicketClaim, pod: AgentPod | None) -> str:
    if claim.followed is TicketState.IN_PROGRESS:
        return f"In progress: pod {claim.pod_name} works on it"
    what = "In review" if claim.followed is TicketState.IN_REVIEW else "Back to todo"
    return f"{what}: {ending(ticket, claim, pod).message}"
