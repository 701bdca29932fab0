"""Gathers what an AgentClass's status is computed from: the class alone."""

from controller.kernel.key import Key
from controller.kernel.store import Store
from controller.reconcilers.agentclass.snapshot import ClassSnapshot
from schemas.agentclass import AgentClass


class ClassObserver:
    """Reads classes from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def observe(self, key: Key) -> ClassSnapshot | None:
        """Return the snapshot, None if the class is gone."""
        item = self._store.of(AgentClass).get("", key.name)
        return ClassSnapshot(item) if item else None
