"""Worktrees of agents at work are looked at now and then, and those of idle ones not at all."""

from runner.converge.freshness import Freshness


def looks(freshness: Freshness, size: object, seconds: int) -> list[int]:
    """Return when a look was due, in a time in which the transcript's length is size(second)."""
    found = []
    for now in range(seconds):
        freshness.see({"a": size(now)}, float(now))  # type: ignore[operator]
        if freshness.due(float(now)) == "a":
            found.append(now)
    return found


def test_an_agent_that_writes_on_and_on_is_looked_at_once_a_minute() -> None:
    assert looks(Freshness(), lambda now: now, 200) == [60, 120, 180]


def test_the_end_of_output_is_followed_by_one_last_look() -> None:
    assert looks(Freshness(), lambda now: min(now, 70), 4000) == [60, 100]


def test_an_agent_that_writes_nothing_is_looked_at_once() -> None:
    assert looks(Freshness(), lambda _: 7, 4000) == [30]


def test_a_quick_life_costs_no_look() -> None:
    assert looks(Freshness(), lambda now: now, 30) == []


def test_who_waits_longest_comes_first_and_pods_that_are_gone_never() -> None:
    freshness = Freshness()
    freshness.see({"b": 1}, 0.0)
    freshness.see({"b": 1, "a": 1, "gone": 1}, 1.0)
    freshness.see({"b": 1, "a": 1}, 40.0)
    assert [freshness.due(41.0) for _ in range(3)] == ["b", "a", None]
