"""Namespaces: each has a `default` ServiceAccount; a deleted one is emptied, then removed."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Final

from apiserver import clock
from apiserver.controllers.worklist import Tickets, Worklist
from apiserver.kinds.crds import set_condition
from apiserver.rest.deleting import Options, remove
from apiserver.rest.writing import Desk
from apiserver.store.records import Change, ChangeType, Entry, Key, Object
from apiserver.store.store import Ticket

_NAMESPACES: Final = "namespaces"
_ACCOUNTS: Final = "serviceaccounts"


_WENT_WELL: Final = (
    (
        "NamespaceDeletionDiscoveryFailure",
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
)
"""Conditions that tell what did not go wrong, as Kubernetes states them."""


def _resource_name(entry: Entry) -> str:
    name = entry.key.resource
    return name if "." in name else f"{name}."  # as Kubernetes writes the core group


def account(namespace: str) -> Object:
    """Return the `default` ServiceAccount of *namespace*."""
    return {
        "kind": "ServiceAccount",
        "apiVersion": "v1",
        "metadata": {
            "name": "default",
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": clock.stamp(),
        },
    }


class Namespaces:
    """Looks at a namespace whenever it or something in it changed."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._work = Worklist("the care for namespaces", self._look)
        desk.store.listen(self._on_change)
        desk.registry.on_change(lambda _: self.load())

    def load(self) -> None:
        """Look at all namespaces."""
        for entry in self._desk.store.entries(_NAMESPACES):
            self._work.add(entry.key.name)

    async def run(self) -> None:
        """Work until cancelled."""
        await self._work.run()

    def _on_change(self, change: Change) -> None:
        key = change.key
        if key.resource == _NAMESPACES:
            self._work.add(key.name)
        elif change.type is ChangeType.DELETED and key.namespace:
            self._work.add(key.namespace)

    def _look(self, name: str) -> Tickets:
        store = self._desk.store
        entry = store.latest(Key(_NAMESPACES, "", name))
        if entry is None:
            return []
        if entry.deleting:
            return list(self._empty(entry))
        key = Key(_ACCOUNTS, name, "default")
        if store.latest(key) is not None:
            return []
        return [store.put(key, account(name))[1]]

    def _empty(self, entry: Entry) -> Iterator[Ticket | None]:
        store, name = self._desk.store, entry.key.name
        for storage in store.resources():
            resource = self._desk.registry.stored_as(storage)
            for found in store.entries(storage, name):
                newest = store.latest(found.key)
                if newest is None or newest.deleting or resource is None:
                    continue
                yield remove(self._desk, resource, newest, Options())[1]
        obj = entry.load()
        left = self._left(name)
        if not left:
            yield from self._finish(entry, obj)
        elif any(newest.deleting for newest in left):
            yield self._report(entry, obj, left)

    def _left(self, name: str) -> list[Entry]:
        store = self._desk.store
        found = (
            store.latest(entry.key)
            for storage in store.resources()
            for entry in store.entries(storage, name)
        )
        return [entry for entry in found if entry is not None and entry.key.namespace == name]

    def _finish(self, entry: Entry, obj: Object) -> Iterator[Ticket | None]:
        spec = obj.get("spec") or {}
        others = [item for item in spec.get("finalizers") or () if item != "kubernetes"]
        if others == spec.get("finalizers"):
            return
        obj["spec"] = {"finalizers": others} if others else {}
        if others or obj["metadata"].get("finalizers"):
            yield self._desk.store.put(entry.key, obj)[1]
        else:
            yield self._desk.store.remove(entry.key, obj)[1]

    def _report(self, entry: Entry, obj: Object, left: list[Entry]) -> Ticket | None:
        before = entry.load().get("status")
        status = obj.setdefault("status", {})
        kinds = Counter(_resource_name(item) for item in left)
        text = ", ".join(
            f"{kind} has {count} resource instances" for kind, count in sorted(kinds.items())
        )
        for name, reason, message in _WENT_WELL:
            set_condition(status, name, "False", reason, message)
        set_condition(
            status,
            "NamespaceContentRemaining",
            "True",
            "SomeResourcesRemain",
            f"Some resources are remaining: {text}",
        )
        held = Counter(
            name for item in left for name in item.load()["metadata"].get("finalizers") or ()
        )
        text = ", ".join(
            f"{name} in {count} resource instances" for name, count in sorted(held.items())
        )
        set_condition(
            status,
            "NamespaceFinalizersRemaining",
            "True",
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {text}",
        )
        if status == before:
            return None
        return self._desk.store.put(entry.key, obj)[1]
