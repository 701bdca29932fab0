"""What becomes of pods: the controller's own checks and placement, before and afterwards. Pure.

Who comes first is served first, and the controller may see new pods in any order. So a pod only
*starts* here if it does in every order; where there is room for some of several it is *contested*.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cli.plan.afterwards import is_connected
from cli.plan.cluster import Cluster
from cli.plan.values import Crowd, Fate, PodFate
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
from controller.placement.desired import ended, waits
from controller.placement.indexes import ACTIVE_IN, ACTIVE_ON, BY_NAMESPACE, OF_TICKET
from controller.placement.programs import wanted
from controller.reconcilers.agentpod.checks import AGAIN, CHECKS, first
from controller.reconcilers.agentpod.observe import need
from controller.reconcilers.agentpod.snapshot import Ingredients
from controller.tickets.claims import asks, heir, living
from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod, Claim, DesiredState
from schemas.base import Condition, ConditionStatus
from schemas.conditions import READY, find
from schemas.names import ANNOTATION_SOURCE_PATH, LABEL_SOURCE, REPOSITORY, RUNNER
from schemas.organization import Organization
from schemas.repository import Repository
from schemas.runner import Runner
from schemas.ticket import Ticket, TicketClaim

_RUNS: Final = "runs"
_STOPPED: Final = "stopped"
_SUSPENDED: Final = "suspended"
_ENDED: Final = "ended"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one pod stands."""

    state: str
    """Of a placed one: runs, stopped, suspended, ended; of another a ``Fate``."""
    finding: Finding | None = None
    runners: tuple[str, ...] = ()
    need: Need | None = None


@dataclass(frozen=True, slots=True)
class Fates:
    """What becomes of all pods."""

    pods: tuple[PodFate, ...]
    crowd: Crowd | None


def fates(before: Cluster, after: Cluster, source: str, runs: Mapping[str, str]) -> Fates:
    """Return what changes for pods, by name. *runs*: pods that tickets start, and which."""
    old, new = _standings(before), _standings(after)
    pods_before = {pod.metadata.name: pod for pod in _pods(before)}
    pods_after = {pod.metadata.name: pod for pod in _pods(after)}
    found = []
    for name in sorted(old.keys() | new.keys()):
        pod = pods_after.get(name) or pods_before[name]
        fate = _fate(pod, old.get(name), new.get(name))
        if fate is not None:
            found.append(replace(fate, path=_path(pod, source), ticket=runs.get(name, "")))
    contested = [each.need for each in new.values() if each.state == Fate.CONTESTED and each.need]
    return Fates(tuple(found), _crowd(after, new, contested))


def asking(cluster: Cluster) -> int:
    """Return how many pods want a place and can have one."""
    wants = {Fate.STARTS, Fate.CONTESTED}
    return sum(each.state in wants for each in _standings(cluster).values())


def _path(pod: AgentPod, source: str) -> str:
    if pod.metadata.labels.get(LABEL_SOURCE) != source:
        return ""
    return pod.metadata.annotations.get(ANNOTATION_SOURCE_PATH, "")


def _fate(pod: AgentPod, old: Standing | None, new: Standing | None) -> PodFate | None:
    """Return what happens to the pod, None if nothing does."""
    name = pod.metadata.name
    if new is None or (pod.metadata.deleting and old is not None and old.state == _RUNS):
        works = old is not None and old.state in {_RUNS, _SUSPENDED}
        return PodFate(name, "", Fate.STOPS if works else Fate.REMOVED)
    if old is not None and (old.state, old.finding, old.runners) == (
        new.state,
        new.finding,
        new.runners,
    ):
        return None
    reason, message = (new.finding.reason, new.finding.message) if new.finding else ("", "")

    def becomes(fate: Fate) -> PodFate:
        return PodFate(name, "", fate, reason, message, new.runners)

    match new.state:
        case Fate.STARTS | Fate.CONTESTED if old is not None and old.state == new.state:
            return becomes(Fate.MOVES)
        case Fate.STARTS | Fate.CONTESTED | Fate.WAITS | Fate.REFUSED:
            return becomes(Fate(new.state))
        case "stopped" if old is not None and old.state in {_RUNS, _SUSPENDED}:
            return becomes(Fate.STOPS)
        case "suspended" if old is not None and old.state == _RUNS:
            return becomes(Fate.SUSPENDS)
        case "runs" if old is not None and old.state == _SUSPENDED:
            return becomes(Fate.RESUMES)
        case _:
            return None


def _pods(cluster: Cluster) -> list[AgentPod]:
    return cluster.store().of(AgentPod).indexed(BY_NAMESPACE, cluster.namespace)


def _standings(cluster: Cluster) -> dict[str, Standing]:
    """Return how each pod stands that is not on its way out."""
    store = cluster.store()
    everything = store.of(AgentPod).indexed(BY_NAMESPACE, cluster.namespace)
    pods = [pod for pod in everything if not pod.metadata.deleting]
    owners = _Owners(cluster, store)
    found = {pod.metadata.name: _standing(cluster, store, owners, pod) for pod in pods}
    asking = {name: each.need for name, each in found.items() if each.need is not None}
    room = _Room(cluster, store, asking.values())
    found |= {name: room.standing(asked) for name, asked in asking.items()}
    return found | {name: _rival(found[name], use) for name, use in owners.rivals.items()}


def _rival(standing: Standing, ticket: str) -> Standing:
    """Return how a pod stands that insists on a ticket on which others insist, too."""
    if standing.state not in {Fate.STARTS, Fate.CONTESTED}:
        return standing
    text = f"several pods insist on Ticket {ticket}: who comes first has it, the others wait"
    return Standing(Fate.CONTESTED, Finding("TicketContested", text), standing.runners)


class _Owners:
    """Whose the tickets are once the controller has given those that nobody has."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self._tickets = store.of(Ticket)
        self._namespace = cluster.namespace
        self._pods = store.of(AgentPod)
        self.rivals: dict[str, str] = {}
        """Pods that insist on a ticket that is any of theirs, and that ticket."""

    def ticket(self, pod: AgentPod) -> Ticket | None:
        """Return the pod's ticket, as whose it will be; None: there is none."""
        use = pod.spec.ticket_ref
        ticket = self._tickets.get(self._namespace, use.name) if use is not None else None
        if ticket is None or use is None:
            return None
        claim = ticket.status.claim
        if claim is not None and living(self._pods.by_uid(claim.pod_uid)):
            return ticket
        asking = self._pods.indexed(OF_TICKET, (self._namespace, use.name))
        asking = [each for each in asking if asks(each) and not each.metadata.deleting]
        owner = heir(asking)
        if owner is not None and owner.status.placement is None and asks(pod):
            if len(asking) > 1 and use.claim is Claim.REQUIRED:
                self.rivals[pod.metadata.name] = use.name
            owner = pod
        return _claimed(ticket, owner)


def _claimed(ticket: Ticket, owner: AgentPod | None) -> Ticket:
    if owner is None:
        return ticket
    meta = owner.metadata
    claim = TicketClaim(pod_name=meta.name, pod_uid=meta.uid, claimed_at=meta.creation_timestamp)
    return ticket.model_copy(update={"status": ticket.status.model_copy(update={"claim": claim})})


def _standing(cluster: Cluster, store: Store, owners: _Owners, pod: AgentPod) -> Standing:
    spec, placement = pod.spec, pod.status.placement
    world = _ingredients(cluster, store, owners, pod)
    agent = wanted(world.agent) if world.agent else ""
    if placement is None:
        finding = first(pod, world, CHECKS)
        if finding is not None:
            return Standing(Fate.REFUSED if finding.stalled else Fate.WAITS, finding)
        return Standing(Fate.WAITS, need=need(pod, agent))
    if ended(pod):
        if not waits(pod):
            return Standing(_STOPPED if spec.desired_state is DesiredState.STOPPED else _ENDED)
        finding = first(pod, world, AGAIN)
        if finding is not None:
            return Standing(Fate.REFUSED if finding.stalled else Fate.WAITS, finding)
        asked = replace(need(pod, agent), runner_name=placement.runner_name, selector=())
        return Standing(Fate.WAITS, need=asked)
    if spec.desired_state is DesiredState.STOPPED:
        return Standing(_STOPPED)
    return Standing(_SUSPENDED if spec.suspend else _RUNS)


def _ingredients(cluster: Cluster, store: Store, owners: _Owners, pod: AgentPod) -> Ingredients:
    """Return what the pod refers to, as the observer of the controller gathers it."""
    homes = store.of(Organization).indexed(BY_NAMESPACE, cluster.namespace)
    classes = store.of(AgentClass)
    agent = classes.get("", pod.spec.agent_class_name)
    use = pod.spec.repository_ref
    repository = store.of(Repository).get(cluster.namespace, use.name) if use else None
    return Ingredients(
        organization=min(homes, key=lambda item: item.metadata.creation_timestamp, default=None),
        agent=agent,
        available=() if agent else tuple(sorted(item.metadata.name for item in classes)),
        repository=_judged(repository) if repository is not None else None,
        ticket=owners.ticket(pod),
    )


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


def unjudged(cluster: Cluster) -> list[str]:
    """Return the names of Repositories that nobody has looked at yet."""
    return sorted(
        name
        for (kind, name), item in cluster.manifests.items()
        if kind == REPOSITORY.kind and not (item.get("status") or {}).get("conditions")
    )


class _Room:
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
        self._rivals = Counter(_shape(each) for each in asking)
        self._verdicts = {
            shape: choose(shape, self.candidates, self.allowance) for shape in self._rivals
        }
        self._takes = {
            (shape, item.uid): isinstance(choose(shape, (item,), self.allowance), Assignment)
            for shape in self._rivals
            for item in self.candidates
        }

    def standing(self, asked: Need) -> Standing:
        """Return how the pod stands among all that want a place."""
        shape = _shape(asked)
        alone = self._verdicts[shape]
        if isinstance(alone, Finding):
            return Standing(Fate.WAITS, alone, need=asked)
        fitting = [item for item in self.candidates if self._takes[shape, item.uid]]
        names = tuple(sorted(item.name for item in fitting))
        certain = self._is_allowed() and any(self._has_room(item, shape) for item in fitting)
        return Standing(Fate.STARTS if certain else Fate.CONTESTED, None, names, asked)

    def _is_allowed(self) -> bool:
        """Whether as many may run as want to."""
        verdicts = self._verdicts.items()
        coming = sum(self._rivals[shape] for shape, said in verdicts if not _waits(said))
        limit = self.allowance.limit
        return limit is None or self.allowance.running + coming <= limit

    def _has_room(self, candidate: Candidate, shape: Need) -> bool:
        """Whether there is still a place when all others that fit have taken theirs."""
        if candidate.max_pods is None:
            return True
        others = self._rivals - Counter((shape,))
        coming = sum(count for other, count in others.items() if self._takes[other, candidate.uid])
        return candidate.used + coming < candidate.max_pods


def _waits(verdict: Verdict) -> bool:
    return isinstance(verdict, Finding)


def _shape(asked: Need) -> Need:
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


def _crowd(
    after: Cluster, standings: Mapping[str, Standing], contested: Iterable[Need]
) -> Crowd | None:
    """Return for how many of the pods that are contested there is room."""
    crowd = {asked.uid for asked in contested}
    if not crowd:
        return None
    needs = [each.need for each in standings.values() if each.need is not None]
    room = _Room(after, after.store(), needs)
    if len({_shape(asked) for asked in needs if room.standing(asked).runners}) > 1:
        return Crowd(len(crowd), None)  # who goes where decides for how many there is room
    verdicts = assign(needs, room.candidates, room.allowance)
    return Crowd(len(crowd), sum(isinstance(verdicts[uid], Assignment) for uid in crowd))
