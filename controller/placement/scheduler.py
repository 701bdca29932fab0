"""Remembers who waits for a runner and who was promised one.

A promise counts at once, before the API has it, so that two pods are never given the same place.
A pod that comes is looked at alone; when a place may have become free, all who wait in the
namespace are looked at again, first come, first served.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from controller.placement.assign import (
    Allowance,
    Assignment,
    Candidate,
    Need,
    Verdict,
    assign,
    choose,
)

PLACEMENT: Final = "Placement"
"""Kind of the keys that ask for a review: one per namespace, without a name."""

Surroundings = Callable[[str], tuple[Sequence[Candidate], Allowance]]
"""Return a namespace's runners and allowance, as the API knows them: without promises."""


class Scheduler:
    """Needs and verdicts, by namespace and uid."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._needs: dict[str, dict[str, Need]] = {}
        self._verdicts: dict[str, Verdict] = {}

    def ask(self, namespace: str, need: Need) -> Verdict:
        """Return the pod's verdict, and remember that it waits."""
        waiting = self._needs.setdefault(namespace, {})
        if waiting.get(need.uid) != need:
            waiting[need.uid] = need
            candidates, allowance = self._with_promises(namespace, without=need.uid)
            self._verdicts[need.uid] = choose(need, candidates, allowance)
        return self._verdicts[need.uid]

    def drop(self, namespace: str, uid: str) -> None:
        """Forget a pod: it is placed, gone, or must not be placed."""
        self._needs.get(namespace, {}).pop(uid, None)
        self._verdicts.pop(uid, None)

    def waiting(self, namespace: str) -> int:
        """Return how many pods wait."""
        return len(self._needs.get(namespace, {}))

    def review(self, namespace: str) -> list[str]:
        """Look at all who wait; return the uids of those whose verdict changed.

        Promises are kept while their runner could still keep them.
        """
        needs = self._needs.get(namespace, {})
        promised = self._promises(namespace)
        candidates, allowance = self._with_promises(namespace)
        usable = {c.uid for c in candidates if c.connected and not (c.banned or c.cordoned)}
        for uid in [uid for uid, runner in promised.items() if runner not in usable]:
            del self._verdicts[uid]
        candidates, allowance = self._with_promises(namespace)
        open_needs = [n for n in needs.values() if not self._promised(n.uid)]
        changed = []
        for uid, verdict in assign(open_needs, candidates, allowance).items():
            if self._verdicts.get(uid) != verdict:
                self._verdicts[uid] = verdict
                changed.append(uid)
        return changed

    def _promised(self, uid: str) -> bool:
        return isinstance(self._verdicts.get(uid), Assignment)

    def _promises(self, namespace: str) -> dict[str, str]:
        """Return the promised runner's uid by the pod's."""
        found = {}
        for uid in self._needs.get(namespace, {}):
            verdict = self._verdicts.get(uid)
            if isinstance(verdict, Assignment):
                found[uid] = verdict.runner_uid
        return found

    def _with_promises(
        self, namespace: str, without: str = ""
    ) -> tuple[list[Candidate], Allowance]:
        candidates, allowance = self._surroundings(namespace)
        promises = {u: r for u, r in self._promises(namespace).items() if u != without}
        taken = Counter(promises.values())
        counted = [_with(candidate, taken[candidate.uid]) for candidate in candidates]
        return counted, Allowance(allowance.running + len(promises), allowance.limit)


def _with(candidate: Candidate, more: int) -> Candidate:
    return replace(candidate, used=candidate.used + more) if more else candidate
