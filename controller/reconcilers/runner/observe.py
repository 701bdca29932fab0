"""Gathers what a Runner's plan and status are computed from."""

import time
from collections.abc import Callable

from controller.kernel.key import Key
from controller.kernel.store import Change, Store
from controller.placement.fleet import Fleet
from controller.placement.indexes import ACTIVE_ON, BY_RUNNER
from controller.placement.observation import PodState
from controller.reconcilers.runner.snapshot import ENROLLING_SECONDS, RunnerSnapshot
from schemas.agentpod import AgentPod
from schemas.runner import Runner


class RunnerObserver:
    """Reads runners from the store and their connections from the fleet."""

    def __init__(
        self, store: Store, fleet: Fleet, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._clearing: dict[str, float] = {}
        store.listen(Runner, self._changed)

    async def observe(self, key: Key) -> RunnerSnapshot | None:
        """Return the snapshot, None if the runner is gone."""
        item = self._store.of(Runner).get(key.namespace, key.name)
        if item is None:
            return None
        uid = item.metadata.uid
        reach, recheck = self._fleet.links.reach(uid)
        pods = self._store.of(AgentPod)
        deleting = item.metadata.deleting
        placed = pods.indexed(BY_RUNNER, uid) if deleting else ()
        waiting = pods.indexed(ACTIVE_ON, uid) if deleting else ()
        return RunnerSnapshot(
            subject=item,
            reach=reach,
            recheck_seconds=recheck,
            about=self._fleet.links.about(uid),
            running=pods.count(ACTIVE_ON, uid),
            left=tuple(sorted(p.metadata.name for p in placed if not self._removed(p))),
            waiting=tuple(sorted(p.metadata.name for p in waiting)),
            clearing_seconds=self._clearing_seconds(uid, begun=deleting and not waiting),
            enrolling=self._enrolling(item),
        )

    def _enrolling(self, item: Runner) -> bool:
        seen = self._seen.get(item.metadata.uid)
        new = seen is not None and self._clock() - seen < ENROLLING_SECONDS
        return new and item.status.certificate is None and item.status.observed_generation is None

    def _clearing_seconds(self, uid: str, *, begun: bool) -> float:
        if not begun:
            self._clearing.pop(uid, None)
            return 0.0
        return self._clock() - self._clearing.setdefault(uid, self._clock())

    def _changed(self, change: Change[Runner]) -> None:
        uid = change.subject.metadata.uid
        if change.new is None:
            self._seen.pop(uid, None)
            self._clearing.pop(uid, None)
        else:
            self._seen.setdefault(uid, self._clock())

    def _removed(self, pod: AgentPod) -> bool:
        seen = self._fleet.observed(pod.metadata.uid)
        return seen is not None and seen.state is PodState.REMOVED
