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
        self._promises: dict[str, dict[str, str]] = {}
        """By namespace: uid of the promised runner by the pod's."""

    def ask(self, namespace: str, need: Need) -> Verdict:
        """Return the pod's verdict, and remember that it waits."""
        waiting = self._needs.setdefault(namespace, {})
        if waiting.get(need.uid) != need:
            waiting[need.uid] = need
            candidates, allowance = self._with_promises(namespace, without=need.uid)
            self._decide(namespace, need.uid, choose(need, candidates, allowance))
        return self._verdicts[need.uid]

    def drop(self, namespace: str, uid: str) -> None:
        """Forget a pod: it is placed, gone, or must not be placed."""
        for table in (self._needs, self._promises):
            table.get(namespace, {}).pop(uid, None)
        self._verdicts.pop(uid, None)

    def waiting(self, namespace: str) -> int:
        """Return how many pods wait."""
        return len(self._needs.get(namespace, {}))

    def review(self, namespace: str) -> list[str]:
        """Look at all who wait; return the uids of those whose verdict changed.

        Promises are kept while their runner could still keep them.
        """
        needs = self._needs.get(namespace, {})
        candidates, _ = self._surroundings(namespace)
        usable = {c.uid for c in candidates if c.connected and not (c.banned or c.cordoned)}
        promises = self._promises.setdefault(namespace, {})
        for uid in [uid for uid, runner in promises.items() if runner not in usable]:
            del promises[uid], self._verdicts[uid]
        candidates, allowance = self._with_promises(namespace)
        open_needs = [need for need in needs.values() if need.uid not in promises]
        changed = []
        for uid, verdict in assign(open_needs, candidates, allowance).items():
            if self._verdicts.get(uid) != verdict:
                self._decide(namespace, uid, verdict)
                changed.append(uid)
        return changed

    def _decide(self, namespace: str, uid: str, verdict: Verdict) -> None:
        self._verdicts[uid] = verdict
        promises = self._promises.setdefault(namespace, {})
        if isinstance(verdict, Assignment):
            promises[uid] = verdict.runner_uid
        else:
            promises.pop(uid, None)

    def _with_promises(
        self, namespace: str, without: str = ""
    ) -> tuple[list[Candidate], Allowance]:
        candidates, allowance = self._surroundings(namespace)
        promises = self._promises.get(namespace, {})
        taken = Counter(runner for uid, runner in promises.items() if uid != without)
        counted = [_with(candidate, taken[candidate.uid]) for candidate in candidates]
        return counted, Allowance(allowance.running + taken.total(), allowance.limit)


def _with(candidate: Candidate, more: int) -> Candidate:
    return replace(candidate, used=candidate.used + more) if more else candidate
