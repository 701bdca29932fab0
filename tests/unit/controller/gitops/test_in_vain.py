"""Fetches that were in vain: the same one is not made again, nor others at full speed."""

import pytest

from controller.gitops.in_vain import InVain
from controller.gitops.remote import LateError, MirrorError, RefusedError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.vain = InVain(lambda: self.now)

    def pause(self) -> float:
        """Return how long nothing is fetched from now on."""
        began = self.now
        while self.now < began + 10_000:
            try:
                self.vain.check_time()
            except MirrorError:
                self.now += 10
            else:
                return self.now - began
        raise AssertionError("for ever")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_commit_that_is_refused_is_not_fetched_again_within_an_hour(clock: Clock) -> None:
    clock.vain.note("c1", RefusedError("RepositoryTooLarge", "it is too large"))
    clock.now += 3599
    clock.vain.check_time()
    with pytest.raises(RefusedError, match=r"^it is too large$"):
        clock.vain.check("c1")
    clock.now += 2
    clock.vain.check("c1")


def test_another_commit_is_fetched_at_once_and_the_next_ones_after_longer_and_longer(
    clock: Clock,
) -> None:
    pauses = []
    for number in range(10):
        clock.vain.note(f"c{number}", RefusedError("RepositoryTooLarge", "it is too large"))
        pauses.append(clock.pause())
        clock.vain.check(f"c{number + 1}")
    assert pauses == [0, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_what_took_too_long_is_tried_again_after_a_pause_that_is_told(clock: Clock) -> None:
    clock.vain.note(None, LateError("RemoteSlow", "it was not fetched in time"))
    with pytest.raises(LateError, match="in time; it is fetched again after 1 min"):
        clock.vain.check_time()
    assert clock.pause() == 60
    clock.vain.check("c1")
    clock.vain.note(None, LateError("RemoteSlow", "it was not fetched in time"))
    assert clock.pause() == 120


def test_all_begins_anew_when_a_fetch_went_well(clock: Clock) -> None:
    for _ in range(4):
        clock.vain.note("c1", RefusedError("RepositoryTooLarge", "it is too large"))
    clock.vain.clear()
    assert not clock.vain.noted
    clock.vain.check_time()
    clock.vain.check("c1")
    clock.vain.note("c1", RefusedError("RepositoryTooLarge", "it is too large"))
    assert clock.pause() == 0
