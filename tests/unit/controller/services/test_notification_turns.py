"""Whose turn it is to be told something."""

from controller.services.notification_turns import AT_ONCE, OF_ONE, Turns


class Clock:
    """A clock that stands until it is set."""

    at = 100.0

    def __call__(self) -> float:
        return self.at


def many(home: str, count: int) -> list[tuple[str, str]]:
    return [(home, f"hook-{n:02}") for n in range(count)]


def test_one_organization_has_not_all_turns() -> None:
    turns = Turns()
    due = [*many("loud", 30), ("quiet", "chat")]
    taken = turns.take(due)
    assert ("quiet", "chat") in taken
    assert len(taken) == OF_ONE + 1
    assert turns.take(due) == ()


def test_there_are_so_many_turns_at_once() -> None:
    turns = Turns()
    due = [key for n in range(30) for key in many(f"home-{n}", 2)]
    taken = turns.take(due)
    assert len(taken) == AT_ONCE
    assert len({home for home, _ in taken}) == AT_ONCE


def test_all_come_in_their_turn_however_long_the_others_have_things_to_tell() -> None:
    turns = Turns()
    due = [key for n in range(30) for key in many(f"home-{n}", 9)]
    seen: set[tuple[str, str]] = set()
    for _ in range(len(due) // AT_ONCE + 1):
        taken = turns.take(due)
        seen |= set(taken)
        for key in taken:
            turns.end(key)
    assert seen == set(due)


def test_who_rests_has_no_turn_until_then() -> None:
    clock = Clock()
    turns = Turns(clock)
    turns.rest(("home", "chat"), 5)
    assert turns.take([("home", "chat")]) == ()
    assert turns.rests_seconds(("home", "chat")) == 5
    turns.rest(("home", "mail"), 5)
    turns.rest(("home", "mail"), 0)
    assert turns.take([("home", "mail")]) == (("home", "mail"),)
    clock.at += 5
    assert turns.take([("home", "chat")]) == (("home", "chat"),)


def test_who_is_forgotten_begins_anew_unless_it_has_a_turn() -> None:
    turns = Turns()
    turns.rest(("home", "chat"), 60)
    assert turns.take([("home", "mail")])
    turns.keep([])
    assert turns.take([("home", "chat"), ("home", "mail")]) == (("home", "chat"),)
