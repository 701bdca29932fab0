"""One pass of one source: from the branch's tip to the API, and what is known afterwards.

Level-based: a pass looks at everything there is and may end anywhere; the next one begins anew.
Nothing is written where nothing differs.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from controller.gitops.apply import Live, Prune, SyncPlan, plan
from controller.gitops.desired import Collected
from controller.gitops.facts import Origin, SourceFacts, Trouble
from controller.gitops.findings import applying, counts, digest, settled, trouble, vanished
from controller.gitops.ledger import Ledger
from controller.gitops.listing import Listing, Mirror, Scope
from controller.gitops.living import Living
from controller.gitops.reading import TicketCommit
from controller.gitops.refusals import Refusals
from controller.gitops.releasing import Releasing
from controller.gitops.remote import GoneError, MirrorError, RefusedError, Remote
from controller.gitops.values import Identity, Problem
from controller.gitops.writing import (
    Hand,
    Turn,
    Writer,
    Writing,
    Written,
    named,
    printable,
    row_of,
)
from controller.kernel.events import Recorder
from controller.kernel.redact import redact
from controller.kernel.store import Store
from schemas.gitsource import GitSource
from schemas.names import AGENT_POD, ANNOTATION_ALLOW_PRUNE, ANNOTATION_REQUESTED_AT, TICKET

logger = logging.getLogger(__name__)

ERRORS_SHOWN: Final = 20
COMMITS_KEPT: Final = 20


class Ending(Enum):
    """How a pass ended."""

    WHOLE = auto()
    """Everything that can be applied is."""
    AGAIN = auto()
    """Something is left to be done at once: a new commit came, or somebody was faster."""
    FAILED = auto()
    """The repository or the API server could not be asked, or refused."""


@dataclass(frozen=True, slots=True)
class Around:
    """What all sources share."""

    store: Store
    kube: Writer
    recorder: Recorder
    wall: Callable[[], float]
    ticks: Callable[[], float]


class Sync:
    """What is kept of one source between its passes."""

    def __init__(
        self,
        around: Around,
        item: GitSource,
        mirror: Mirror,
        ledger: Ledger,
        changed: Callable[[Iterable[str]], None],
    ) -> None:
        """*changed* is told when the facts are new, with the names of Tickets that they concern."""
        meta = item.metadata
        self._around = around
        self._ledger = ledger
        self._changed = changed
        self._mirror = mirror
        self._listing = Listing(mirror, ledger)
        self._living = Living(around.store, meta.namespace, meta.name)
        self._writing = Writing(around.kube, around.store, around.recorder, ledger, self._living)
        self._releasing = Releasing(around.kube, around.store, self._living)
        self._refusals = Refusals()
        self._problems: dict[str, Problem] = {}
        self._named: set[str] = set()
        """Tickets of which something else than what was applied is new."""
        self._applied: tuple[str, int, str | None, str] | None = None
        """The commit, and what else a pass goes by, of the last one that was whole."""
        self._commits: dict[str, list[TicketCommit]] = {}
        self._commits_until = ""
        self._forgotten = ""
        """A commit that was applied, and of which it is not known what became of its pods."""
        self.waiting = False
        """Whether something is to be looked at again when a pod ends or a resource has gone."""
        self.looked = False
        """Whether a pass has come to its end since the controller started."""
        self.facts = SourceFacts()

    async def load(self, *, current: bool) -> None:
        """Read what was known when the controller last ran, once.

        *current*: no other controller has kept the source since.
        """
        if self._ledger.loaded:
            return
        await self._ledger.load()
        marks = self._ledger.marks
        for identity in self._living.ended():
            self.end(identity)
        item = self._around.store.of(GitSource).get(self._living.namespace, self._living.source)
        if item is not None and not (current and marks.observed):
            self._forgotten = item.status.applied_commit or ""
        self.facts = replace(
            self.facts,
            observed_commit=marks.observed or None,
            applied_commit=marks.applied or None,
            last_sync_at=marks.at or None,
        )

    @property
    def forgetful(self) -> bool:
        """Whether it is still to be found out which pods must not be started again."""
        return self._forgotten != ""

    @property
    def ledger(self) -> Ledger:
        """Return what is remembered of the source."""
        return self._ledger

    def origin(self, item: GitSource, identity: Identity) -> Origin | None:
        """Return where the resource is kept in git, None if it is not in this source."""
        row = self._ledger.origin(identity)
        if row is None:
            return None
        return Origin(
            item.metadata.name,
            item.metadata.uid,
            row.path,
            row.blob,
            row.commit,
            row.digest,
            self._problems.get(row.path),
        )

    def end(self, identity: Identity) -> bool:
        """Take note that a pod has come to its end; tell whether that is news to be remembered."""
        live = self._living.one(identity)
        if live is None:
            return False
        if self._ledger.end(identity, live.uid):
            return True
        before, collected = self._ledger.applied.get(identity), self._listing.collected
        known = collected.resources.get(identity) if collected is not None else None
        if known is None or (before is not None and before.uid == live.uid):
            return False
        if collected is None or not self._living.same(known, live, before):
            return False
        # made by us, and the answer that says so is still to come, or was lost
        self._ledger.done(row_of(known, collected.commit, live.uid))
        return self._ledger.end(identity, live.uid)

    def drifted(self, identity: Identity) -> bool:
        """Whether a resource that has changed is not as its file says. Cheap."""
        collected = self._listing.collected
        known = collected.resources.get(identity) if collected is not None else None
        live = self._living.one(identity)
        if known is None:
            return live is None and identity in self._ledger.applied
        before = self._ledger.origin(identity)
        if live is None:
            return before is None or not before.ended
        if live.deleting or live.left_alone:
            return False
        ours = live.owner == self._living.source and live.path == known.path
        return not ours or not self._living.same(known, live, before)

    async def run(self, item: GitSource, remote: Remote, turn: Turn, *, dirty: bool) -> Ending:
        """Make one pass; return how it ended. Troubles are in the facts.

        *dirty*: something of the source has changed on the API since the last pass. *turn* is asked
        now and then whether the pass is to end early: nothing is deleted by a spec that somebody
        has changed meanwhile.
        """
        meta = item.metadata
        request = meta.annotations.get(ANNOTATION_REQUESTED_AT)
        allowed = meta.annotations.get(ANNOTATION_ALLOW_PRUNE, "")
        if meta.generation != self.facts.generation or request != self.facts.request:
            self._refusals.clear()
        await self._ledger.ends()
        try:
            collected = await self._listing.look(remote, Scope.of(item))
            await self._observe(collected.commit)
        except MirrorError as exc:
            if isinstance(exc, GoneError):
                self._listing.forget()
            stalled = isinstance(exc, RefusedError)
            self.failed(item, Trouble(exc.reason, redact(exc.sentence), stalled))
            return Ending.FAILED
        form = (collected.commit, meta.generation, request, allowed)
        if form == self._applied and not dirty and self._around.ticks() < self._refusals.due:
            self._tell(replace(self._handled(item), fetched=None))
            return Ending.WHOLE
        if turn.stale():
            return Ending.AGAIN
        self._applied = None
        ending = await self._apply(item, collected, turn)
        if ending is Ending.WHOLE:
            self._applied = form
        return ending

    def failed(self, item: GitSource, trouble: Trouble) -> None:
        """Take note that the repository cannot be read."""
        self._tell(replace(self._handled(item), fetched=trouble))

    def suspended(self, item: GitSource) -> None:
        """Take note that nothing is to be done."""
        self._tell(self._handled(item))

    def _handled(self, item: GitSource) -> SourceFacts:
        meta = item.metadata
        return replace(
            self.facts,
            generation=meta.generation,
            request=meta.annotations.get(ANNOTATION_REQUESTED_AT),
        )

    async def _observe(self, commit: str) -> None:
        """Take note of the commit that the branch is at, and of those that name tickets."""
        marks = self._ledger.marks
        if marks.observed != commit:
            at = self._around.wall()
            await self._ledger.mark(marks._replace(observed=commit, at=at))
        if self._commits_until == commit:
            return
        for found in reversed(await self._mirror.commits(self._commits_until or None, commit)):
            for ticket in filter(self._is_known, found.tickets):
                self._commits.setdefault(ticket, []).insert(0, found)
                del self._commits[ticket][COMMITS_KEPT:]
                self._named.add(ticket)
        self._commits_until = commit

    def _is_known(self, ticket: str) -> bool:
        """Whether there is such a Ticket: a message may name anything."""
        identity, collected = Identity(TICKET.kind, ticket), self._listing.collected
        asked = collected is not None and identity in collected.resources
        return asked or self._living.one(identity) is not None

    def commits(self, ticket: str) -> tuple[TicketCommit, ...]:
        """Return the commits seen since the controller started that name the ticket, newest first.

        At the start the last ones that the mirror has are looked at.
        """
        return tuple(self._commits.get(ticket, ()))

    async def _apply(self, item: GitSource, collected: Collected, turn: Turn) -> Ending:
        """Write what differs, and remember what was found."""
        allowed = item.metadata.annotations.get(ANNOTATION_ALLOW_PRUNE, "")
        prune = Prune.of(item.metadata.name, item.spec, allowed)
        prune = replace(prune, rewritten=await self._rewritten(item, collected.commit))
        live, applied = self._living.all(collected), self._ledger.applied
        if self._forgotten:
            await self._recollect(item, collected, live)
        # in a thread: 10,000 resources that are compared for the first time take a second
        drawn = await asyncio.to_thread(plan, collected, live, applied, prune, self._living.same)
        again, skipped = self._refusals.without(drawn, live, self._around.ticks())

        def progress(left: int) -> None:
            self._progress(item, collected, left)

        hand = Hand(item, collected.commit, self._listing.fresh)
        done = await self._writing.carry_out(again, hand, turn, progress)
        self._refusals.keep(done.refused, collected, live, self._around.ticks())
        problems = (*collected.problems, *drawn.problems, *skipped, *done.refused.values())
        if done.lost:
            self._listing.forget()
        whole = done.failure is None and not done.pending
        await self._ledger.wrote(
            settled(collected, drawn, problems, applied, live),
            vanished(collected, applied, self._living.one, item.metadata.name) if whole else (),
        )
        if whole:
            self.looked = True
            marks = self._ledger.marks
            rewritten = drawn.held is not None and drawn.held.rewritten
            await self._ledger.mark(
                marks._replace(applied=collected.commit, rewritten=rewritten)
            )
        self.waiting = bool(drawn.waiting or drawn.cancels)
        self._conclude(item, collected, drawn, done, problems)
        if whole:
            return Ending.WHOLE
        return Ending.AGAIN if done.failure is None else Ending.FAILED

    async def _rewritten(self, item: GitSource, commit: str) -> bool:
        """Whether the branch does not follow what was applied: what it lacks was not deleted.

        Somebody pushed by force, or the source was given another branch. Said again and again
        until nothing is missing, or a person allows it.
        """
        marks = self._ledger.marks
        before = marks.applied or item.status.applied_commit or ""
        if marks.rewritten or not before or before == commit:
            return marks.rewritten
        if await self._mirror.descends(commit, before):
            return False
        await self._ledger.mark(marks._replace(rewritten=True))
        return True

    async def _recollect(
        self, item: GitSource, collected: Collected, live: dict[Identity, Live]
    ) -> None:
        """Take AgentPods that are gone for ended where it is not remembered what became of them.

        The data directory is lost, or another controller has led since it was written. An agent
        that has done its work must not be started again, so pods that the commit had that was
        applied are not made anew until their files change.
        """
        try:
            entries = await self._mirror.entries(self._forgotten, item.spec.path)
            before = {(entry.path, entry.blob) for entry in entries}
        except GoneError:
            before = {(known.path, known.blob) for known in collected.resources.values()}
        rows = [
            replace(row_of(known, collected.commit, ""), ended=True)
            for identity, known in collected.resources.items()
            if identity.kind == AGENT_POD.kind
            and identity not in live
            and (known.path, known.blob) in before
        ]
        if rows:
            names = ", ".join(row.identity.name for row in rows[:5])
            logger.warning(
                "not started: it is not remembered whether they have run",
                extra={"key": f"{item.metadata.namespace}/{item.metadata.name}", "pods": names},
            )
        await self._ledger.wrote(rows)
        self._forgotten = ""

    def _progress(self, item: GitSource, collected: Collected, left: int) -> None:
        """Tell how many files are still to be applied."""
        self._tell(
            replace(
                self.facts,
                generation=item.metadata.generation,
                fetched=None,
                observed_commit=collected.commit,
                last_sync_at=self._ledger.marks.at,
                counts=counts(collected, collected.problems, left),
                syncing=applying(left),
            )
        )

    def _conclude(  # noqa: PLR0913 - all that a pass has found
        self,
        item: GitSource,
        collected: Collected,
        drawn: SyncPlan,
        done: Written,
        problems: Iterable[Problem],
    ) -> None:
        """Say what is known now."""
        before, self._problems = self._problems, named(problems)
        self._note(before)
        shown = sorted(self._problems.values(), key=lambda problem: problem.path)[:ERRORS_SHOWN]
        pending = done.pending + len(drawn.left_alone)
        marks = self._ledger.marks
        self._tell(
            replace(
                self._handled(item),
                observed_commit=marks.observed,
                applied_commit=marks.applied or None,
                last_sync_at=marks.at,
                fetched=None,
                syncing=trouble(done, drawn),
                counts=counts(collected, self._problems.values(), pending),
                problems=tuple(problem._replace(path=printable(problem.path)) for problem in shown),
                held=drawn.held,
                resources=self._living.count(),
                digest=digest(self._ledger.applied),
            )
        )

    def _note(self, before: dict[str, Problem]) -> None:
        """Take note of the tickets whose files can be used again, or can be no more."""
        paths = {path for path, _ in before.items() ^ self._problems.items()}
        if paths:
            owners = self._ledger.owners().items()
            self._named |= {
                identity.name
                for identity, path in owners
                if path in paths and identity.kind == TICKET.kind
            }

    def _tell(self, facts: SourceFacts) -> None:
        """Say what is known, if it is news, and which tickets it concerns."""
        touched = self._ledger.touched()
        tickets, self._named = self._named, set()
        tickets |= {identity.name for identity in touched if identity.kind == TICKET.kind}
        if facts != self.facts or tickets:
            self.facts = facts
            self._changed(tickets)

    async def let_go(self, item: GitSource) -> bool:
        """Release or delete what the source made, as it says; return whether all of it is.

        Raises:
            KubeError: The API server is in trouble.
        """
        if await self._releasing.let_go(item.spec):
            return False
        await self._ledger.forget()
        self._tell(replace(self.facts, released=True))
        return True
