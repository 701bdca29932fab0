"""What each runner is told to have: states, one per pod, computed from the store."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from meshwire.v1 import link_pb2

from controller.kernel.clock import seconds
from controller.placement.resolve import Resolved, resolve
from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod, DesiredState, RestartPolicy
from schemas.agentpod_status import PodPhase
from schemas.conditions import TRUE, find
from schemas.repository import Repository
from schemas.ticket import Ticket

Tickets = Callable[[str], Ticket | None]
"""Returns the ticket of that name in the pod's namespace."""

ENDED = frozenset({PodPhase.SUCCEEDED, PodPhase.FAILED})
"""Phases in which the agent has ended; the pod takes no place on its runner any more."""


STOPPED: Final = "Stopped"
"""Condition of a pod that its runner would start again: True only once the runner has said so."""


def ended(pod: AgentPod) -> bool:
    """Whether the pod's agent has ended, as far as its status says."""
    return pod.status.phase in ENDED


def started(pod: AgentPod) -> bool:
    """Whether its agent was started in this placement, as far as its status says."""
    placement, seen = pod.status.placement, pod.status.observed
    if placement is None or seen is None or seen.epoch != placement.epoch:
        return False
    return seen.started_at is not None or seen.restarts > 0


def waits(pod: AgentPod) -> bool:
    """Whether it was stopped, is wanted again, and has not been given its place yet.

    It gets a place on its own runner, where its worktree is, by a phase that is not an end.
    """
    if not ended(pod) or pod.metadata.deleting:
        return False
    if pod.spec.desired_state is not DesiredState.RUNNING:
        return False
    said = find(pod.status.conditions, STOPPED)
    return said is not None and said.status == TRUE


def wanted(pod: AgentPod, *, evicted: bool, known: bool, resolved: bool) -> link_pb2.DesiredState:
    """Return what the pod's runner is told.

    *evicted*: the runner is being deleted, and no agent of it is at work any more. *known*: the
    runner has spoken of the pod since it connected. *resolved*: class and repository are there. A
    pod that was started before is not told to run until its runner has shown that it knows it: a
    runner that lost its journal would start it a second time.
    """
    if pod.metadata.deleting or evicted:
        return link_pb2.REMOVE
    if pod.spec.desired_state is DesiredState.STOPPED:
        return link_pb2.STOP
    if ended(pod) and (pod.spec.restart_policy is RestartPolicy.NEVER or waits(pod)):
        return link_pb2.STOP
    if pod.spec.suspend:
        return link_pb2.SUSPEND
    if (started(pod) and not known) or not resolved:
        return link_pb2.DESIRED_STATE_UNSPECIFIED  # the runner leaves it as it is
    return link_pb2.RUN


@dataclass(frozen=True, slots=True)
class _Built:
    inputs: tuple[object, ...]
    message: link_pb2.PodDesired


class Desired:
    """Builds the messages and hands out the same one for as long as nothing changes."""

    def __init__(self) -> None:
        self._built: dict[str, _Built] = {}
        self._resolved: dict[tuple[str, int], Resolved] = {}

    def message(
        self,
        pod: AgentPod,
        agent: AgentClass | None,
        repository: Repository | None,
        tickets: Tickets,
        *,
        evicted: bool,
        known: bool,
    ) -> link_pb2.PodDesired:
        """Return what is said of a placed pod.

        What it runs is fixed when it is first told: later changes of the class, or of the ticket
        that *tickets* finds by its name, do not reach it.
        """
        placement = pod.status.placement
        assert placement is not None, "only placed pods are told"  # noqa: S101 - the index's promise
        uid = pod.metadata.uid
        found = self._resolve(pod, placement.epoch, agent, repository, tickets)
        state = wanted(pod, evicted=evicted, known=known, resolved=found is not None)
        deadline = _deadline_ms(pod)
        grace = pod.spec.termination_grace_period_seconds
        stop_after = pod.spec.disconnect.stop_after_seconds or 0
        keep = pod.spec.desired_state is DesiredState.STOPPED
        inputs = (
            placement.epoch,
            pod.metadata.generation,
            state,
            grace,
            deadline,
            stop_after,
            found.digest if found else "",
            keep,
            pod.spec.active_deadline_seconds,
            pod.spec.idle_timeout_seconds,
        )
        built = self._built.get(uid)
        if built is not None and built.inputs == inputs:
            return built.message
        message = link_pb2.PodDesired(
            ref=link_pb2.PodRef(pod_uid=uid, epoch=placement.epoch),
            namespace=pod.metadata.namespace,
            name=pod.metadata.name,
            generation=pod.metadata.generation,
            spec_digest=found.digest if found else "",
            desired=state,
            grace_seconds=grace,
            spec=found.spec if found else None,
            deadline_unix_ms=deadline,
            active_deadline_seconds=pod.spec.active_deadline_seconds or 0,
            idle_timeout_seconds=pod.spec.idle_timeout_seconds or 0,
            keep_stopped=keep,
            stop_after_seconds=stop_after,
        )
        self._built[uid] = _Built(inputs, message)
        return message

    def forget(self, uid: str, epochs: Iterable[int]) -> None:
        """Forget a pod that is no more."""
        self._built.pop(uid, None)
        for epoch in epochs:
            self._resolved.pop((uid, epoch), None)

    def _resolve(
        self,
        pod: AgentPod,
        epoch: int,
        agent: AgentClass | None,
        repository: Repository | None,
        tickets: Tickets,
    ) -> Resolved | None:
        key = (pod.metadata.uid, epoch)
        if key in self._resolved:
            return self._resolved[key]
        if agent is None or (pod.spec.repository_ref is not None and repository is None):
            return None
        use = pod.spec.ticket_ref
        ticket = tickets(use.name) if use is not None else None
        parent = tickets(ticket.spec.parent) if ticket is not None and ticket.spec.parent else None
        self._resolved[key] = resolve(pod, agent, repository, ticket, parent)
        return self._resolved[key]


def _deadline_ms(pod: AgentPod) -> int:
    """Return when the pod is to be stopped, 0 if it has no deadline or has not started.

    For runners that cannot count for themselves; they begin anew with each restart.
    """
    limit, observed = pod.spec.active_deadline_seconds, pod.status.observed
    start = seconds(observed.started_at) if observed and started(pod) else None
    return int((start + limit) * 1000) if limit and start is not None else 0
