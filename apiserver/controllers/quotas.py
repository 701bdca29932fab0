"""The status of ResourceQuotas: the limits, and how many objects there are."""

from __future__ import annotations

from apiserver import quantities
from apiserver.controllers.worklist import Tickets, Worklist
from apiserver.kinds.quotas import QUOTAS, counted, is_scoped, shown
from apiserver.kinds.registry import Registry
from apiserver.store.records import Change, ChangeType, Object
from apiserver.store.store import Store, Ticket


class Quotas:
    """Looks at the quotas of a namespace when they, or the objects in it, became more or fewer."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._work = Worklist("the count for quotas", self._look)
        store.listen(self._on_change)
        registry.on_change(lambda _crd: self.load())

    def load(self) -> None:
        """Look at all quotas that are there."""
        for entry in self._store.entries(QUOTAS):
            self._work.add(entry.key.namespace)

    async def run(self) -> None:
        """Work until cancelled."""
        await self._work.run()

    def _on_change(self, change: Change) -> None:
        key = change.key
        if key.resource != QUOTAS and change.type is ChangeType.MODIFIED:
            return
        if key.namespace and self._store.entries(QUOTAS, key.namespace):
            self._work.add(key.namespace)

    def _look(self, namespace: str) -> Tickets:
        tickets: list[Ticket] = []
        for entry in self._store.entries(QUOTAS, namespace):
            if self._store.latest(entry.key) is not entry:
                continue  # its change comes here as well
            quota = entry.load()
            status = self._status(quota, namespace)
            if status != quota.get("status"):
                tickets.append(self._store.put(entry.key, quota | {"status": status})[1])
        return tickets

    def _status(self, quota: Object, namespace: str) -> Object:
        given = (quota.get("spec") or {}).get("hard") or {}
        hard = {name: shown(limit) for name, limit in given.items()}
        used = {
            name: quantities.of_count(0 if is_scoped(quota) else self._count(storage, namespace))
            for name in hard
            if (storage := counted(name)) and self._is_served(storage)
        }
        return {key: value for key, value in (("hard", hard), ("used", used)) if value}

    def _count(self, storage: str, namespace: str) -> int:
        return self._store.count(storage, namespace)

    def _is_served(self, storage: str) -> bool:
        resource = self._registry.stored_as(storage)
        return resource is not None and resource.namespaced
