"""What the API server did not take, so that it is not asked the same again and again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from controller.gitops.apply import Live, SyncPlan
from controller.gitops.desired import Collected, Known
from controller.gitops.values import Identity, Problem
from controller.gitops.writing import QUOTA_EXCEEDED

AGAIN_SECONDS: Final = 300.0
"""After this long it is asked again, or when anything of file or resource has changed."""


SOON_SECONDS: Final = 30.0
"""The same of a quota, which may be free again."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    digest: str
    version: str
    """resourceVersion of the resource; empty: it was to be created."""
    problem: Problem
    until: float


class Refusals:
    """The refusals of one source."""

    def __init__(self) -> None:
        self._kept: dict[Identity, _Refusal] = {}
        self._skipped: set[Identity] = set()

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Have everything tried again."""
        self._kept.clear()

    @property
    def due(self) -> float:
        """Return when something is to be tried again; infinity: nothing is."""
        return min((one.until for one in self._kept.values()), default=math.inf)

    def without(
        self, drawn: SyncPlan, live: Mapping[Identity, Live], now: float
    ) -> tuple[SyncPlan, list[Problem]]:
        """Return the plan without what was refused in this very form, and why it was."""
        skipped: list[Problem] = []
        self._skipped.clear()

        def again(known: Known) -> bool:
            last = self._kept.get(known.identity)
            if last is None or last.until <= now:
                return True
            if (last.digest, last.version) != (known.digest, _version(known.identity, live)):
                return True
            skipped.append(last.problem._replace(path=known.path))
            self._skipped.add(known.identity)
            return False

        creates = tuple(known for known in drawn.creates if again(known))
        changes = tuple(change for change in drawn.changes if again(change.known))
        return replace(drawn, creates=creates, changes=changes), skipped

    def keep(
        self,
        refused: Mapping[Identity, Problem],
        collected: Collected,
        live: Mapping[Identity, Live],
        now: float,
    ) -> None:
        """Remember what was refused of what the files ask for, and nothing else any more."""
        for identity in self._kept.keys() - self._skipped:
            del self._kept[identity]
        for identity, problem in refused.items():
            self._kept[identity] = _Refusal(
                collected.resources[identity].digest,
                _version(identity, live),
                problem,
                now + (SOON_SECONDS if problem.reason == QUOTA_EXCEEDED else AGAIN_SECONDS),
            )


def _version(identity: Identity, live: Mapping[Identity, Live]) -> str:
    there = live.get(identity)
    return there.item.metadata.resource_version if there is not None else ""
