"""Senders take turns at a pod, each in its own order, and few prompts are on their way at once."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.services.waiting import MAX_IN_FLIGHT, Waiting, WaitingRoom, identity
from controller.store.records import Delivery, DeliveryKind, DeliveryState, Sender, SenderKind

WHEN = datetime(2027, 1, 15, tzinfo=UTC)
QUEUED, ACCEPTED, SUBMITTED = (
    DeliveryState.QUEUED,
    DeliveryState.ACCEPTED,
    DeliveryState.SUBMITTED,
)


def waiting(name: str, sender: str = "a", state: DeliveryState = QUEUED, pod: str = "p") -> Waiting:
    delivery = Delivery(
        *(name, "acme", pod, "fix", "text", DeliveryKind.MENTION, "c", "m", state, "", ""),
        *(WHEN, WHEN, WHEN),
    )
    return Waiting.of(delivery, sender)


def room(*names: str) -> WaitingRoom:
    """Return a room where these wait; the sender is the first letter."""
    found = WaitingRoom()
    for name in names:
        found.add(waiting(name, name[0]))
    return found


def due(found: WaitingRoom, *sent: str) -> list[str]:
    places = {name: place for place, name in enumerate(sent)}
    return [one.delivery_id for one in found.due("p", places)]


@pytest.mark.parametrize(
    ("names", "sent", "expected"),
    [
        pytest.param("a1 a2 b1", "", "a1 b1 a2", id="the first of each before the second of any"),
        pytest.param("a1 a2 b1", "a1 a2", "a1 a2 b1", id="what was sent is not called back"),
        pytest.param("a1 b1 a2", "b1 a1", "b1 a1 a2", id="what was sent keeps its place"),
        pytest.param("a1 a2 a3 b1 b2", "a1", "a1 b1 a2 b2 a3", id="what was sent counts"),
        pytest.param(
            "a1 a2 a3 a4 a5 a6 a7 a8 a9",
            "",
            "a1 a2 a3 a4 a5 a6 a7 a8",
            id="no more than so many at once",
        ),
    ],
)
def test_turns(names: str, sent: str, expected: str) -> None:
    assert due(room(*names.split()), *sent.split()) == expected.split()


@given(st.lists(st.sampled_from("abcde"), max_size=60), st.data())
def test_every_sender_is_served_in_its_order_and_none_waits_for_a_flood(
    senders: list[str], data: st.DataObject
) -> None:
    names = [f"{sender}{place}" for place, sender in enumerate(senders)]
    found = room(*names)
    sent: list[str] = []
    typed: list[str] = []
    while now := due(found, *sent):
        assert len(now) <= MAX_IN_FLIGHT
        assert now[: len(sent)] == sent, "nothing is called back"
        typed.append(now[0])
        found.settle(now[0])
        sent = now[1:]
        comes: bool = data.draw(st.booleans())
        if comes:
            names.append(f"z{len(names)}")
            found.add(waiting(names[-1], "z"))
            if len(names) > 80:
                break
    for sender in {name[0] for name in typed}:
        mine = [name for name in typed if name[0] == sender]
        assert mine == [name for name in names if name[0] == sender][: len(mine)]


def test_what_a_runner_has_taken_comes_first_after_a_restart() -> None:
    found = room("a1", "b1", "a2")
    found.moved(waiting("a2", state=ACCEPTED).delivery)
    assert due(found) == ["a2", "a1", "b1"]


def test_what_has_ended_does_not_come_back() -> None:
    found = room("a1", "a2")
    found.moved(waiting("a1", state=SUBMITTED).delivery)
    found.add(waiting("a1"))
    found.correct([waiting("a1"), waiting("a2")], frozenset({"a2"}))
    assert due(found) == ["a2"]
    assert found.has_ended("a1")
    assert found.count("a", "p") == 1


def test_a_reading_corrects_what_was_known_before_it_and_nothing_that_came_since() -> None:
    found = room("a1", "a2", "b1")
    before = found.ids()
    found.add(waiting("b2", "b"))
    found.moved(waiting("b1", "b", ACCEPTED).delivery)
    found.correct([waiting("c0", "c"), waiting("b1", "b"), waiting("a2", "a")], before)
    assert [one.delivery.delivery_id for one in found] == ["c0", "b1", "a2", "b2"]
    accepted = found.find("b1")
    assert accepted is not None
    assert accepted.state is ACCEPTED
    assert found.find("a1") is None


def test_what_is_being_stored_counts_and_no_longer() -> None:
    found = room("a1")
    with found.reserved("a", ["p", "q"]):
        assert (found.count("a", "p"), found.count("a", "q"), found.count("b", "p")) == (2, 1, 0)
        with pytest.raises(OSError, match="down"), found.reserved("a", ["p"]):
            raise OSError("down")
    assert (found.count("a", "p"), found.count("a", "q")) == (1, 0)


def test_a_person_is_not_the_pod_of_that_name() -> None:
    assert identity(Sender(SenderKind.USER, "x")) != identity(Sender(SenderKind.POD, "n", "x"))
