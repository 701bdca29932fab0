"""Gathers what the rows do not say: whose time is over, who must not run on, who is unsettled."""

from collections.abc import Iterable

from meshwire.v1 import link_pb2

from runner.converge.diff import Facts
from runner.converge.fence import Fence
from runner.converge.journal import Journal
from runner.converge.reports import Reports
from runner.converge.states import State
from runner.converge.timers import Moments, deadlines, idle_ends
from runner.converge.watch import Watch


class Gathering:
    """Makes the facts of each cycle."""

    def __init__(self, journal: Journal, reports: Reports, watch: Watch, fence: Fence) -> None:
        self._journal = journal
        self._reports = reports
        self._watch = watch
        self._fence = fence
        self._deadlines = Moments()
        self._idle_ends = Moments()
        self._doomed: dict[str, tuple[tuple[int, int], str]] = {}
        """Epoch and restart of the run, and the reason."""

    def doom(self, uid: str, reason: str) -> bool:
        """Note that the pod's present run must not go on; return whether there is one."""
        row = self._journal.rows.get(uid)
        if row is None or row.state is not State.RUNNING:
            return False
        self._doomed[uid] = (row.epoch, row.restart), reason
        return True

    def facts(self, pods: Iterable[link_pb2.PodDesired]) -> Facts:
        """Return what is so now, of the pods that are wanted."""
        rows, pods = self._journal.rows, tuple(pods)
        self._deadlines.see(deadlines(pods, rows))
        self._idle_ends.see(idle_ends(pods, self._reports.get, self._expecting()))
        for uid, (run, _) in list(self._doomed.items()):
            row = rows.get(uid)
            if row is None or (row.epoch, row.restart) != run or row.state is not State.RUNNING:
                del self._doomed[uid]
        return Facts(
            unsettled=frozenset(self._watch.unsettled),
            overdue=self._deadlines.passed(),
            idle=self._idle_ends.passed(),
            doomed={uid: reason for uid, (_, reason) in self._doomed.items()},
            strays=self._watch.strays(),
            cut_off=self._fence.cut_off(),
        )

    def next_seconds(self) -> float:
        """Return the seconds until the next change by itself; a minute at most."""
        return min(each.next_seconds() for each in (self._deadlines, self._idle_ends, self._fence))

    def _expecting(self) -> frozenset[str]:
        """Return the pods that a prompt is on its way to: they are not idle for nothing."""
        deliveries = self._journal.deliveries.values()
        return frozenset(each.uid for each in deliveries if each.is_open)
