"""Restarts become slower, and quick again after a healthy time."""

from cli.up.backoff import Backoff


def test_waits_double_up_to_the_longest():
    backoff, failures, waits = Backoff(), 0, []
    for _ in range(9):
        failures, wait = backoff.next(failures, lived_seconds=1.0)
        waits.append(wait)
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_process_that_had_worked_is_soon_there_again():
    backoff, failures, waits = Backoff(), 0, []
    for _ in range(5):
        failures, wait = backoff.next(failures, lived_seconds=1.0, worked=True)
        waits.append(wait)
    assert waits == [0.5, 1.0, 1.0, 1.0, 1.0]


def test_a_process_that_lived_long_begins_anew():
    assert Backoff().next(8, lived_seconds=61.0) == (1, 0.5)


def test_thousands_of_failures_do_not_overflow():
    assert Backoff().next(100_000, lived_seconds=0.0)[1] == 30.0
