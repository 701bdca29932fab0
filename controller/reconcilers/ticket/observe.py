"""Gathers what a Ticket's status is computed from: all of it is in the store."""

from collections.abc import Iterable

from controller.kernel.key import Key
from controller.kernel.store import Store
from controller.placement.indexes import OF_PARENT, OF_TICKET
from controller.reconcilers.ticket.snapshot import TicketSnapshot
from controller.tickets.facts import cycle
from schemas.agentpod import AgentPod
from schemas.repository import Repository
from schemas.ticket import Ticket


class TicketObserver:
    """Reads tickets, their relatives and their pods."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tickets = store.of(Ticket)

    async def observe(self, key: Key) -> TicketSnapshot | None:
        """Return the snapshot, None if the ticket is gone."""
        item = self._tickets.get(key.namespace, key.name)
        if item is None:
            return None
        where = (key.namespace, key.name)
        children = self._tickets.indexed(OF_PARENT, where)
        return TicketSnapshot(
            item,
            children=tuple(child for child in children if not child.metadata.deleting),
            pods=tuple(self._store.of(AgentPod).indexed(OF_TICKET, where)),
            missing=tuple(self._missing(item)),
            parents_cycle=cycle(key.name, lambda name: self._parent(key.namespace, name)),
            dependencies_cycle=cycle(key.name, lambda name: self._needed(key.namespace, name)),
        )

    def _parent(self, namespace: str, name: str) -> Iterable[str]:
        ticket = self._tickets.get(namespace, name)
        return (ticket.spec.parent,) if ticket is not None and ticket.spec.parent else ()

    def _needed(self, namespace: str, name: str) -> Iterable[str]:
        ticket = self._tickets.get(namespace, name)
        return ticket.spec.depends_on if ticket is not None else ()

    def _missing(self, item: Ticket) -> list[str]:
        where, spec = item.metadata.namespace, item.spec
        missing = [
            f"{field}: Ticket {name}"
            for field, names in (
                ("parent", (spec.parent,) if spec.parent else ()),
                ("dependsOn", spec.depends_on),
            )
            for name in names
            if self._tickets.get(where, name) is None
        ]
        repository = spec.repository_ref
        if repository and self._store.of(Repository).get(where, repository.name) is None:
            missing.append(f"repositoryRef.name: Repository {repository.name}")
        return missing
