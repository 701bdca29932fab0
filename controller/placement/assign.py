"""Chooses runners for waiting pods. Pure and deterministic.

First come, first served: pods in order of their creation, each on the runner with the fewest pods
that fits, by name where that is equal. A pod that fits nowhere holds up nobody else.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from controller.kernel.reconciler import Finding
from controller.kernel.redact import redact
from schemas.agentpod import Isolation


@dataclass(frozen=True, slots=True)
class Candidate:
    """A runner, as far as placement is concerned."""

    name: str
    uid: str
    labels: Mapping[str, str]
    connected: bool
    cordoned: bool
    banned: bool
    """Suspended or being deleted."""
    max_pods: int | None
    """None: no limit."""
    used: int
    """Pods placed on it that have not ended."""
    isolations: tuple[str, ...]
    """Sandboxes that it can make; ``none`` where its operator lets pods do without."""
    problems: Mapping[str, str] | None = None
    """By executable that it has looked for, why it is not there (empty: it is). None: it never
    says, as older runners do not."""


@dataclass(frozen=True, slots=True)
class Need:
    """A pod that waits for a runner."""

    uid: str
    created: str
    """metadata.creationTimestamp: who came first."""
    name: str
    runner_name: str | None
    selector: tuple[tuple[str, str], ...]
    isolation: Isolation
    executable: str
    """The agent's program."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The runner that a pod gets."""

    runner_name: str
    runner_uid: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many pods of the organization may run."""

    running: int
    limit: int | None
    """None: not limited."""


class Obstacle(StrEnum):
    """What keeps a pod from a runner, as a reason. In order: what is looked at first."""

    SELECTOR = "SelectorMismatch"
    BANNED = "RunnerBanned"
    CORDONED = "RunnerCordoned"
    OFFLINE = "RunnerOffline"
    ISOLATION = "IsolationUnavailable"
    UNSEEN = "AgentNotLookedFor"
    AGENT = "AgentNotFound"
    FULL = "RunnerFull"


_SAYS: Mapping[Obstacle, tuple[str, str]] = {
    Obstacle.SELECTOR: ("does not have the labels", "do not have the labels"),
    Obstacle.BANNED: ("is suspended or being deleted", "are suspended or being deleted"),
    Obstacle.CORDONED: ("is cordoned", "are cordoned"),
    Obstacle.OFFLINE: ("is not connected", "are not connected"),
    Obstacle.ISOLATION: (
        "does not offer sandbox.isolation as asked for",
        "do not offer sandbox.isolation as asked for",
    ),
    Obstacle.UNSEEN: (
        "has not said yet whether it has the agent's program",
        "have not said yet whether they have the agent's program",
    ),
    Obstacle.AGENT: ("does not have the agent's program", "do not have the agent's program"),
    Obstacle.FULL: ("is full", "are full"),
}

Verdict = Assignment | Finding


def assign(
    needs: Iterable[Need], candidates: Sequence[Candidate], allowance: Allowance
) -> dict[str, Verdict]:
    """Return for each need, by uid, the runner that it gets, or why it gets none."""
    free = {candidate.uid: candidate for candidate in candidates}
    verdicts: dict[str, Verdict] = {}
    for need in sorted(needs, key=lambda item: (item.created, item.name, item.uid)):
        verdict = choose(need, tuple(free.values()), allowance)
        verdicts[need.uid] = verdict
        if isinstance(verdict, Assignment):
            taken = free[verdict.runner_uid]
            free[taken.uid] = replace(taken, used=taken.used + 1)
            allowance = replace(allowance, running=allowance.running + 1)
    return verdicts


def choose(need: Need, candidates: Sequence[Candidate], allowance: Allowance) -> Verdict:
    """Return the runner for one pod, or why there is none."""
    if allowance.limit is not None and allowance.running >= allowance.limit:
        return Finding(
            "QuotaExceeded",
            f"{allowance.running} pods of the organization run and quota.runningAgentPods is "
            f"{allowance.limit}: it waits until one ends",
        )
    if not candidates:
        return Finding(
            "NoRunner", "the organization has no runner: enrol one (agentsmesh enroll create)"
        )
    if need.runner_name is not None:
        candidates = [item for item in candidates if item.name == need.runner_name]
        if not candidates:
            return Finding("RunnerNotFound", f"runnerName: there is no Runner {need.runner_name!r}")
    obstacles = [(candidate, _obstacle(need, candidate)) for candidate in candidates]
    fitting = [candidate for candidate, obstacle in obstacles if obstacle is None]
    if not fitting:
        refusal = _refusal([obstacle for _, obstacle in obstacles if obstacle is not None])
        return _with_problem(refusal, need, obstacles)
    best = min(fitting, key=lambda item: (item.used, item.name))
    return Assignment(best.name, best.uid)


def _obstacle(need: Need, candidate: Candidate) -> Obstacle | None:
    if any(candidate.labels.get(key) != value for key, value in need.selector):
        return Obstacle.SELECTOR
    if candidate.banned:
        return Obstacle.BANNED
    if candidate.cordoned:
        return Obstacle.CORDONED
    if not candidate.connected:
        return Obstacle.OFFLINE
    if not _isolates(need, candidate):
        return Obstacle.ISOLATION
    if candidate.problems is not None:
        problem = candidate.problems.get(need.executable)
        if problem is None:
            return Obstacle.UNSEEN
        if problem:
            return Obstacle.AGENT
    if candidate.max_pods is not None and candidate.used >= candidate.max_pods:
        return Obstacle.FULL
    return None


def _isolates(need: Need, candidate: Candidate) -> bool:
    match need.isolation:
        case Isolation.REQUIRED:
            return bool(set(candidate.isolations) - {"none", "landlock-partial"})
        case Isolation.PREFERRED:
            return bool(candidate.isolations)
        case Isolation.NONE:
            return "none" in candidate.isolations


def _refusal(obstacles: Sequence[Obstacle]) -> Finding:
    """Say why nobody fits; the reason is the obstacle of the runner that came closest."""
    order = list(Obstacle)
    counts = Counter(obstacles)
    parts = []
    for obstacle in order:
        if number := counts[obstacle]:
            one, many = _SAYS[obstacle]
            parts.append(f"{number} {one if number == 1 else many}")
    closest = max(obstacles, key=order.index)
    total = len(obstacles)
    noun = "runner fits" if total == 1 else "runners fit"
    return Finding(str(closest), f"0 of {total} {noun}: {', '.join(parts)}")


def _with_problem(
    refusal: Finding, need: Need, obstacles: Iterable[tuple[Candidate, Obstacle | None]]
) -> Finding:
    """Add what the first of the runners without the agent's program says about it."""
    if refusal.reason != Obstacle.AGENT:
        return refusal
    without = [candidate for candidate, obstacle in obstacles if obstacle is Obstacle.AGENT]
    first = min(without, key=lambda item: item.name)
    problem = (first.problems or {})[need.executable]
    return refusal._replace(message=redact(f"{refusal.message}; {first.name} says: {problem}"))
