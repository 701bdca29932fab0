"""Definitions: what a CRD defines is served as soon as it is stored, until it is gone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

import orjson

from apiserver.controllers.worklist import Tickets, Worklist
from apiserver.kinds import crds
from apiserver.kinds.resource import Resource
from apiserver.rest.deleting import Options, remove
from apiserver.rest.writing import Desk
from apiserver.store.records import Change, ChangeType, Entry, Key, Object
from apiserver.store.store import Ticket

logger = logging.getLogger(__name__)

_TERMINATING: Final = "Terminating"


class Definitions:
    """Keeps the registry in step with the CRDs, and removes the objects of deleted ones."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._defined: dict[str, bytes] = {}
        self._work = Worklist("the care for definitions", self._look)
        desk.store.listen(self._on_change)

    def load(self) -> None:
        """Serve what the stored CRDs define."""
        for entry in self._desk.store.entries(crds.STORAGE):
            self._define(entry)
            self._work.add(entry.key.name)

    async def run(self) -> None:
        """Work until cancelled."""
        await self._work.run()

    def _on_change(self, change: Change) -> None:
        if change.key.resource == crds.STORAGE:
            self._on_definition(change)
        elif change.type is ChangeType.DELETED and "." in change.key.resource:
            self._work.add(change.key.resource)  # CRDs are named like the resource they define

    def _on_definition(self, change: Change) -> None:
        name = change.key.name
        if change.type is ChangeType.DELETED:
            self._defined.pop(name, None)
            self._desk.registry.drop(name)
            self._desk.store.end_watches(name)
            for entry in self._desk.store.entries(crds.STORAGE):
                self._work.add(entry.key.name)  # a name may have become free
            return
        self._define(change.entry)
        self._work.add(name)

    def _define(self, entry: Entry) -> None:
        crd = entry.load()
        if not crds.is_true(crd, "Established"):
            return
        mark = orjson.dumps(
            [crd["spec"], crd["status"].get("acceptedNames"), crds.is_true(crd, _TERMINATING)]
        )
        name = entry.key.name
        before = self._defined.get(name)
        if before == mark:
            return
        self._defined[name] = mark
        self._desk.registry.define(name, crds.resources(crd))
        if before is not None:
            self._desk.store.end_watches(name)  # they come back and see the new schema

    def _look(self, name: str) -> Tickets:
        entry = self._desk.store.latest(Key(crds.STORAGE, "", name))
        if entry is None:
            return []
        crd = entry.load()
        if entry.deleting:
            return list(self._clean(entry, crd))
        others = crds.definitions(self._desk.store)
        return [self._publish(entry, crd, crds.judged(crd, others))]

    def _publish(self, entry: Entry, crd: Object, status: Object) -> Ticket | None:
        if status == crd.get("status"):
            return None
        return self._desk.store.put(entry.key, crd | {"status": status})[1]

    def _clean(self, entry: Entry, crd: Object) -> Iterator[Ticket | None]:
        if crds.CLEANUP not in (crd["metadata"].get("finalizers") or ()):
            return
        if not crds.is_true(crd, _TERMINATING):
            status = orjson.loads(orjson.dumps(crd.get("status") or {}))
            text = "CustomResource deletion is in progress"
            crds.set_condition(status, _TERMINATING, "True", "InstanceDeletionInProgress", text)
            yield self._publish(entry, crd, status)
            return  # the change leads back here, with the resource closed for new objects
        resource = self._desk.registry.stored_as(entry.key.name)
        if resource is not None:
            yield from self._empty(resource)
        if not self._has_objects(entry.key.name):
            yield self._release(entry, crd)

    def _empty(self, resource: Resource) -> Iterator[Ticket | None]:
        store = self._desk.store
        for found in store.entries(resource.storage):
            newest = store.latest(found.key)
            if newest is not None and not newest.deleting:
                yield remove(self._desk, resource, newest, Options())[1]

    def _has_objects(self, storage: str) -> bool:
        store = self._desk.store
        return any(store.latest(entry.key) is not None for entry in store.entries(storage))

    def _release(self, entry: Entry, crd: Object) -> Ticket | None:
        left = [name for name in crd["metadata"]["finalizers"] if name != crds.CLEANUP]
        if not left:
            return self._desk.store.remove(entry.key, crd)[1]
        crd["metadata"]["finalizers"] = left
        return self._desk.store.put(entry.key, crd)[1]
