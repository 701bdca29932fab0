"""Gathers what a Runner's plan and status are computed from."""

from dataclasses import dataclass

from controller.kernel.queue import Key
from controller.kernel.store import Store
from controller.placement.fleet import Fleet
from controller.placement.indexes import ACTIVE_ON, BY_RUNNER
from controller.placement.links import About, Reach
from controller.placement.observation import PodState
from schemas.agentpod import AgentPod
from schemas.runner import Runner


@dataclass(frozen=True, slots=True)
class RunnerSnapshot:
    """The runner, its connection and its pods."""

    subject: Runner
    reach: Reach
    recheck_seconds: float | None
    """After which time the reach may be different by itself."""
    about: About | None
    """What it said of itself; None if it has not been here since our start."""
    running: int
    """Pods placed on it that have not ended."""
    left: tuple[str, ...]
    """Names of pods placed on it that it has not reported as removed."""


class RunnerObserver:
    """Reads runners from the store and their connections from the fleet."""

    def __init__(self, store: Store, fleet: Fleet) -> None:
        self._store = store
        self._fleet = fleet

    async def observe(self, key: Key) -> RunnerSnapshot | None:
        """Return the snapshot, None if the runner is gone."""
        item = self._store.of(Runner).get(key.namespace, key.name)
        if item is None:
            return None
        uid = item.metadata.uid
        reach, recheck = self._fleet.links.reach(uid)
        pods = self._store.of(AgentPod)
        placed = pods.indexed(BY_RUNNER, uid) if item.metadata.deleting else ()
        return RunnerSnapshot(
            subject=item,
            reach=reach,
            recheck_seconds=recheck,
            about=self._fleet.links.about(uid),
            running=pods.count(ACTIVE_ON, uid),
            left=tuple(sorted(p.metadata.name for p in placed if not self._removed(p))),
        )

    def _removed(self, pod: AgentPod) -> bool:
        seen = self._fleet.observed(pod.metadata.uid)
        return seen is not None and seen.state is PodState.REMOVED
