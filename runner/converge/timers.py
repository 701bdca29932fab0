"""When something is to be looked at again, in monotonic time: a clock that jumps kills nobody."""

import time
from collections.abc import Callable, Iterable, Mapping

from meshwire.v1 import link_pb2

from runner.clock import wall_ms
from runner.converge.diff import Verb
from runner.converge.states import Row

_CAP_SECONDS = {Verb.START: 300.0, Verb.RESTART: 300.0}
_DEFAULT_CAP_SECONDS = 60.0


class Timers:
    """Waits before repeated attempts, per pod and verb."""

    def __init__(self) -> None:
        self._due: dict[tuple[str, Verb], float] = {}
        self._attempts: dict[tuple[str, Verb], int] = {}

    def failed(self, uid: str, verb: Verb) -> float:
        """Note a failed attempt; return the seconds until the next: 1, 2, 4, … up to a cap."""
        key = (uid, verb)
        attempt = self._attempts.get(key, 0)
        self._attempts[key] = attempt + 1
        wait: float = min(_CAP_SECONDS.get(verb, _DEFAULT_CAP_SECONDS), 2.0 ** min(attempt, 16))
        self._due[key] = time.monotonic() + wait
        return wait

    def delay(self, uid: str, verb: Verb, seconds: float) -> None:
        """Make the verb wait so long, unless it waits already."""
        self._due.setdefault((uid, verb), time.monotonic() + seconds)

    def is_delayed(self, uid: str, verb: Verb) -> bool:
        """Whether a wait was set and not cleared, over or not."""
        return (uid, verb) in self._due

    def is_waiting(self, uid: str, verb: Verb) -> bool:
        """Whether the verb has to wait still."""
        return self._due.get((uid, verb), 0.0) > time.monotonic()

    def clear(self, uid: str, *verbs: Verb) -> None:
        """Forget waits and attempts of the pod: of these verbs, or of all."""
        for verb in verbs or tuple(Verb):
            self._due.pop((uid, verb), None)
            self._attempts.pop((uid, verb), None)

    def next_seconds(self) -> float:
        """Return the seconds until the next wait is over; a minute at most."""
        now = time.monotonic()
        return min((due - now for due in self._due.values() if due > now), default=60.0)


class Moments:
    """Moments of the wall clock, turned into monotonic ones when first seen.

    The wall clock is asked once per moment: if it jumps later, the pod keeps its time.
    """

    def __init__(self) -> None:
        self._due: dict[str, tuple[int, float]] = {}

    def see(self, moments: Mapping[str, int]) -> None:
        """Take all moments, in milliseconds since 1970, by pod; those of others are forgotten."""
        seen: dict[str, tuple[int, float]] = {}
        for uid, at_ms in moments.items():
            known = self._due.get(uid)
            if known is None or known[0] != at_ms:
                known = (at_ms, time.monotonic() + (at_ms - wall_ms()) / 1000)
            seen[uid] = known
        self._due = seen

    def passed(self) -> frozenset[str]:
        """Return the pods whose moment has passed."""
        now = time.monotonic()
        return frozenset(uid for uid, (_, due) in self._due.items() if due <= now)

    def next_seconds(self) -> float:
        """Return the seconds until the next one; a minute at most."""
        now = time.monotonic()
        return min((due - now for _, due in self._due.values() if due > now), default=60.0)


def deadlines(desired: Iterable[link_pb2.PodDesired], rows: Mapping[str, Row]) -> Mapping[str, int]:
    """Return until when pods may run, by uid. Frozen ones have time: it is not counted."""
    found: dict[str, int] = {}
    for pod in desired:
        uid, row = pod.ref.pod_uid, rows.get(pod.ref.pod_uid)
        if row is not None and row.is_held:
            continue
        if pod.active_deadline_seconds and row is not None:
            if row.active_ms and not row.stopped:
                found[uid] = row.active_ms + row.frozen_ms + pod.active_deadline_seconds * 1000
        elif pod.deadline_unix_ms > 0 and not pod.active_deadline_seconds:
            found[uid] = pod.deadline_unix_ms  # of an older controller
    return found


def idle_ends(
    desired: Iterable[link_pb2.PodDesired],
    report: Callable[[str], link_pb2.PodObserved | None],
    expects: frozenset[str],
) -> Mapping[str, int]:
    """Return until when pods may be idle, by uid; only of those that are, with evidence.

    *expects*: pods that a prompt is on its way to.
    """
    found: dict[str, int] = {}
    for pod in desired:
        uid = pod.ref.pod_uid
        if not pod.idle_timeout_seconds or uid in expects:
            continue
        said = report(uid)
        if said is None or said.state != link_pb2.RUNNING or said.suspended:
            continue
        if said.activity == "idle" and said.activity_evidence and said.activity_unix_ms > 0:
            found[uid] = said.activity_unix_ms + pod.idle_timeout_seconds * 1000
    return found


def by_uid(pods: Iterable[link_pb2.PodDesired]) -> Mapping[str, link_pb2.PodDesired]:
    """Return the pods by their uid."""
    return {pod.ref.pod_uid: pod for pod in pods}
