"""What a pod refers to, as the controller sees it once it has looked at it. Pure."""

from dataclasses import replace

from controller.kernel.store import Store
from controller.reconcilers.agentpod.observe import ingredients
from controller.reconcilers.agentpod.snapshot import Ingredients
from schemas.agentpod import AgentPod
from schemas.base import Condition, ConditionStatus
from schemas.conditions import READY, find
from schemas.repository import Repository


def referred(store: Store, pod: AgentPod) -> Ingredients:
    """Return what the pod refers to, as the observer of the controller gathers it."""
    found = ingredients(store, pod)
    return replace(found, repository=_judged(found.repository) if found.repository else None)


def _judged(repository: Repository) -> Repository:
    """Return the repository as it is once it was looked at: one that is new is not known to fail.

    Whether its Secret is there is not looked at: who makes plans need not be able to read Secrets.
    """
    if find(repository.status.conditions, READY) is not None:
        return repository
    ready = Condition(
        type=READY, status=ConditionStatus.TRUE, reason="Expected", last_transition_time=""
    )
    return repository.model_copy(
        update={"status": repository.status.model_copy(update={"conditions": (ready,)})}
    )
