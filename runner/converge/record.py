"""Writes rows down and tells the controller what they say, with what others know of the pods."""

import dataclasses
from collections.abc import Callable

from meshwire.v1 import link_pb2

from runner.converge.activity import Told
from runner.converge.journal import Journal
from runner.converge.places import Places
from runner.converge.ports import Terminals, Workshop
from runner.converge.reports import Reports, observed
from runner.converge.states import ALIVE, Row, State
from runner.drivers.worktree_values import WorktreeState

Source = Callable[[Row], link_pb2.PodObserved]
"""Gives what else is known of a pod: fields of its report, and conditions."""


class Record:
    """Every row goes through here: to the disk, then into its report."""

    def __init__(
        self,
        places: Places,
        journal: Journal,
        reports: Reports,
        terminals: Terminals,
        workshop: Workshop,
    ) -> None:
        self._places = places
        self._journal = journal
        self._reports = reports
        self._terminals = terminals
        self._workshop = workshop
        self._trees: dict[str, WorktreeState] = {}
        """Worktrees of live pods as last looked at. Not journalled: whoever starts looks again."""
        self.activity: Callable[[str], Told] = lambda _uid: Told()
        self.sources: list[Source] = []
        """Asked whenever a report is made; merged into it, in this order."""

    async def save(self, row: Row) -> Row:
        """Journal the row, then report it; return it as it stands then."""
        await self._journal.put(row)
        row = self._journal.rows[row.uid]
        self.report(row)
        return row

    def report(self, row: Row) -> None:
        """Tell the controller what the row says, unless it has dropped the pod."""
        if row.state not in ALIVE:
            self._trees.pop(row.uid, None)
        if not row.forgotten_ms:
            self._reports.put(self._observed(row))

    def drop(self, uid: str) -> None:
        """Speak of the pod no more."""
        self._reports.drop(uid)

    def tell(self, uid: str) -> None:
        """Tell anew: a source has something new to say of the pod. Journals nothing."""
        row, latest = self._journal.rows.get(uid), self._reports.get(uid)
        if row is None or latest is None or row.forgotten_ms:
            return
        fresh = self._observed(row)
        if row.state is State.RUNNING:  # a note stays until the state changes
            fresh.message, fresh.reason = latest.message, latest.reason
        self._reports.put(fresh)

    async def refresh(self, uid: str) -> None:
        """Tell anew how worktree and transcript of a running pod stand; journals nothing."""
        row = self._journal.rows.get(uid)
        if row is None or row.state is not State.RUNNING:
            return
        tree = await self._workshop.inspect(uid) if row.initialized else None
        row = self._journal.rows.get(uid)
        if row is None or row.state is not State.RUNNING:
            return  # it has moved on meanwhile
        if tree is not None:
            self._trees[uid] = tree
        self.tell(uid)

    async def with_worktree(self, row: Row) -> Row:
        """Return the row with how its worktree stands now."""
        tree = await self._workshop.inspect(row.uid) if row.initialized else None
        return _with(row, tree) if tree is not None else row

    def _observed(self, row: Row) -> link_pb2.PodObserved:
        if (tree := self._trees.get(row.uid)) is not None:
            row = _with(row, tree)
        size = self._terminals.size(self._places.transcript(row.uid)) if row.started_ms else 0
        report = observed(row, size, self.activity(row.uid), self._journal.listed_ms(row))
        for source in self.sources:
            report.MergeFrom(source(row))
        if report.suspended:  # what is frozen does nothing, and is not stuck either
            for name in ("activity", "activity_unix_ms", "activity_evidence", "stuck"):
                report.ClearField(name)
        return report


def _with(row: Row, tree: WorktreeState) -> Row:
    return dataclasses.replace(
        row, branch=tree.branch or row.branch, commit=tree.commit or row.commit, dirty=tree.dirty
    )
