"""One pass of one source: from the branch's tip to the API, and what is known afterwards.

Level-based: a pass looks at everything there is and may end anywhere; the next one begins anew.
Nothing is written where nothing differs.
"""

import hashlib
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from controller.gitops.apply import Applied, Live, Prune, SyncPlan, plan, release
from controller.gitops.desired import DUPLICATE_ID, Collected, Known
from controller.gitops.facts import Counts, Origin, SourceFacts, Trouble
from controller.gitops.ledger import Ledger, Marks
from controller.gitops.listing import Listing, Mirror, Scope
from controller.gitops.living import RESOURCES, Living
from controller.gitops.reading import TicketCommit
from controller.gitops.remote import GoneError, MirrorError, RefusedError, Remote
from controller.gitops.values import Identity, Problem
from controller.gitops.writing import Hand, Turn, Writer, Writing, Written, named, printable, row_of
from controller.kernel.events import Recorder
from controller.kernel.redact import redact
from controller.kernel.store import Store
from controller.kube.errors import Conflict, NotFound
from schemas.gitsource import DeletionPolicy, GitSource
from schemas.names import AGENT_POD, ANNOTATION_ALLOW_PRUNE, ANNOTATION_REQUESTED_AT, TICKET

logger = logging.getLogger(__name__)

ERRORS_SHOWN: Final = 20
COMMITS_KEPT: Final = 20
AGAIN_SECONDS: Final = 300.0
"""What the API server refused is tried again after this long, or when anything of it changes."""


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


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What the API server did not take, so that it is not asked again and again."""

    digest: str
    version: str
    """resourceVersion of the resource; empty: it was to be created."""
    problem: Problem
    until: float


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
        self._refused: dict[Identity, _Refusal] = {}
        self._problems: dict[str, Problem] = {}
        self._named: set[str] = set()
        """Tickets of which something else than what was applied is new."""
        self._applied: tuple[str, int, str | None, str] | None = None
        """The commit, and what else a pass goes by, of the last one that was whole."""
        self._commits: dict[str, list[TicketCommit]] = {}
        self._commits_until = ""
        self._forgotten = ""
        """A commit that was applied, and of which nothing is remembered."""
        self.waiting = False
        """Whether something is to be looked at again when a pod ends or a resource has gone."""
        self.looked = False
        """Whether a pass has come to its end since the controller started."""
        self.facts = SourceFacts()

    async def load(self) -> None:
        """Read what was known when the controller last ran."""
        if self._ledger.loaded:
            return
        await self._ledger.load()
        marks = self._ledger.marks
        for identity, uid in self._living.ended():
            self._ledger.end(identity, uid)
        item = self._around.store.of(GitSource).get(self._living.namespace, self._living.source)
        if item is not None and not self._ledger.applied and not marks.observed:
            self._forgotten = item.status.applied_commit or ""
        self.facts = replace(
            self.facts,
            observed_commit=marks.observed or None,
            applied_commit=marks.applied or None,
            last_sync_at=marks.at or None,
        )

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

    def drifted(self, identity: Identity) -> bool:
        """Whether a resource that has changed is not as its file says. Cheap."""
        collected = self._listing.collected
        known = collected.resources.get(identity) if collected is not None else None
        live = self._living.one(identity)
        if known is None:
            return live is None and identity in self._ledger.applied
        before = self._ledger.origin(identity)
        if live is None:
            return before is not None and not before.ended
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
            self._refused.clear()
        await self._ledger.ends()
        try:
            collected = await self._listing.look(remote, Scope.of(item))
            await self._observe(collected.commit)
        except MirrorError as exc:
            stalled = isinstance(exc, RefusedError)
            self.failed(item, Trouble(exc.reason, redact(exc.sentence), stalled))
            return Ending.FAILED
        form = (collected.commit, meta.generation, request, allowed)
        if form == self._applied and not dirty and self._around.ticks() < self._due():
            return Ending.WHOLE
        if turn.stale():
            return Ending.AGAIN
        self._applied = None
        ending = await self._apply(item, collected, turn)
        if ending is Ending.WHOLE:
            self._applied = form
        return ending

    def _due(self) -> float:
        """Return when something is to be tried again that was refused."""
        return min((refusal.until for refusal in self._refused.values()), default=math.inf)

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
            await self._ledger.mark(Marks(commit, marks.applied, self._around.wall()))
        if self._commits_until == commit:
            return
        for found in reversed(await self._mirror.commits(self._commits_until or None, commit)):
            for ticket in found.tickets:
                self._commits.setdefault(ticket, []).insert(0, found)
                del self._commits[ticket][COMMITS_KEPT:]
                self._named.add(ticket)
        self._commits_until = commit

    def commits(self, ticket: str) -> tuple[TicketCommit, ...]:
        """Return the commits seen since the controller started that name the ticket, newest first.

        At the start the last ones that the mirror has are looked at.
        """
        return tuple(self._commits.get(ticket, ()))

    async def _apply(self, item: GitSource, collected: Collected, turn: Turn) -> Ending:
        allowed = item.metadata.annotations.get(ANNOTATION_ALLOW_PRUNE, "")
        prune = Prune.of(item.metadata.name, item.spec, allowed)
        live = self._living.all(collected)
        if self._forgotten:
            await self._recollect(item, collected, live)
        drawn = plan(collected, live, self._ledger.applied, prune, self._living.same)
        again, skipped = self._without_refused(drawn, live)

        def progress(left: int) -> None:
            self._progress(collected, left)

        hand = Hand(item, collected.commit, self._listing.fresh)
        done = await self._writing.carry_out(again, hand, turn, progress)
        self._remember(done, collected, live)
        problems = (*collected.problems, *drawn.problems, *skipped, *done.refused.values())
        whole = done.failure is None and not done.raced and not done.left
        rows, gone = self._settled(collected, drawn, problems, live if whole else None)
        await self._ledger.wrote(rows, gone)
        if whole:
            self.looked = True
            marks = self._ledger.marks
            await self._ledger.mark(Marks(marks.observed, collected.commit, marks.at))
        self.waiting = bool(drawn.waiting or drawn.cancels)
        self._conclude(item, collected, drawn, done, problems)
        if whole:
            return Ending.WHOLE
        return Ending.AGAIN if done.failure is None else Ending.FAILED

    async def _recollect(
        self, item: GitSource, collected: Collected, live: dict[Identity, Live]
    ) -> None:
        """Take AgentPods that are gone for ended where it is not remembered what became of them.

        The data directory is lost. An agent that has done its work must not be started again, so
        pods that the commit had that was applied are not made anew until their files change.
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

    def _progress(self, collected: Collected, left: int) -> None:
        """Tell how many files are still to be applied."""
        counts = _counts(collected, collected.problems, left)
        marks = self._ledger.marks
        self._tell(
            replace(
                self.facts,
                fetched=None,
                observed_commit=collected.commit,
                last_sync_at=marks.at,
                counts=counts,
                syncing=Trouble("Applying", f"{left} files are still to be applied"),
            )
        )

    def _without_refused(
        self, drawn: SyncPlan, live: dict[Identity, Live]
    ) -> tuple[SyncPlan, list[Problem]]:
        """Return the plan without what the API server refused in this very form, and why."""
        now, skipped = self._around.ticks(), list[Problem]()

        def again(known: Known) -> bool:
            last, there = self._refused.get(known.identity), live.get(known.identity)
            version = there.item.metadata.resource_version if there is not None else ""
            if last is None or last.until <= now:
                return True
            if (last.digest, last.version) != (known.digest, version):
                return True
            skipped.append(last.problem._replace(path=known.path))
            return False

        creates = tuple(known for known in drawn.creates if again(known))
        changes = tuple(change for change in drawn.changes if again(change.known))
        return replace(drawn, creates=creates, changes=changes), skipped

    def _remember(self, done: Written, collected: Collected, live: dict[Identity, Live]) -> None:
        until = self._around.ticks() + AGAIN_SECONDS
        for identity, problem in done.refused.items():
            there = live.get(identity)
            version = there.item.metadata.resource_version if there is not None else ""
            known = collected.resources[identity]
            self._refused[identity] = _Refusal(known.digest, version, problem, until)
        for identity in self._refused.keys() - collected.resources.keys():
            del self._refused[identity]

    def _settled(
        self,
        collected: Collected,
        drawn: SyncPlan,
        problems: Iterable[Problem],
        live: dict[Identity, Live] | None,
    ) -> tuple[list[Applied], list[Identity]]:
        """Return what is as its file says and was not remembered so, and what is no more.

        *live* is None after a pass that was not whole: then nothing is forgotten.
        """
        open_ = {change.known.identity for change in drawn.changes}
        open_ |= {known.identity for known in (*drawn.creates, *drawn.finished, *drawn.left_alone)}
        open_ |= {gone.identity for gone in drawn.waiting}
        bad = {problem.path for problem in problems}
        rows: list[Applied] = []
        for identity, known in collected.resources.items():
            if identity in open_ or identity in collected.stale or known.path in bad:
                continue
            there, before = self._living.one(identity), self._ledger.applied.get(identity)
            if there is not None and not _remembers(before, known, there.uid):
                same = before is not None and (before.digest, before.uid) == (
                    known.digest,
                    there.uid,
                )
                row = row_of(known, collected.commit, there.uid)
                rows.append(replace(row, ended=same and before is not None and before.ended))
        if live is None:
            return rows, []
        kept = collected.resources.keys() | collected.kept
        gone = [
            identity
            for identity in self._ledger.applied
            if identity not in kept
            and identity not in live
            and identity.name not in collected.suspects
        ]
        return rows, gone

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
        marks = self._ledger.marks
        trouble = _trouble(done, drawn)
        pending = done.left + done.raced
        self._tell(
            replace(
                self._handled(item),
                observed_commit=marks.observed,
                applied_commit=marks.applied or None,
                last_sync_at=marks.at,
                fetched=None,
                syncing=trouble,
                counts=_counts(collected, self._problems.values(), pending),
                problems=tuple(problem._replace(path=printable(problem.path)) for problem in shown),
                held=drawn.held,
                resources=len(self._living.owned()),
                digest=self._digest(),
            )
        )

    def _digest(self) -> str:
        total = hashlib.sha256()
        for identity in sorted(self._ledger.applied):
            total.update(f"{identity.kind}/{identity.name} ".encode())
            total.update(f"{self._ledger.applied[identity].digest}\n".encode())
        return f"sha256:{total.hexdigest()}"

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
        deletes = item.spec.deletion_policy is DeletionPolicy.DELETE
        left = 0
        for identity, live in self._living.owned().items():
            if live.owner != item.metadata.name:
                continue
            if deletes and not live.protected:
                left += 1
                if not live.deleting:
                    await self._delete(identity, live)
            else:
                await self._release(identity, live)
        if left == 0:
            await self._ledger.forget()
            self._tell(replace(self.facts, released=True))
        return left == 0

    async def _delete(self, identity: Identity, live: Live) -> None:
        resource = RESOURCES[identity.kind]
        await self._around.kube.delete(
            resource, self._living.namespace, identity.name, uid=live.uid
        )

    async def _release(self, identity: Identity, live: Live) -> None:
        resource = RESOURCES[identity.kind]
        try:
            answer = await self._around.kube.patch(
                resource, self._living.namespace, identity.name, release(live)
            )
        except (NotFound, Conflict):
            return  # it has gone, or is another one by now
        self._around.store.apply(resource.kind, answer)


def _remembers(row: Applied | None, known: Known, uid: str) -> bool:
    if row is None:
        return False
    return (row.digest, row.path, row.blob, row.uid) == (known.digest, known.path, known.blob, uid)


def _counts(collected: Collected, problems: Iterable[Problem], pending: int) -> Counts:
    found = list(problems)
    duplicate = sum(problem.reason == DUPLICATE_ID for problem in found)
    invalid = len(found) - duplicate
    synced = max(0, collected.total - len(found) - pending)
    return Counts(collected.total, synced, invalid, duplicate, pending)


def _trouble(done: Written, drawn: SyncPlan) -> Trouble | None:
    """Return why not everything is applied."""
    if done.failure is not None:
        said = redact(str(done.failure))
        return Trouble("ApiUnavailable", f"the API server does not do it, tried again: {said}")
    if done.left or done.raced:
        return Trouble("Applying", f"{done.left + done.raced} files are still to be applied")
    if drawn.waiting or drawn.cancels:
        first = (*drawn.cancels, *drawn.waiting)[0].identity
        count = len(drawn.cancels) + len(drawn.waiting)
        return Trouble(
            "WaitingForDeletion",
            f"{count} resources go once the pods at work on them have ended, or are still on "
            f"their way out: {first.kind} {first.name}",
        )
    return None
