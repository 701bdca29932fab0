"""All GitSources: a task for each, what wakes it, and what others ask about them."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from controller.gitops.aside import Aside
from controller.gitops.database import DatabaseError
from controller.gitops.facts import Origin, SourceFacts
from controller.gitops.keeper import REPOSITORY_NOT_FOUND, Keeper
from controller.gitops.ledger import Ledger
from controller.gitops.living import MODELS
from controller.gitops.mirror import Mirror
from controller.gitops.passes import Around
from controller.gitops.remembered import Remembered
from controller.gitops.remote import RefusedError, Remote
from controller.gitops.shares import PASSES, Seat, Shares
from controller.gitops.sync import Sync
from controller.gitops.values import Identity, Problem
from controller.gitops.writing import Writer
from controller.kernel.clock import wall
from controller.kernel.events import Recorder
from controller.kernel.key import Key
from controller.kernel.store import Change, Store
from controller.placement.desired import ended
from controller.placement.indexes import BY_NAMESPACE, OF_REPOSITORY
from schemas.agentpod import AgentPod
from schemas.base import Object
from schemas.gitsource import GitSource, SourcedKind
from schemas.names import AGENT_POD, GIT_SOURCE, LABEL_SOURCE, TICKET
from schemas.repository import Repository
from schemas.ticket import TicketCommit

logger = logging.getLogger(__name__)


class Mirrors(Protocol):
    """Where mirrors come from."""

    def __call__(self, uid: str) -> Mirror:
        """Return the mirror of the GitSource of that uid."""
        ...


class Sources:
    """Keeps every GitSource in step for as long as ``run`` runs."""

    def __init__(  # noqa: PLR0913 - what all sources share, by name
        self,
        *,
        store: Store,
        kube: Writer,
        recorder: Recorder,
        remembered: Remembered,
        mirrors: Mirrors,
        touch: Callable[[Key], None],
        folders: tuple[Path, ...] = (),
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """*folders* are those below which repositories are opened by their path."""
        self._store = store
        self._around = Around(store, kube, recorder, wall, ticks)
        self._remembered = remembered
        self._mirrors = mirrors
        self._touch = touch
        self._folders = folders
        self._passes = Shares(PASSES)
        self._settled: Callable[[], None] | None = None
        self._ends = asyncio.Event()
        """An AgentPod of a source has ended."""
        self._tasks: asyncio.TaskGroup | None = None
        self._keepers: dict[str, Keeper] = {}
        store.listen(GitSource, self._source)
        store.listen(Repository, self._repository)
        store.listen(AgentPod, self._pod)
        for model in MODELS:
            store.listen(model, self._resource)

    async def load(self, *, current: bool, settled: Callable[[], None] = lambda: None) -> None:
        """Read what was known when the controller last ran: before anything is reconciled.

        *current*: no other controller has kept these sources since. *settled* is called once it
        is made up for that another one may have.
        """
        self._settled = settled
        for item in self._store.of(GitSource):
            keeper = self._keepers.get(item.metadata.uid) or self._keeper(item)
            await keeper.sync.load(current=current)
            self._ends.set()
        for uid in await self._remembered.sources() - self._keepers.keys():
            logger.info("forgotten", extra={"key": uid, "reason": "its GitSource is gone"})
            await self._mirrors(uid).remove()
            await self._remembered.forget(uid)
        self._settle()

    async def run(self) -> None:
        """Keep sources in step until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for keeper in self._keepers.values():
                tasks.create_task(keeper.keep())
            await self._note_ends()

    async def _note_ends(self) -> None:
        """Remember at once which pods have ended: they may be gone in a moment."""
        while True:
            await self._ends.wait()
            self._ends.clear()
            for keeper in list(self._keepers.values()):
                try:
                    await keeper.sync.ledger.ends()
                except DatabaseError:
                    logger.exception("an end is not remembered")

    def poke(self, namespace: str, name: str) -> None:
        """Ask for a pass now; a source that is not there is passed over. Neither waits nor raises.

        Many pokes at once are one pass.
        """
        if (keeper := self._named(namespace, name)) is not None:
            keeper.poke()

    def retell(self, namespace: str, name: str) -> None:
        """Have the source's status computed anew: something beside its repository has changed."""
        self._touch(Key(GIT_SOURCE.kind, namespace, name))

    async def sync(self, namespace: str, name: str) -> bool:
        """Return True once a pass that began after this call has applied everything.

        False: it failed, the source is suspended, or there is none. Bounded by the caller.
        """
        keeper = self._named(namespace, name)
        return keeper is not None and await keeper.asked()

    def mirror(self, namespace: str, name: str) -> Mirror | None:
        """Return the mirror that the source is fetched into, None while there is none."""
        keeper = self._named(namespace, name)
        return keeper.mirror if keeper is not None else None

    async def remote(self, namespace: str, name: str) -> Remote:
        """Return the source's branch and what opens it, as of now.

        Raises:
            RefusedError: There is no such source, Repository or Secret, or it cannot be used.
            KubeError: The API server cannot be asked.
        """
        keeper = self._named(namespace, name)
        item = keeper.item if keeper is not None else None
        remote = await keeper.remote(item) if keeper is not None and item is not None else None
        if remote is None:
            sentence = f"GitSource {name!r} or its Repository is not there: create it"
            raise RefusedError(REPOSITORY_NOT_FOUND, sentence)
        return remote

    def facts(self, namespace: str, name: str) -> SourceFacts:
        """Return what is known of the source."""
        keeper = self._named(namespace, name)
        return keeper.sync.facts if keeper is not None else SourceFacts()

    def of_ticket(self, namespace: str, ticket: str) -> Origin | None:
        """Return where the Ticket is kept in git, None if it is kept on the API alone.

        Known also of a Ticket whose file cannot be used just now.
        """
        identity = Identity(TICKET.kind, ticket)
        for item, keeper in self._of(namespace):
            if (found := keeper.sync.origin(item, identity)) is not None:
                return found
        return None

    def sure(self, namespace: str) -> bool:
        """Whether it is known of all Tickets of the namespace where they are kept.

        Not so before each source had its first pass, where nothing is remembered of it.
        """
        return all(
            keeper.sync.looked or keeper.sync.ledger.applied or item.spec.suspend
            for item, keeper in self._of(namespace)
        )

    def path_of(self, namespace: str, name: str, ticket: str) -> str | None:
        """Return the file of source *name* that the ticket was last applied from."""
        found = self.of_ticket(namespace, ticket)
        return found.path if found is not None and found.source == name else None

    def problem(self, namespace: str, name: str, path: str) -> Problem | None:
        """Return why the file of source *name* is not in force, None if it is."""
        keeper = self._named(namespace, name)
        return keeper.sync.problems.get(path) if keeper is not None else None

    def commits(self, namespace: str, ticket: str) -> tuple[TicketCommit, ...]:
        """Return commits that name the Ticket in a trailer, the newest first, at most 20.

        Those that were seen since the controller started, and the last ones before that.
        """
        return tuple(
            TicketCommit(sha=one.commit, subject=one.subject[:256], author=one.author[:128])
            for _, keeper in self._of(namespace)
            for one in keeper.sync.commits(ticket)
        )[:20]

    def for_new_tickets(self, namespace: str) -> str | None:
        """Return the name of the GitSource that takes new tickets, None if none does.

        The oldest with writeBack.enabled and newTickets that holds Tickets and is not suspended.
        """
        takers = [
            item.metadata
            for item, _ in self._of(namespace)
            if item.spec.write_back.enabled
            and item.spec.write_back.new_tickets
            and SourcedKind.TICKET in item.spec.kinds
            and not item.spec.suspend
            and not item.metadata.deleting
        ]
        first = min(takers, key=lambda meta: (meta.creation_timestamp, meta.name), default=None)
        return first.name if first is not None else None

    def _settle(self) -> None:
        """Say once that everything is remembered that must be."""
        if self._settled is not None and not any(
            keeper.sync.forgetful for keeper in self._keepers.values()
        ):
            self._settled()
            self._settled = None

    def _of(self, namespace: str) -> Iterator[tuple[GitSource, Keeper]]:
        for item in self._store.of(GitSource).indexed(BY_NAMESPACE, namespace):
            if (keeper := self._keepers.get(item.metadata.uid)) is not None:
                yield item, keeper

    def _named(self, namespace: str, name: str) -> Keeper | None:
        item = self._store.of(GitSource).get(namespace, name)
        return self._keepers.get(item.metadata.uid) if item is not None else None

    def _keeper(self, item: GitSource) -> Keeper:
        meta = item.metadata

        def changed(tickets: Iterable[str]) -> None:
            self._settle()
            self._touch(Key(GIT_SOURCE.kind, meta.namespace, meta.name))
            for ticket in tickets:
                self._touch(Key(TICKET.kind, meta.namespace, ticket))

        mirror = self._mirrors(meta.uid)
        ledger = Ledger(self._remembered, meta.uid)
        seat = Seat(self._passes, meta.namespace)
        keeper = Keeper(
            uid=meta.uid,
            around=self._around,
            sync=Sync(self._around, item, Aside(mirror, seat), ledger, changed),
            mirror=mirror,
            folders=self._folders,
            seat=seat,
        )
        self._keepers[meta.uid] = keeper
        return keeper

    def _source(self, change: Change[GitSource]) -> None:
        """Start a keeper for a new source, and wake that of one that has changed."""
        uid = change.subject.metadata.uid
        if change.new is None:
            if (gone := self._keepers.pop(uid, None)) is not None:
                gone.wake()
            return
        keeper = self._keepers.get(uid)
        if keeper is None:
            keeper = self._keeper(change.new)
            if self._tasks is not None:
                self._tasks.create_task(keeper.keep())
            return
        old = change.old
        if old is None or old.spec != change.new.spec or _said(old) != _said(change.new):
            keeper.wake()

    def _repository(self, change: Change[Repository]) -> None:
        old, new, meta = change.old, change.new, change.subject.metadata
        if old is None or new is None or old.spec != new.spec:
            for item in self._store.of(GitSource).indexed(
                OF_REPOSITORY, (meta.namespace, meta.name)
            ):
                self.poke(item.metadata.namespace, item.metadata.name)

    def _pod(self, change: Change[AgentPod]) -> None:
        """Take note of ends of pods: of those that sources made, and of those on their tickets."""
        old, new = change.old, change.new
        if new is not None and not ended(new):
            return
        meta = change.subject.metadata
        source = meta.labels.get(LABEL_SOURCE)
        keeper = self._named(meta.namespace, source) if new is not None and source else None
        if keeper is not None and keeper.sync.standing.end(Identity(AGENT_POD.kind, meta.name)):
            self._ends.set()
        if new is None or old is None or not ended(old):
            for _, keeper in self._of(meta.namespace):
                if keeper.sync.waiting:
                    keeper.soil()

    def _resource(self, change: Change[Any]) -> None:
        """Have a source put back what has drifted from its files."""
        old, new = change.old, change.new
        if old is not None and new is not None and _unchanged(old, new):
            return
        subject = change.subject
        namespace = subject.metadata.namespace
        identity = Identity(subject.definition.resource.kind, subject.metadata.name)
        for _, keeper in self._of(namespace):
            if keeper.sync.standing.drifted(identity):
                keeper.soil()


def _unchanged(old: Any, new: Any) -> bool:
    """Whether nothing changed that a file could say."""
    before, after = old.metadata, new.metadata
    return bool(
        old.spec == new.spec
        and before.labels == after.labels
        and before.annotations == after.annotations
        and before.deleting == after.deleting
    )


def _said(item: Object) -> tuple[object, ...]:
    """Return what wakes a source beside its spec."""
    meta = item.metadata
    return dict(meta.annotations), meta.finalizers, meta.deleting
