"""Pods that tickets start by themselves once the sync has done its work. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cli.plan.cluster import Cluster
from cli.plan.referred import referred
from cli.plan.released import released
from controller.kernel.store import Store
from controller.placement.indexes import ACTIVE_IN, BY_NAMESPACE, OF_SOURCE, OF_TICKET, RUNS_IN
from controller.tickets import runs
from controller.tickets.claims import asks
from controller.tickets.facts import blockers
from controller.tickets.fitness import Fitness
from schemas.agentpod import AgentPod
from schemas.gitsource import GitSource
from schemas.names import AGENT_POD, ANNOTATION_RECONCILE, LABEL_SOURCE, TICKET
from schemas.organization import Organization
from schemas.ticket import Ticket

_LATER = "9999-12-31T23:59:59Z"


@dataclass(frozen=True, slots=True)
class Started:
    """What is there with the pods that tickets start, and for which ticket each is."""

    cluster: Cluster
    tickets: Mapping[str, str] = field(default_factory=dict)
    """By the pod's name."""
    waits: Mapping[str, str] = field(default_factory=dict)
    """Tickets that would start a pod if there were room: why there is none."""
    withdrawn: frozenset[str] = frozenset()
    """Pods that go unless they are placed first: they are still there."""
    notes: tuple[str, ...] = ()
    """What follows for tickets whose pods go, one sentence each."""


def started(cluster: Cluster, asking: frozenset[str], now: float) -> Started:
    """Return what is there once tickets have started the pods that they may.

    *asking*: pods that will run and are not placed yet, by name.
    """
    whole = cluster
    store = _with_sources(cluster).store()
    home = _home(store, cluster.namespace)
    if home is None or home.spec.suspend or home.metadata.deleting:
        return Started(cluster)
    let_go = released(*_without_pointless(cluster, store), home)
    cluster, store = let_go.cluster, _with_sources(let_go.cluster).store()
    ready = [wish for wish in _wishes(store, cluster.namespace) if _is_free(store, wish, now)]
    pods = store.of(AgentPod)
    there = runs.there(
        pods.indexed(RUNS_IN, cluster.namespace),
        pods.count(BY_NAMESPACE, cluster.namespace),
        pods.count(ACTIVE_IN, cluster.namespace) + len(asking),
    )
    quota = home.spec.quota
    limits = runs.Limits(
        home.spec.tickets.max_concurrent_runs,
        quota.agent_pods if quota else None,
        quota.running_agent_pods if quota else None,
        home.spec.pod_depth,
    )
    unfit = Fitness(lambda pod: referred(store, pod))
    starts, waits = runs.chosen(ready, limits, there, unfit)
    by_uid = {wish.ticket.metadata.uid: wish.ticket.metadata.name for wish in ready}
    manifests = dict(cluster.manifests)
    tickets: dict[str, str] = {}
    for wish in starts:
        made = _made(wish)
        name = made["metadata"]["name"]
        if (AGENT_POD.kind, name) not in manifests:
            manifests[AGENT_POD.kind, name] = made
            tickets[name] = wish.ticket.metadata.name
    withdrawn = {
        key: item
        for key, item in whole.manifests.items()
        if key not in manifests and key[1] in asking
    }
    after = Cluster(cluster.namespace, manifests | withdrawn, cluster.unread)
    names = frozenset(name for _, name in withdrawn)
    why_not = {by_uid[uid]: why.message for uid, why in waits.items()}
    return Started(after, tickets, why_not, names, let_go.notes)


def _with_sources(cluster: Cluster) -> Cluster:
    """Return the cluster with what the reconciler of new Tickets would say: where they are from."""
    manifests = dict(cluster.manifests)
    for (kind, name), item in cluster.manifests.items():
        source = (item["metadata"].get("labels") or {}).get(LABEL_SOURCE)
        if kind == TICKET.kind and source and not (item.get("status") or {}).get("source"):
            origin = {"name": source, "path": "-", "blob": "", "commit": ""}
            manifests[kind, name] = {
                **item,
                "status": {**(item.get("status") or {}), "source": origin},
            }
    return Cluster(cluster.namespace, manifests, cluster.unread)


def _without_pointless(cluster: Cluster, store: Store) -> tuple[Cluster, Store]:
    """Return the cluster without pods that have not begun and that their tickets want no more."""
    manifests = dict(cluster.manifests)
    for pod in store.of(AgentPod).indexed(RUNS_IN, cluster.namespace):
        use = pod.spec.ticket_ref
        if use is None or pod.metadata.deleting or pod.status.placement is not None:
            continue
        ticket = store.of(Ticket).get(cluster.namespace, use.name)
        if ticket is None or runs.pointless(pod, ticket):
            del manifests[AGENT_POD.kind, pod.metadata.name]
    left = Cluster(cluster.namespace, manifests, cluster.unread)
    return left, _with_sources(left).store()


def _home(store: Store, namespace: str) -> Organization | None:
    homes = store.of(Organization).indexed(BY_NAMESPACE, namespace)
    return min(homes, key=lambda item: item.metadata.creation_timestamp, default=None)


def _wishes(store: Store, namespace: str) -> Iterator[runs.Wish]:
    """Give the tickets of which a rule says that they get a pod."""
    sources = store.of(GitSource)
    tickets = {item.metadata.uid: item for item in store.of(Ticket) if item.spec.auto_run}
    for source in sources.indexed(BY_NAMESPACE, namespace):
        found = store.of(Ticket).indexed(OF_SOURCE, (namespace, source.metadata.name))
        tickets |= {item.metadata.uid: item for item in found}
    for ticket in tickets.values():
        origin = runs.origin_of(ticket)
        rule = runs.rule_of(ticket, sources.get(namespace, origin) if origin else None)
        left_alone = ticket.metadata.annotations.get(ANNOTATION_RECONCILE) == "disabled"
        if rule is not None and not left_alone and not ticket.metadata.deleting:
            yield runs.Wish(ticket, rule)


def _is_free(store: Store, wish: runs.Wish, now: float) -> bool:
    meta = wish.ticket.metadata
    needed = blockers(wish.ticket, lambda name: store.of(Ticket).get(meta.namespace, name))
    pods = store.of(AgentPod).indexed(OF_TICKET, (meta.namespace, meta.name))
    if any(asks(pod) for pod in pods):
        return False  # it claims the ticket first
    return runs.obstacle(wish, needed, pods, now) is None


def _made(wish: runs.Wish) -> dict[str, Any]:
    before = wish.ticket.status.runs
    made = runs.manifest(wish, (before.total if before else 0) + 1)
    made["metadata"] |= {
        "uid": f"run-{wish.ticket.metadata.name}",
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": _LATER,
    }
    return made
