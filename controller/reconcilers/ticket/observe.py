"""Gathers what a Ticket's status is computed from: all of it is in the store."""

import time
from collections.abc import Callable
from typing import Protocol

from controller.gitops.facts import Origin
from controller.gitops.writeback.values import TicketWrites
from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kernel.reconciler import Finding
from controller.kernel.store import Store
from controller.placement.indexes import OF_PARENT, pods_of
from controller.reconcilers.ticket.cycles import CycleFinder
from controller.reconcilers.ticket.snapshot import TicketSnapshot
from controller.tickets.facts import blockers
from schemas.repository import Repository
from schemas.ticket import Ticket, TicketCommit


class Origins(Protocol):
    """What is needed of ``controller.gitops.sources.Sources``."""

    def of_ticket(self, namespace: str, ticket: str) -> Origin | None:
        """Return where the Ticket is kept in git, None if it is kept on the API alone."""
        ...

    def sure(self, namespace: str) -> bool:
        """Whether that is known of all Tickets of the namespace."""
        ...

    def commits(self, namespace: str, ticket: str) -> tuple[TicketCommit, ...]:
        """Return new commits of the source's branch that name the ticket, the newest first."""
        ...


class Runs(Protocol):
    """What is needed of ``controller.services.ticket_runs.TicketRuns``."""

    def knows(self, namespace: str) -> bool:
        """Whether it has looked at the namespace since our start."""
        ...

    def why(self, ticket: Ticket) -> Finding | None:
        """Return why no pod is started for the ticket; None: nothing starts any."""
        ...


class Writes(Protocol):
    """What is needed of ``controller.gitops.writeback.writeback.WriteBack``."""

    def ticket(self, source_uid: str, name: str) -> TicketWrites:
        """Return how changes of the ticket's file do."""
        ...


class TicketObserver:
    """Reads tickets, their relatives and their pods."""

    def __init__(
        self,
        store: Store,
        origins: Origins | None = None,
        runs: Runs | None = None,
        writes: Writes | None = None,
        queue: WorkQueue | None = None,
        *,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without *origins* no ticket lies in git, without *runs* none starts pods.

        Without *writes* nothing is known of changes of files. *queue*: of the keys of tickets, for
        those that others make a part of a cycle.
        """
        self._cycles = CycleFinder(store, queue, ticks)
        self._writes = writes
        self._store = store
        self._tickets = store.of(Ticket)
        self._runs = runs
        self._origins = origins

    async def observe(self, key: Key) -> TicketSnapshot | None:
        """Return the snapshot, None if the ticket is gone."""
        cycles = await self._cycles.of(key)
        item = self._tickets.get(key.namespace, key.name)
        if item is None:
            return None
        where = (key.namespace, key.name)
        children = self._tickets.indexed(OF_PARENT, where)
        origins = self._origins
        origin = origins.of_ticket(*where) if origins is not None else None
        return TicketSnapshot(
            item,
            origin=origin,
            writes=self._written(origin, key.name),
            origin_known=origins is None or origins.sure(key.namespace),
            commits=origins.commits(*where) if origins is not None else (),
            children=tuple(child for child in children if not child.metadata.deleting),
            pods=pods_of(self._store, item),
            missing=tuple(self._missing(item)),
            parents_cycle=cycles.parents.way(key.name),
            dependencies_cycle=cycles.dependencies.way(key.name),
            blockers=blockers(item, lambda name: self._tickets.get(key.namespace, name)),
            run=self._runs.why(item) if self._runs else None,
            runs_known=self._runs is None or self._runs.knows(key.namespace),
        )

    def _written(self, origin: Origin | None, name: str) -> TicketWrites:
        if origin is None or self._writes is None:
            return TicketWrites()
        return self._writes.ticket(origin.source_uid, name)

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
