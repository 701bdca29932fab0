"""Garbage: objects go when all that own them are gone; foreground and orphaning on request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from apiserver.controllers.worklist import Tickets, Worklist
from apiserver.kinds.resource import Resource
from apiserver.rest.deleting import FOREGROUND, ORPHAN, Options, Policy, remove
from apiserver.rest.writing import Desk, is_finished
from apiserver.store.records import Change, ChangeType, Entry, Key, Object
from apiserver.store.store import Ticket

_HOLDING: Final = frozenset({FOREGROUND, ORPHAN})


class Garbage:
    """Knows who is owned by whom, and looks at objects whose owners changed."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._owned: dict[str, set[Key]] = defaultdict(set)
        self._work = Worklist("the garbage collection", self._look)
        desk.store.listen(self._on_change)
        desk.registry.on_change(self._on_definition)

    def load(self) -> None:
        """Look at everything that is there."""
        for storage in self._desk.store.resources():
            for entry in self._desk.store.entries(storage):
                self._index(entry)
                if entry.owners or entry.deleting:
                    self._work.add(entry.key)

    async def run(self) -> None:
        """Work until cancelled."""
        await self._work.run()

    def _on_definition(self, _crd: str) -> None:
        # Owners of a kind that was unknown can be judged now.
        for keys in self._owned.values():
            for key in keys:
                self._work.add(key)

    def _index(self, entry: Entry) -> None:
        for uid in entry.owners:
            self._owned[uid].add(entry.key)

    def _forget(self, entry: Entry) -> None:
        for uid in entry.owners:
            keys = self._owned[uid]
            keys.discard(entry.key)
            if not keys:
                del self._owned[uid]

    def _on_change(self, change: Change) -> None:
        entry, previous = change.entry, change.previous
        gone = change.type is ChangeType.DELETED
        before = previous.owners if previous else ()
        if gone or before != entry.owners:
            if previous is not None:
                self._forget(previous)
            if not gone:
                self._index(entry)
                self._work.add(entry.key)
        if gone:
            for key in self._owned.get(entry.uid, ()):
                self._work.add(key)
            self._look_at_owners(entry)
        elif entry.deleting:
            self._work.add(entry.key)
        if before != entry.owners and previous is not None:
            self._look_at_owners(previous)

    def _look_at_owners(self, entry: Entry) -> None:
        # An owner may wait for this one to go.
        if not entry.owners:
            return
        for ref in entry.load()["metadata"].get("ownerReferences") or ():
            resource = self._desk.registry.of_kind(ref.get("apiVersion", ""), ref.get("kind", ""))
            if resource is not None:
                self._work.add(resource.key(entry.key.namespace, ref.get("name", "")))

    def _look(self, key: Key) -> Tickets:
        return list(self._steps(key))

    def _steps(self, key: Key) -> Iterator[Ticket | None]:
        entry = self._desk.store.latest(key)
        resource = self._desk.registry.stored_as(key.resource)
        if entry is None or resource is None:
            return
        obj = entry.load()
        if entry.deleting:
            finalizers = obj["metadata"].get("finalizers") or ()
            if ORPHAN in finalizers:
                yield from self._orphan(entry, resource)
            elif FOREGROUND in finalizers:
                yield from self._foreground(entry, resource)
        elif entry.owners:
            yield from self._judge(entry, resource, obj)

    def _judge(self, entry: Entry, resource: Resource, obj: Object) -> Iterator[Ticket | None]:
        solid, waiting, dangling = self._owners(entry, obj)
        if solid:
            if waiting or dangling:
                yield self._keep_owners(entry, resource, solid)
            return
        has_own = bool(self._owned.get(entry.uid))
        policy = Policy.FOREGROUND if waiting and has_own else Policy.BACKGROUND
        finalizers = obj["metadata"].get("finalizers") or ()
        if not waiting and _HOLDING & set(finalizers):
            policy = Policy.DEFAULT
        yield remove(self._desk, resource, entry, Options(policy))[1]

    def _owners(self, entry: Entry, obj: Object) -> tuple[list[Object], list[Object], list[Object]]:
        """Return the references to owners that live, that wait for us to go, that are gone."""
        solid: list[Object] = []
        waiting: list[Object] = []
        dangling: list[Object] = []
        for ref in obj["metadata"]["ownerReferences"]:
            resource = self._desk.registry.of_kind(ref.get("apiVersion", ""), ref.get("kind", ""))
            if resource is None or (resource.namespaced and not entry.key.namespace):
                solid.append(ref)  # cannot be judged: better to keep than to lose
                continue
            owner = self._desk.store.latest(resource.key(entry.key.namespace, ref["name"]))
            if owner is None or owner.uid != ref["uid"]:
                dangling.append(ref)
            elif owner.deleting and _has_finalizer(owner, FOREGROUND):
                waiting.append(ref)
            else:
                solid.append(ref)
        return solid, waiting, dangling

    def _keep_owners(self, entry: Entry, resource: Resource, refs: list[Object]) -> Ticket | None:
        obj = entry.load()
        if refs:
            obj["metadata"]["ownerReferences"] = refs
        else:
            del obj["metadata"]["ownerReferences"]
        return self._store(entry, resource, obj)

    def _store(self, entry: Entry, resource: Resource, obj: Object) -> Ticket | None:
        if is_finished(resource, obj):
            return self._desk.store.remove(entry.key, entry.load())[1]
        return self._desk.store.put(entry.key, obj)[1]

    def _dependents(self, owner: Entry) -> Iterator[tuple[Entry, Resource]]:
        for key in list(self._owned.get(owner.uid, ())):
            entry = self._desk.store.latest(key)
            resource = self._desk.registry.stored_as(key.resource)
            inside = not owner.key.namespace or owner.key.namespace == key.namespace
            if entry is not None and resource is not None and inside and owner.uid in entry.owners:
                yield entry, resource

    def _orphan(self, owner: Entry, resource: Resource) -> Iterator[Ticket | None]:
        for entry, kind in self._dependents(owner):
            refs = entry.load()["metadata"]["ownerReferences"]
            yield self._keep_owners(entry, kind, [ref for ref in refs if ref["uid"] != owner.uid])
        yield self._release(owner, resource, ORPHAN)

    def _foreground(self, owner: Entry, resource: Resource) -> Iterator[Ticket | None]:
        blocked = False
        for entry, _ in self._dependents(owner):
            if not entry.deleting:
                self._work.add(entry.key)
            blocked = blocked or _blocks(entry, owner.uid)
        if not blocked:
            yield self._release(owner, resource, FOREGROUND)

    def _release(self, entry: Entry, resource: Resource, finalizer: str) -> Ticket | None:
        obj = entry.load()
        left = [name for name in obj["metadata"]["finalizers"] if name != finalizer]
        if left:
            obj["metadata"]["finalizers"] = left
        else:
            del obj["metadata"]["finalizers"]
        return self._store(entry, resource, obj)


def _has_finalizer(entry: Entry, finalizer: str) -> bool:
    return finalizer in (entry.load()["metadata"].get("finalizers") or ())


def _blocks(entry: Entry, owner_uid: str) -> bool:
    refs = entry.load()["metadata"].get("ownerReferences") or ()
    return any(ref["uid"] == owner_uid and ref.get("blockOwnerDeletion") for ref in refs)
