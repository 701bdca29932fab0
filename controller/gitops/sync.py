"""One pass of one source: from the branch's tip to the API, and what is known afterwards.

Level-based: a pass looks at everything there is and may end anywhere; the next one begins anew.
Nothing is written where nothing differs.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from controller.gitops.apply import Live, Prune, SyncPlan, plan
from controller.gitops.calm import Calm, Form, is_calm, part
from controller.gitops.desired import Collected
from controller.gitops.digest import Digest
from controller.gitops.facts import Origin, SourceFacts, Trouble
from controller.gitops.findings import (
    applying,
    counts,
    gone_before,
    settled,
    tickets_of,
    trouble,
    vanished,
)
from controller.gitops.ledger import Ledger
from controller.gitops.listing import Listing, Mirror, Scope
from controller.gitops.living import Living
from controller.gitops.mentions import Mentions
from controller.gitops.passes import Around, Ending
from controller.gitops.reading import TicketCommit
from controller.gitops.refusals import Refusals
from controller.gitops.releasing import Releasing
from controller.gitops.remote import GoneError, MirrorError, RefusedError, Remote
from controller.gitops.standing import Standing
from controller.gitops.values import Identity, Problem
from controller.gitops.words import Words
from controller.gitops.writing import (
    Hand,
    Turn,
    Writing,
    Written,
    named,
    printable,
)
from controller.kernel.redact import redact
from schemas.gitsource import GitSource
from schemas.names import ANNOTATION_ALLOW_PRUNE, ANNOTATION_REQUESTED_AT, TICKET

logger = logging.getLogger(__name__)

ERRORS_SHOWN: Final = 20


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
        self.standing = Standing(ledger, self._listing, self._living)
        """Whether resources are as their files say."""
        self._writing = Writing(around.kube, around.store, around.recorder, ledger, self._living)
        self._releasing = Releasing(around.kube, around.store, self._living)
        self.refusals = Refusals()
        """What the API server did not take, and when it is asked again."""
        self._digest = Digest()
        self.problems: dict[str, Problem] = {}
        """Why files were not used by the last pass, by path."""
        self._named: set[str] = set()
        """Tickets of which something else than what was applied is new."""
        self._applied: tuple[str, int, str | None, str] | None = None
        """The commit, and what else a pass goes by, of the last one that was whole."""
        self._words = Words()
        self._calm: Calm | None = None
        """The last pass, if it left nothing to do: the next one may look at what differs alone."""
        self._mentions = Mentions(mirror, self._is_known)
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
            self.standing.end(identity)
        item = self._around.store.of(GitSource).get(self._living.namespace, self._living.source)
        if item is not None and not (current and marks.observed):
            self._forgotten = item.status.applied_commit or ""
        self.facts = replace(self._seen(self.facts), observed_commit=marks.observed or None)

    def _seen(self, facts: SourceFacts) -> SourceFacts:
        """Return the facts with how far the source has come."""
        marks = self._ledger.marks
        return replace(
            facts,
            observed_commit=marks.observed,
            applied_commit=marks.applied or None,
            last_sync_at=marks.at or None,
            fetched=None,
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
        meta, problem = item.metadata, self.problems.get(row.path)
        return Origin(meta.name, meta.uid, row.path, row.blob, row.commit, row.digest, problem)

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
            self.refusals.clear()
        await self._ledger.ends()
        try:
            collected = await self._listing.look(remote, Scope.of(item))
            await self._observe(collected.commit)
        except MirrorError as exc:
            self._calm = None
            if isinstance(exc, GoneError):
                self._listing.forget()
            stalled = isinstance(exc, RefusedError)
            self.failed(item, Trouble(exc.reason, redact(exc.sentence), stalled))
            return Ending.FAILED
        form = (meta.generation, request, allowed)
        if (
            (collected.commit, *form) == self._applied
            and not dirty
            and self._around.ticks() < self.refusals.due
        ):
            self._tell(replace(self._handled(item), fetched=None))
            return Ending.WHOLE
        if turn.stale():
            return Ending.AGAIN
        self._applied = None
        only = None if dirty else self._concerned(form, collected)
        ending = await self._apply(item, collected, turn, form, only)
        if ending is Ending.WHOLE:
            self._applied = (collected.commit, *form)
        return ending

    def _concerned(self, form: Form, collected: Collected) -> frozenset[Identity] | None:
        """Return the resources that are to be looked at; None: all."""
        if self._calm is None or self.standing.stirred:
            return None
        return self._calm.concerned(form, collected, self._around.ticks())

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
        self._named |= await self._mentions.look(commit)

    def _is_known(self, ticket: str) -> bool:
        """Whether there is such a Ticket: a message may name anything."""
        identity, collected = Identity(TICKET.kind, ticket), self._listing.collected
        asked = collected is not None and identity in collected.resources
        return asked or self._living.one(identity) is not None

    def commits(self, ticket: str) -> tuple[TicketCommit, ...]:
        """Return the commits seen since the controller started that name the ticket, newest first.

        At the start the last ones that the mirror has are looked at.
        """
        return self._mentions.of(ticket)

    async def _apply(
        self,
        item: GitSource,
        collected: Collected,
        turn: Turn,
        form: Form,
        only: frozenset[Identity] | None,
    ) -> Ending:
        """Write what differs among *only* these (None: all), and remember what was found."""
        rewritten = await self._rewritten(item, collected.commit)
        if rewritten:
            only = None
        calm, self._calm = self._calm, None
        if only is None:
            self.standing.stirred = False
        live, applied = self._living.all(collected, only), self._ledger.applied
        if self._forgotten:
            await self._recollect(item, collected, live)
        looked = collected if only is None else part(collected, only)
        drawn = await self._plan(item, looked, live, only, rewritten=rewritten)
        again, skipped = self.refusals.without(drawn, live, self._around.ticks())

        def progress(left: int) -> None:
            self._progress(item, collected, left)

        hand = Hand(item, collected.commit, self._listing.fresh)
        done = await self._writing.carry_out(again, hand, turn, progress)
        self.refusals.keep(done.refused, collected, live, self._around.ticks())
        problems = (*collected.problems, *drawn.problems, *skipped, *done.refused.values())
        if done.lost:
            self._listing.forget()
        whole = done.failure is None and not done.pending
        were = applied if only is None else only & applied.keys()
        await self._ledger.wrote(
            settled(looked, drawn, problems, applied, live),
            vanished(looked, were, self._living.one, item.metadata.name) if whole else (),
        )
        if whole:
            self.looked = True
            marks = self._ledger.marks
            rewritten = drawn.held is not None and drawn.held.rewritten
            await self._ledger.mark(marks._replace(applied=collected.commit, rewritten=rewritten))
            if is_calm(drawn, problems[len(collected.problems) :]):
                at = self._around.ticks() if only is None or calm is None else calm.at
                self._calm = Calm(form, collected, at)
        self.waiting = bool(drawn.waiting or drawn.cancels)
        self._conclude(item, collected, drawn, done, problems)
        if whole:
            return Ending.WHOLE
        return Ending.AGAIN if done.failure is None else Ending.FAILED

    async def _rewritten(self, item: GitSource, commit: str) -> bool:
        """Whether the branch does not follow what was applied: what it lacks was not deleted.

        Somebody pushed by force, or the source was given another branch. So it is said until
        nothing is missing any more, or a person allows it.
        """
        marks = self._ledger.marks
        before = marks.applied or item.status.applied_commit or ""
        if marks.rewritten or not before or before == commit:
            return marks.rewritten
        if await self._mirror.descends(commit, before):
            return False
        await self._ledger.mark(marks._replace(rewritten=True))
        return True

    async def _plan(
        self,
        item: GitSource,
        looked: Collected,
        live: dict[Identity, Live],
        only: frozenset[Identity] | None,
        *,
        rewritten: bool,
    ) -> SyncPlan:
        allowed = item.metadata.annotations.get(ANNOTATION_ALLOW_PRUNE, "")
        prune = replace(Prune.of(item.metadata.name, item.spec, allowed), rewritten=rewritten)
        prune = self._words.heard(prune)
        applied, same = self._ledger.applied, self._living.same
        total = None if only is None else self._living.count()
        # in a thread: 10,000 resources that are compared for the first time take a second
        drawn = await asyncio.to_thread(plan, looked, live, applied, prune, same, total)
        self._words.note(drawn.held)
        return drawn

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
            rows = gone_before(collected, live, entries)
        except GoneError:
            rows = gone_before(collected, live)
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
        before, self.problems = self.problems, named(problems)
        self._note(before)
        shown = sorted(self.problems.values(), key=lambda problem: problem.path)[:ERRORS_SHOWN]
        pending = done.pending + len(drawn.left_alone)
        self._tell(
            replace(
                self._seen(self._handled(item)),
                syncing=trouble(done, drawn),
                counts=counts(collected, self.problems.values(), pending),
                problems=tuple(problem._replace(path=printable(problem.path)) for problem in shown),
                held=drawn.held,
                resources=self._living.count(),
                digest=self._digest.of(self._ledger.applied),
            )
        )

    def _note(self, before: dict[str, Problem]) -> None:
        """Take note of the tickets whose files can be used again, or can be no more."""
        if paths := {path for path, _ in before.items() ^ self.problems.items()}:
            self._named |= tickets_of(paths, self._ledger.owners())

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
        if left := await self._releasing.let_go(item.spec):
            self._tell(replace(self.facts, leaving=left))
            return False
        await self._ledger.forget()
        self._tell(replace(self.facts, released=True))
        return True
