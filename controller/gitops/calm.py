"""What a pass need not look at, because the last one left it in order. Pure.

The whole pass is the truth. A pass after it looks only at what differs, if nothing else can have
changed: nothing of the source on the API, nothing of its spec, and nothing that was left to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from controller.gitops.apply import SyncPlan
from controller.gitops.desired import Collected
from controller.gitops.joining import differing
from controller.gitops.values import Identity, Problem

WHOLE_SECONDS: Final = 3600.0
"""At least so often everything is looked at where commits come."""
_MOST: Final = 2000
"""With more resources than this, everything is looked at."""

Form = tuple[int, str | None, str]
"""What a pass goes by beside the commit: generation, request, and the commit that may prune."""


@dataclass(frozen=True, slots=True)
class Calm:
    """A pass after which everything was as the files said."""

    form: Form
    collected: Collected
    at: float
    """When everything was last looked at."""

    def concerned(self, form: Form, now: Collected, ticks: float) -> frozenset[Identity] | None:
        """Return the resources that a pass has to look at; None: all."""
        before = self.collected
        if form != self.form or ticks - self.at > WHOLE_SECONDS or now.suspects != before.suspects:
            return None
        found = differing(before.resources, now.resources)
        found |= (before.kept ^ now.kept) | (before.stale ^ now.stale)
        if paths := _paths(before.problems) ^ _paths(now.problems):
            found |= {each for each, known in now.resources.items() if known.path in paths}
        return frozenset(found) if len(found) <= _MOST else None


def is_calm(drawn: SyncPlan, refused: Iterable[object]) -> bool:
    """Whether nothing is left to do once the plan is carried out, and nothing waits for anybody."""
    left: Iterable[object] = (
        drawn.held,
        *drawn.problems,
        *drawn.waiting,
        *drawn.cancels,
        *refused,
    )
    return not drawn.loose and all(each is None for each in left)


def part(collected: Collected, only: frozenset[Identity]) -> Collected:
    """Return what the files ask for of these resources."""
    have = collected.resources
    return replace(collected, resources={each: have[each] for each in only if each in have})


def _paths(problems: Iterable[Problem]) -> set[str]:
    return {problem.path for problem in problems}
