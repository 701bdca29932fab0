"""Gathers what an AgentClass's status is computed from: the class alone."""

from dataclasses import dataclass

from controller.kernel.queue import Key
from controller.kernel.store import Store
from schemas.agentclass import AgentClass


@dataclass(frozen=True, slots=True)
class ClassSnapshot:
    """The class."""

    subject: AgentClass


class ClassObserver:
    """Reads classes from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def observe(self, key: Key) -> ClassSnapshot | None:
        """Return the snapshot, None if the class is gone."""
        item = self._store.of(AgentClass).get("", key.name)
        return ClassSnapshot(item) if item else None
