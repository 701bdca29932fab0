"""When something is to be looked at again, in monotonic time: a clock that jumps kills nobody."""

import time
from collections.abc import Iterable, Mapping

from meshwire.v1 import link_pb2

from runner.clock import wall_ms
from runner.converge.diff import Verb

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


class Deadlines:
    """Deadlines of pods, turned into monotonic ones when first seen.

    The wall clock is asked once per deadline: if it jumps later, the pod keeps its time.
    """

    def __init__(self) -> None:
        self._due: dict[str, tuple[int, float]] = {}

    def see(self, pods: Iterable[link_pb2.PodDesired]) -> None:
        """Take the deadlines of all wanted pods; those of others are forgotten."""
        seen: dict[str, tuple[int, float]] = {}
        for pod in pods:
            deadline = pod.deadline_unix_ms
            if deadline <= 0:
                continue
            known = self._due.get(pod.ref.pod_uid)
            if known is None or known[0] != deadline:
                known = (deadline, time.monotonic() + (deadline - wall_ms()) / 1000)
            seen[pod.ref.pod_uid] = known
        self._due = seen

    def overdue(self) -> frozenset[str]:
        """Return the pods whose deadline passed."""
        now = time.monotonic()
        return frozenset(uid for uid, (_, due) in self._due.items() if due <= now)

    def next_seconds(self) -> float:
        """Return the seconds until the next deadline; a minute at most."""
        now = time.monotonic()
        return min((due - now for _, due in self._due.values() if due > now), default=60.0)


def restart_seconds(failures: int) -> float:
    """Return how long to wait before a restart after so many failures in a row: 1 s to 5 min."""
    return min(300.0, 2.0 ** min(16, max(0, failures - 1)))


def by_uid(pods: Iterable[link_pb2.PodDesired]) -> Mapping[str, link_pb2.PodDesired]:
    """Return the pods by their uid."""
    return {pod.ref.pod_uid: pod for pod in pods}
