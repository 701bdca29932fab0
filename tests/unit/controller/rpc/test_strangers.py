"""Whose tokens are looked at, when an address has come with many that are nobody's."""

from controller.rpc.strangers import KNOWN_SECONDS, Strangers


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def flooded(strangers: Strangers, peer: str = "127.0.0.1") -> None:
    for number in range(40):
        if not strangers.must_wait(peer, f"garbage-{number}"):
            strangers.refused(peer, f"garbage-{number}")


def test_garbage_makes_its_address_wait_and_no_other() -> None:
    strangers = Strangers(ticks=Clock())
    flooded(strangers)
    assert strangers.must_wait("127.0.0.1", "new")
    assert not strangers.must_wait("127.0.0.2", "new")


def test_who_was_let_in_before_is_not_locked_out_by_garbage_of_others() -> None:
    clock = Clock()
    strangers = Strangers(ticks=clock)
    strangers.accepted("ada")
    clock.now += KNOWN_SECONDS - 1
    flooded(strangers)
    assert not strangers.must_wait("127.0.0.1", "ada")
    clock.now += 1
    flooded(strangers)
    assert strangers.must_wait("127.0.0.1", "ada")


def test_a_token_that_was_withdrawn_is_a_strangers_again() -> None:
    strangers = Strangers(ticks=Clock())
    strangers.accepted("ada")
    strangers.refused("127.0.0.1", "ada")
    flooded(strangers)
    assert strangers.must_wait("127.0.0.1", "ada")


def test_an_address_may_come_again_after_a_while() -> None:
    clock = Clock()
    strangers = Strangers(ticks=clock)
    flooded(strangers)
    clock.now += 1
    assert not strangers.must_wait("127.0.0.1", "new")
