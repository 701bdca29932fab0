"""Which pods there is room for, whoever comes first: the controller's own placement. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from cli.plan.afterwards import is_connected
from cli.plan.cluster import Cluster
from cli.plan.values import Crowd, Fate
from controller.kernel.reconciler import Finding
from controller.kernel.store import Store
from controller.placement.assign import (
    Allowance,
    Assignment,
    Candidate,
    Need,
    Verdict,
    assign,
    choose,
)
from controller.placement.indexes import ACTIVE_IN, ACTIVE_ON, BY_NAMESPACE
from schemas.agentpod import AgentPod
from schemas.names import RUNNER
from schemas.organization import Organization
from schemas.runner import Runner


@dataclass(frozen=True, slots=True)
class Place:
    """How a pod does that wants a place on a runner."""

    fate: Fate
    """STARTS, CONTESTED or WAITS."""
    finding: Finding | None = None
    """Why it waits."""
    runners: tuple[str, ...] = ()
    """Runners that would take it."""


class Room:
    """The runners, how many pods may run, and what they have to do with each shape of pod."""

    def __init__(self, cluster: Cluster, store: Store, asking: Iterable[Need]) -> None:
        """Gather what there is, as ``controller.placement.surroundings`` does it."""
        homes = store.of(Organization).indexed(BY_NAMESPACE, cluster.namespace)
        quotas = [home.spec.quota for home in homes if home.spec.quota is not None]
        limits = [q.running_agent_pods for q in quotas if q.running_agent_pods is not None]
        running = store.of(AgentPod).count(ACTIVE_IN, cluster.namespace)
        runners = store.of(Runner).indexed(BY_NAMESPACE, cluster.namespace)
        self.allowance = Allowance(running, min(limits, default=None))
        self.candidates = [_candidate(cluster, store, item) for item in runners]
        self._asking = tuple(asking)
        self._rivals = Counter(shape_of(each) for each in self._asking)
        self._verdicts = {
            shape: choose(shape, self.candidates, self.allowance) for shape in self._rivals
        }
        self._takes = {
            (shape, item.uid): isinstance(choose(shape, (item,), self.allowance), Assignment)
            for shape in self._rivals
            for item in self.candidates
        }

    def place(self, asked: Need) -> Place:
        """Return how the pod does among all that want a place."""
        shape = shape_of(asked)
        alone = self._verdicts[shape]
        if isinstance(alone, Finding):
            return Place(Fate.WAITS, alone)
        fitting = [item for item in self.candidates if self._takes[shape, item.uid]]
        names = tuple(sorted(item.name for item in fitting))
        certain = self._is_allowed() and any(self._has_room(item, shape) for item in fitting)
        return Place(Fate.STARTS if certain else Fate.CONTESTED, None, names)

    def crowd(self, contested: Iterable[Need]) -> Crowd | None:
        """Return for how many of the pods that are contested there is room."""
        pods = {asked.uid for asked in contested}
        if not pods:
            return None
        starting = {shape for shape, said in self._verdicts.items() if not _is_waiting(said)}
        if len(starting) > 1:
            return Crowd(len(pods), None)  # who goes where decides for how many there is room
        verdicts = assign(self._asking, self.candidates, self.allowance)
        places = sum(isinstance(verdicts[uid], Assignment) for uid in pods)
        return Crowd(len(pods), places)

    def _is_allowed(self) -> bool:
        """Whether as many may run as want to."""
        verdicts = self._verdicts.items()
        coming = sum(self._rivals[shape] for shape, said in verdicts if not _is_waiting(said))
        limit = self.allowance.limit
        return limit is None or self.allowance.running + coming <= limit

    def _has_room(self, candidate: Candidate, shape: Need) -> bool:
        """Whether there is still a place when all others that fit have taken theirs."""
        if candidate.max_pods is None:
            return True
        others = self._rivals - Counter((shape,))
        coming = sum(count for other, count in others.items() if self._takes[other, candidate.uid])
        return candidate.used + coming < candidate.max_pods


def _is_waiting(verdict: Verdict) -> bool:
    return isinstance(verdict, Finding)


def shape_of(asked: Need) -> Need:
    """Return what tells the pods apart for runners: of a thousand pods mostly one."""
    return replace(asked, uid="", created="", name="")


def _candidate(cluster: Cluster, store: Store, item: Runner) -> Candidate:
    manifest = cluster.manifests[RUNNER.kind, item.metadata.name]
    return Candidate(
        name=item.metadata.name,
        uid=item.metadata.uid,
        labels=item.metadata.labels,
        connected=is_connected(manifest),
        cordoned=item.spec.cordoned,
        banned=item.spec.suspend or item.metadata.deleting,
        max_pods=_max_pods(item),
        used=store.of(AgentPod).count(ACTIVE_ON, item.metadata.uid),
        isolations=item.status.isolations,
    )


def _max_pods(item: Runner) -> int | None:
    """Return how many pods it takes: its status says the smaller limit, as of the spec before."""
    limits = [item.status.max_pods, item.spec.capacity.max_pods if item.spec.capacity else None]
    return min((limit for limit in limits if limit is not None), default=None)
