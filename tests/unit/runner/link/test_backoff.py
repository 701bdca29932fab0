"""Waits between attempts: short while a server has just gone, long when it stays away."""

from runner.link.backoff import Backoff


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_server_that_was_away_for_seconds_is_found_within_half_of_that_again():
    clock = Clock()
    backoff = Backoff(clock=clock)
    for _ in range(50):  # many short waits by chance
        backoff.next_seconds()
    clock.now += 6
    assert max(backoff.next_seconds() for _ in range(200)) <= 3


def test_a_server_that_stays_away_is_asked_seldom_and_never_less_than_twice_a_minute():
    clock = Clock()
    backoff = Backoff(clock=clock)
    for _ in range(20):
        backoff.next_seconds()
    clock.now += 3600
    waits = [backoff.next_seconds() for _ in range(500)]
    assert 20 < max(waits) <= 30


def test_what_the_server_asked_for_is_kept_and_a_success_begins_anew():
    clock = Clock()
    backoff = Backoff(clock=clock)
    assert backoff.next_seconds(5.0) >= 5.0
    clock.now += 3600
    backoff.next_seconds()
    backoff.reset()
    assert max(Backoff(clock=clock).next_seconds() for _ in range(99)) <= 1.0
    assert backoff.next_seconds() <= 1.0
