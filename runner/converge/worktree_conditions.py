"""What is to be said of a pod's worktree, as conditions of the pod."""

from collections.abc import Callable
from typing import Final, Protocol

from meshwire.v1 import link_pb2

from runner.converge.reports import sentence
from runner.converge.states import ALIVE, Row
from runner.drivers.worktree_values import UNREAD, Finding

_MOST: Final = 4


class Findings(Protocol):
    """What is needed of ``runner.drivers.worktree.GitWorktrees``."""

    def findings(self, uid: str) -> tuple[Finding, ...]:
        """Return what is to be said."""
        ...


def worktree_conditions(worktrees: Findings) -> Callable[[Row], link_pb2.PodObserved]:
    """Return what a report is asked for: conditions of a pod's worktree, all of them False.

    Of a pod that has ended only that nobody can tell how its worktree stands.
    """

    def source(row: Row) -> link_pb2.PodObserved:
        found = worktrees.findings(row.uid)
        if row.state not in ALIVE:
            found = tuple(each for each in found if each.kind == UNREAD)
        return link_pb2.PodObserved(conditions=[_condition(each) for each in found[:_MOST]])

    return source


def _condition(finding: Finding) -> link_pb2.PodCondition:
    return link_pb2.PodCondition(
        type=finding.kind, status=False, reason=finding.reason, message=sentence(finding.message)
    )
