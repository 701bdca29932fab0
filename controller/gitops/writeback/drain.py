"""Pushes what was accepted for one source: merged at the tip, committed, and never by force.

One at a time per source. Whatever happens in between, nothing is pushed twice: before each push
the tip below it is on the disk, and after an end that is not known the commits since then are
asked for our operations.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from controller.gitops.committing import Draft
from controller.gitops.files.read import Rules
from controller.gitops.files.select import Selection, TooManyFilesError
from controller.gitops.remote import (
    PATH_INVALID,
    Declined,
    MirrorError,
    Pushed,
    RefusedError,
    Rejected,
    Unreachable,
)
from controller.gitops.values import Author, Operation, OperationKind
from controller.gitops.writeback.commits import Edit, drafts, message
from controller.gitops.writeback.compose import Composed, Context, Files, compose
from controller.gitops.writeback.journal import Journal
from controller.gitops.writeback.locate import locate
from controller.gitops.writeback.ports import Mirror, Syncing
from controller.gitops.writeback.timing import Timing
from controller.gitops.writeback.values import End, Outcome
from controller.kernel.clock import stamp
from controller.kernel.store import Change, Store
from controller.kube.errors import KubeError
from schemas.gitsource import GitSource

logger = logging.getLogger(__name__)

MOST: Final = 250
"""Operations that share a push."""

_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"

Reports = Callable[[str, str], Mapping[str, Any] | None]
"""What x-status is to say of a ticket (namespace, name), without when; None: nothing."""


class HinderedError(Exception):
    """Nothing can be pushed now: a reason for conditions and a sentence."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Done:
    """What a round has brought to an end."""

    outcomes: Mapping[str, Outcome]
    operations: Mapping[str, Operation]
    commit: str = ""
    """The branch's new tip, if something was pushed."""


class Drain:
    """Carries out the operations of sources, a batch at a time."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        journal: Journal,
        syncing: Syncing,
        reports: Reports,
        store: Store,
        clock: Callable[[], float],
        timing: Timing,
    ) -> None:
        self._journal = journal
        self._syncing = syncing
        self._reports = reports
        self._sources = store.of(GitSource)
        self._news = asyncio.Event()
        """A GitSource has changed."""
        store.listen(GitSource, self._source_changed)
        self._ours: dict[str, str] = {}
        """The commit that was pushed last, by source: nobody else waits for it."""
        self._selected: dict[str, tuple[str, Selection]] = {}
        """The folder of each source, and what is selected of it."""
        self._clock = clock
        self._timing = timing

    def _source_changed(self, change: Change[GitSource]) -> None:
        self._news.set()
        if change.new is None:
            self._selected.pop(change.subject.metadata.uid, None)
            self._ours.pop(change.subject.metadata.uid, None)

    async def round(self, source: GitSource) -> Done:
        """Bring the first operations that wait to their end.

        Raises:
            HinderedError: Nothing could be pushed; all of them go on waiting.
            JournalError: It could not be recorded; they go on waiting.
        """
        uid = source.metadata.uid
        batch = [kept.operation for kept in self._journal.waiting(uid)[:MOST]]
        for number in range(1, self._timing.tries + 1):
            try:
                done = await self._try(source, batch)
            except MirrorError as exc:
                raise HinderedError(exc.reason, exc.sentence) from exc
            except TooManyFilesError as exc:
                raise HinderedError("TooManyFiles", str(exc)) from exc
            except KubeError as exc:
                raise HinderedError("Unavailable", f"the API server: {exc}") from exc
            if done is not None:
                return done
            await asyncio.sleep(self._timing.pause(number))
        raise HinderedError(
            "Contended",
            f"others pushed to the branch before us {self._timing.tries} times in a row",
        )

    async def _try(self, source: GitSource, batch: Sequence[Operation]) -> Done | None:
        """Do the batch on the tip as it is now; None: others were faster."""
        meta = source.metadata
        mirror = self._syncing.mirror(meta.namespace, meta.name)
        if mirror is None:
            raise HinderedError("NotReady", "the repository was not read yet")
        mirror.use(await self._syncing.remote(meta.namespace, meta.name))
        asked = await mirror.remote_tip()
        tip = asked if asked and mirror.has(asked) else await mirror.fetch()
        await self._pass_through(source, tip)
        landed = await self._landed(mirror, meta.uid, tip)
        todo = [operation for operation in batch if operation.id not in landed]
        composed = await self._compose(mirror, tip, source, todo)
        for operation in batch:
            if operation.id in landed:
                composed.outcomes[operation.id] = Outcome(End.LANDED, commit=landed[operation.id])
        commits, tops = await self._commit(mirror, tip, source, composed)
        if commits and not await self._push(mirror, commits, tip, meta.uid):
            return None
        if commits:
            self._ours[meta.uid] = commits[-1]
        outcomes = {
            id_: _placed(outcome, tops.get(id_, tip)) for id_, outcome in composed.outcomes.items()
        }
        await self._journal.finish(
            meta.uid, outcomes, self._clock(), reports=composed.reports, settled=True
        )
        return Done(
            outcomes,
            {operation.id: operation for operation in batch},
            commits[-1] if commits else "",
        )

    async def _pass_through(self, source: GitSource, tip: str) -> None:
        """Have what people pushed applied and said so, before something of ours covers it.

        Who waits for ``status.appliedCommit`` to be their commit sees it. Bounded: a sync that
        fails keeps nobody from being heard.
        """
        uid, where = source.metadata.uid, (source.metadata.namespace, source.metadata.name)
        if tip == self._ours.get(uid) or self._says(uid, tip):
            return
        try:
            async with asyncio.timeout(self._timing.applying):
                if not await self._syncing.sync(*where):
                    return
            async with asyncio.timeout(self._timing.gate):
                while not self._says(uid, tip):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass  # it is read later, together with what is pushed now

    def _says(self, uid: str, commit: str) -> bool:
        """Whether the source's status says that the commit is applied, or is gone."""
        source = self._sources.by_uid(uid)
        return source is None or source.status.applied_commit == commit

    async def _landed(self, mirror: Mirror, uid: str, tip: str) -> Mapping[str, str]:
        """Return which operations are on the branch already, from a push without a known end.

        Anybody who may push can write a trailer: only commits that we made ourselves count.
        """
        parent = self._journal.outstanding(uid)
        found = await mirror.operations_landed(parent, tip) if parent else {}
        return {id_: each for id_, each in found.items() if self._journal.is_ours(uid, each)}

    async def _compose(
        self, mirror: Mirror, tip: str, source: GitSource, todo: Sequence[Operation]
    ) -> Composed:
        meta, spec = source.metadata, source.spec
        rules = Rules(meta.namespace, frozenset(str(kind) for kind in spec.kinds))
        if not todo:
            return Composed()
        files: Files = await locate(
            mirror,
            tip,
            spec.path,
            rules,
            changed=_of(todo, OperationKind.UPDATE),
            made=_of(todo, OperationKind.CREATE),
            last_seen=lambda ticket: self._syncing.path_of(meta.namespace, meta.name, ticket),
            selection=self._selection(meta.uid, spec.path),
        )
        reports = {name: self._reports(meta.namespace, name) for name in {o.ticket for o in todo}}
        now = self._clock()
        context = Context(
            rules,
            {name: report for name, report in reports.items() if report},
            stamp(now),
            {operation.id: _ulid(now) for operation in todo},
        )
        return await asyncio.to_thread(compose, todo, files, context)

    def _selection(self, uid: str, folder: str) -> Selection:
        """Return what is selected of the source's folder."""
        have = self._selected.get(uid)
        if have is None or have[0] != folder:
            have = self._selected[uid] = folder, Selection(folder)
        return have[1]

    async def _commit(
        self, mirror: Mirror, tip: str, source: GitSource, composed: Composed
    ) -> tuple[list[str], dict[str, str]]:
        """Make the commits; return them, and that of each operation which is in one."""
        committer = source.spec.write_back.author
        maker = _Maker(mirror, tip, Author(committer.name, committer.email), int(self._clock()))
        try:
            return await maker.make(composed.edits)
        except RefusedError as exc:
            if exc.reason != PATH_INVALID:
                raise
        for path, sentence in (await maker.unwritable(composed.edits)).items():
            for edit in [edit for edit in composed.edits if path in edit.files]:
                composed.edits.remove(edit)
                composed.outcomes[edit.operation.id] = Outcome(
                    End.REFUSED, reason=PATH_INVALID, message=sentence
                )
        return await maker.make(composed.edits)

    async def _push(self, mirror: Mirror, commits: Sequence[str], tip: str, uid: str) -> bool:
        """Push; tell whether the branch is at the last one now. False: it is somewhere else."""
        alone = not self._journal.outstanding(uid)
        await self._journal.begin(uid, tip, commits)
        match await mirror.push(commits[-1], tip):
            case Pushed():
                return True
            case Rejected():
                if alone:
                    await self._journal.settle(uid)
                return False
            case Declined(reason, sentence):
                raise HinderedError(reason, sentence)
            case Unreachable(reason, sentence):
                raise HinderedError(reason, sentence)


class _Maker:
    """Makes the commits of a batch."""

    def __init__(self, mirror: Mirror, tip: str, committer: Author, at: int) -> None:
        self._mirror = mirror
        self._tip = tip
        self._committer = committer
        self._at = at

    async def make(self, edits: Sequence[Edit]) -> tuple[list[str], dict[str, str]]:
        """Return the commits, and that of each operation."""
        made = drafts(edits)
        if not made:
            return [], {}
        texts = [(one.files, one.author, message(one.operations)) for one in made]
        commits = list(await self._mirror.commit_all(self._tip, self._drafts(texts)))
        where = {
            operation.id: commit
            for one, commit in zip(made, commits, strict=True)
            for operation in one.operations
        }
        return commits, where

    async def unwritable(self, edits: Sequence[Edit]) -> dict[str, str]:
        """Return the files that cannot be written where they are to be, and why."""
        found: dict[str, str] = {}
        for path in dict.fromkeys(path for edit in edits for path in edit.files):
            try:
                tried = self._drafts([({path: b""}, self._committer, "try")])
                await self._mirror.commit_all(self._tip, tried)
            except RefusedError as exc:
                found[path] = exc.sentence
        return found

    def _drafts(
        self, texts: Sequence[tuple[Mapping[str, bytes | None], Author, str]]
    ) -> list[Draft]:
        return [Draft(files, by, self._committer, text, self._at) for files, by, text in texts]


def _of(operations: Sequence[Operation], kind: OperationKind) -> tuple[str, ...]:
    """Return the tickets that operations of that kind are about, but for those that are made."""
    made = {each.ticket for each in operations if each.kind is OperationKind.CREATE}
    wanted = {each.ticket for each in operations if each.kind is kind}
    return tuple(sorted(wanted if kind is OperationKind.CREATE else wanted - made))


def _placed(outcome: Outcome, commit: str) -> Outcome:
    """Return the outcome with its commit."""
    if outcome.end is not End.LANDED or outcome.commit:
        return outcome
    return replace(outcome, commit=commit)


def _ulid(now: float) -> str:
    """Return a name that sorts by time. Source: ULID, canonical string representation."""
    number = (int(now * 1000) << 80) | secrets.randbits(80)
    letters = [_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return "".join(letters)
