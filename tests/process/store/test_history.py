"""The checker itself: it accepts what can be, and names what cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.process.store.history import History, Sent, Stored, problems

HELD = Stored(
    messages=((1, "A", "a"), (2, "B", "b"), (3, "C", "c")),
    entries=("x", "y"),
    deliveries=("A", "B", "C"),
)


def _seen() -> History:
    return History(
        sent=[Sent("a", 1, "A", 0, 1), Sent("b", 2, "B", 0.5, 2), Sent("a", 1, "A", 0, 4)],
        unknown={"c", "d"},
        entries=["x"],
        unknown_entries={"y", "z"},
    )


def test_a_history_that_can_be_has_no_problems() -> None:
    assert problems(_seen(), HELD) == []


@pytest.mark.parametrize(
    ("held", "want"),
    [
        pytest.param({"messages": HELD.messages[:2]}, "deliveries", id="a delivery too many"),
        pytest.param({"messages": HELD.messages[1:]}, "a was acknowledged and is lost", id="lost"),
        pytest.param(
            {"messages": (*HELD.messages, (4, "D", "c"))}, "c is stored 2 times", id="doubled"
        ),
        pytest.param(
            {"messages": ((1, "A", "a"), (3, "B", "b"))}, "not 1 to 2 in order", id="a gap"
        ),
        pytest.param(
            {"messages": ((2, "B", "b"), (1, "A", "a"))}, "not 1 to 2 in order", id="not in order"
        ),
        pytest.param(
            {"messages": ((1, "B", "b"), (2, "A", "a"))},
            "a was acknowledged as 1, and is another one",
            id="swapped",
        ),
        pytest.param(
            {"messages": (*HELD.messages, (4, "E", "e"))}, "e was never sent", id="made up"
        ),
        pytest.param({"entries": ("y",)}, "entry x was acknowledged", id="a lost entry"),
        pytest.param({"entries": ("x", "x")}, "entry x is in the document 2", id="entered twice"),
        pytest.param({"entries": ("x", "w")}, "entry w was never written", id="an entry made up"),
        pytest.param({"deliveries": ("A", "C", "B")}, "deliveries", id="deliveries in disorder"),
    ],
)
def test_what_cannot_be_is_named(held: dict[str, object], want: str) -> None:
    found = problems(_seen(), replace(HELD, **held))
    assert any(want in problem for problem in found), found


def test_an_order_against_time_is_named() -> None:
    seen = History(sent=[Sent("a", 2, "A", 0, 1), Sent("b", 1, "B", 2, 3)])
    held = Stored(((1, "B", "b"), (2, "A", "a")), (), ("B", "A"))
    assert problems(seen, held) == ["a was answered before one of a lower sequence was sent"]
