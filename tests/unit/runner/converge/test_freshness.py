"""A worktree is looked at when something changed in it, and hardly ever otherwise."""

import itertools
from collections.abc import Callable, Iterable

from runner.converge.freshness import Freshness


class Seeing:
    """Sees what a test says."""

    def __init__(self) -> None:
        self.now: set[str] = set()
        self.kept: set[str] = set()

    def changed(self) -> set[str]:
        found, self.now = self.now, set()
        return found

    def is_watched(self, uid: str) -> bool:
        return uid != "unwatched"

    def keep(self, uids: Iterable[str]) -> None:
        self.kept = set(uids)


def looks(
    freshness: Freshness, size: Callable[[int], int], seconds: int, uid: str = "a"
) -> list[int]:
    """Return when a look was due, in a time in which the transcript's length is size(second)."""
    found = []
    for now in range(seconds):
        freshness.see({uid: size(now)}, float(now))
        freshness.look(float(now))
        if freshness.due(float(now)) == uid:
            found.append(now)
    return found


def test_a_new_pod_is_looked_at_soon_and_an_idle_one_never_again() -> None:
    assert looks(Freshness(Seeing()), lambda _: 7, 4000) == [1]


def test_a_watched_agent_that_writes_on_and_on_is_looked_at_once_a_minute() -> None:
    assert looks(Freshness(Seeing()), lambda now: now, 200) == [1, 61, 121, 181]


def test_the_end_of_output_is_followed_by_one_last_look() -> None:
    assert looks(Freshness(Seeing()), lambda now: min(now, 70), 4000) == [1, 61, 100]


def test_what_cannot_be_watched_is_looked_at_while_there_is_output() -> None:
    assert looks(Freshness(Seeing()), lambda now: min(now, 7), 100, "unwatched") == [1, 4, 7]


def test_a_change_is_looked_at_within_five_seconds_however_many_follow() -> None:
    sight = Seeing()
    freshness = Freshness(sight)
    looks(freshness, lambda _: 7, 10)
    found = []
    for step in range(100, 400):  # tenths of a second; something changes all the time
        freshness.see({"a": 7}, step / 10)
        sight.now = {"a"} if step < 300 else set()
        freshness.look(step / 10)
        if freshness.due(step / 10) == "a":
            found.append(step / 10)
    gaps = [late - early for early, late in itertools.pairwise(found)]
    assert found[0] <= 10.6
    assert max(gaps) < 5
    assert min(gaps) >= 3
    assert 29.9 <= found[-1] <= 34


def test_who_waits_longest_comes_first_and_pods_that_are_gone_never() -> None:
    sight = Seeing()
    freshness = Freshness(sight)
    freshness.see({"b": 1}, 0.0)
    freshness.see({"b": 1, "a": 1, "gone": 1}, 1.0)
    freshness.see({"b": 1, "a": 1}, 2.0)
    assert [freshness.due(3.0) for _ in range(3)] == ["b", "a", None]
    assert sight.kept == {"a", "b"}
