"""What becomes of pods: the controller's own checks and placement, before and afterwards. Pure.

Who comes first is served first, and the controller may see new pods in any order. So a pod only
*starts* here if it does in every order; where there is room for some of several it is *contested*.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cli.plan.cluster import Cluster
from cli.plan.owners import Owners
from cli.plan.referred import referred
from cli.plan.room import Room
from cli.plan.runs import Started
from cli.plan.values import Crowd, Fate, PodFate
from controller.kernel.reconciler import Finding
from controller.kernel.store import Store
from controller.placement.assign import Need
from controller.placement.desired import ended, waits
from controller.placement.indexes import BY_NAMESPACE
from controller.placement.programs import wanted
from controller.reconcilers.agentpod.checks import AGAIN, CHECKS, first
from controller.reconcilers.agentpod.observe import need
from schemas.agentpod import AgentPod, DesiredState
from schemas.names import ANNOTATION_RECONCILE, ANNOTATION_SOURCE_PATH, LABEL_SOURCE, REPOSITORY

_RUNS: Final = "runs"
_STOPPED: Final = "stopped"
_SUSPENDED: Final = "suspended"
_ENDED: Final = "ended"
_LEFT_ALONE: Final = Finding("LeftAlone", f"its annotation {ANNOTATION_RECONCILE} is disabled")
CONTESTED: Final = "TicketContested"
"""Reason of pods that insist on a ticket on which others insist."""
WITHDRAWN: Final = "Withdrawn"
"""Reason of pods that are there or not as a pod is withdrawn before or after it was placed."""


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


def fates(before: Cluster, runs: Started, source: str) -> Fates:
    """Return what changes for pods, by name. *runs*: what is there once tickets start theirs."""
    after = runs.cluster
    old, new = _standings(before), _standings(after)
    new |= dict(_withdrawn(new, runs))
    pods_before = {pod.metadata.name: pod for pod in _pods(before)}
    pods_after = {pod.metadata.name: pod for pod in _pods(after)}
    found = []
    for name in sorted(old.keys() | new.keys()):
        pod = pods_after.get(name) or pods_before[name]
        fate = _fate(pod, old.get(name), new.get(name))
        if fate is not None:
            found.append(replace(fate, path=_path(pod, source), ticket=runs.tickets.get(name, "")))
    needs = [each.need for each in new.values() if each.need is not None]
    contested = [each.need for each in new.values() if each.state == Fate.CONTESTED and each.need]
    crowd = Room(after, after.store(), needs).crowd(contested)
    rivals = any(each.finding and each.finding.reason == CONTESTED for each in new.values())
    if crowd is not None and (runs.withdrawn or rivals):
        crowd = Crowd(crowd.pods, None)  # they take of the same places, and who wins is not known
    return Fates(tuple(found), crowd)


def asking(cluster: Cluster) -> frozenset[str]:
    """Return the pods that want a place and can have one."""
    wants = {Fate.STARTS, Fate.CONTESTED}
    return frozenset(name for name, each in _standings(cluster).items() if each.state in wants)


def _withdrawn(new: Mapping[str, Standing], runs: Started) -> Iterator[tuple[str, Standing]]:
    """Give pods of which nobody can say whether they go, or are made, before others are placed."""
    gone = ", ".join(sorted(runs.withdrawn))
    for name in runs.withdrawn:
        text = "its ticket wants it no more: it goes, unless it is placed first"
        yield name, Standing(Fate.CONTESTED, Finding(WITHDRAWN, text), new[name].runners)
    for name in runs.tickets if runs.withdrawn else ():
        text = (
            f"it is made if {gone}, which its ticket or another wants no more, is not placed first"
        )
        yield name, Standing(Fate.CONTESTED, Finding(WITHDRAWN, text), new[name].runners)


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
        case Fate.STARTS | Fate.CONTESTED if old and old.state == new.state and not reason:
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
    owners = Owners(cluster, store)
    found = {pod.metadata.name: _standing(store, owners, pod) for pod in pods}
    asking = {name: each.need for name, each in found.items() if each.need is not None}
    room = Room(cluster, store, asking.values())
    for name, asked in asking.items():
        place = room.place(asked)
        found[name] = Standing(place.fate, place.finding, place.runners, asked)
    return found | {name: _rival(found[name], use) for name, use in owners.rivals.items()}


def _rival(standing: Standing, ticket: str) -> Standing:
    """Return how a pod stands that insists on a ticket on which others insist, too."""
    if standing.state not in {Fate.STARTS, Fate.CONTESTED}:
        return standing
    text = f"several pods insist on Ticket {ticket}: who comes first has it, the others wait"
    return Standing(Fate.CONTESTED, Finding(CONTESTED, text), standing.runners)


def _standing(store: Store, owners: Owners, pod: AgentPod) -> Standing:
    spec, placement = pod.spec, pod.status.placement
    if (placement is None or waits(pod)) and _left_alone(pod):
        return Standing(Fate.WAITS, _LEFT_ALONE)
    world = replace(referred(store, pod), ticket=owners.ticket(pod))
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


def _left_alone(pod: AgentPod) -> bool:
    return pod.metadata.annotations.get(ANNOTATION_RECONCILE) == "disabled"


def unjudged(cluster: Cluster) -> list[str]:
    """Return the names of Repositories that nobody has looked at yet."""
    return sorted(
        name
        for (kind, name), item in cluster.manifests.items()
        if kind == REPOSITORY.kind and not (item.get("status") or {}).get("conditions")
    )
