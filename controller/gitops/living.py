"""The resources of a source as the store has them, ready to be compared with its files."""

from collections.abc import Iterable
from typing import Any, Final

from controller.gitops.apply import Applied, Live, agrees
from controller.gitops.desired import Collected, Known
from controller.gitops.values import Identity
from controller.kernel.store import Store
from controller.placement.desired import ended
from controller.placement.indexes import OF_SOURCE
from schemas.agentpod import AgentPod
from schemas.base import Object
from schemas.channel import Channel
from schemas.gitsource import GitSource
from schemas.names import LABEL_SOURCE, Resource
from schemas.podbinding import PodBinding
from schemas.repository import Repository
from schemas.runner import Runner
from schemas.ticket import Ticket

MODELS: Final[tuple[type[Object], ...]] = (
    Repository,
    Runner,
    Channel,
    Ticket,
    AgentPod,
    PodBinding,
)
"""The kinds that a source may hold, in the order in which they are made."""
RESOURCES: Final[dict[str, Resource]] = {
    model.definition.resource.kind: model.definition.resource for model in MODELS
}


class Living:
    """The resources of one source. What was compared once is not compared again."""

    def __init__(self, store: Store, namespace: str, source: str) -> None:
        """*source* is its name."""
        self._store = store
        self.namespace = namespace
        """Of the source and all that it has."""
        self.source = source
        """The name of the source."""
        self._agreed: dict[Identity, tuple[object, str, Applied | None, bool]] = {}
        self._lives: dict[str, Live] = {}
        """By uid, as last seen: of 10,000 resources most are the same in the next pass."""

    def owned(self) -> dict[Identity, Live]:
        """Return what the source has."""
        where = (self.namespace, self.source)
        lives = (
            self._live(kind, item)
            for kind in RESOURCES
            for item in self._store.named(kind).indexed(OF_SOURCE, where)
        )
        return {live.identity: live for live in lives}

    def count(self) -> int:
        """Return how many resources the source has."""
        where = (self.namespace, self.source)
        return sum(self._store.named(kind).count(OF_SOURCE, where) for kind in RESOURCES)

    def all(
        self, collected: Collected, only: Iterable[Identity] | None = None
    ) -> dict[Identity, Live]:
        """Return what the source has, and whatever else its files are about; *only* some of it."""
        if only is not None:
            return self._some(only, collected)
        found = self.owned()
        for identity in collected.resources:
            if identity not in found and (live := self.one(identity)) is not None:
                found[identity] = live
        for identity in self._agreed.keys() - collected.resources.keys():
            del self._agreed[identity]
        if len(self._lives) > len(found):
            self._lives = {live.uid: live for live in found.values()}
        return found

    def _some(self, only: Iterable[Identity], collected: Collected) -> dict[Identity, Live]:
        for identity in only:
            if identity not in collected.resources:
                self._agreed.pop(identity, None)
        return {each: live for each in only if (live := self.one(each)) is not None}

    def one(self, identity: Identity) -> Live | None:
        """Return the resource, None if there is none."""
        item = self._store.named(identity.kind).get(self.namespace, identity.name)
        return None if item is None else self._live(identity.kind, item)

    def ended(self) -> list[Identity]:
        """Return the AgentPods of the source that have come to their end."""
        pods = self._store.of(AgentPod).indexed(OF_SOURCE, (self.namespace, self.source))
        kind = AgentPod.definition.resource.kind
        return [Identity(kind, pod.metadata.name) for pod in pods if ended(pod)]

    def same(self, known: Known, live: Live, before: Applied | None) -> bool:
        """Whether the resource says what its file says."""
        item: Any = live.item  # every kind of ours has a spec
        metadata = live.item.metadata
        now = (item.spec, dict(metadata.labels), dict(metadata.annotations))
        last = self._agreed.get(known.identity)
        if last is not None and last[:3] == (now, known.digest, before):
            return last[3]
        found = agrees(known, live, before)
        self._agreed[known.identity] = (now, known.digest, before, found)
        return found

    def _live(self, kind: str, item: Object) -> Live:
        name = item.metadata.labels.get(LABEL_SOURCE, "")
        there = name == self.source or (
            name != "" and self._store.of(GitSource).get(self.namespace, name) is not None
        )
        owner, busy = name if there else "", self._busy(item)
        last = self._lives.get(item.metadata.uid)
        if last is not None and last.item is item and (last.owner, last.busy) == (owner, busy):
            return last
        made = Live(Identity(kind, item.metadata.name), item, owner, busy)
        self._lives[made.uid] = made
        return made

    def _busy(self, item: Object) -> bool:
        if not isinstance(item, Ticket) or item.status.claim is None:
            return False
        pod = self._store.of(AgentPod).by_uid(item.status.claim.pod_uid)
        return pod is not None and not ended(pod)
