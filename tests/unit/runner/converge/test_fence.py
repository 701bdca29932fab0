"""When a pod has to end because the controller is not heard; part of CONV-03."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from meshwire.v1 import link_pb2

from runner.converge.diff import Facts, Verb, diff
from runner.converge.fence import Fence
from runner.converge.journal import Journal
from runner.converge.states import Row, State, begun

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    made = Journal(tmp_path / "journal.db")
    await made.open()
    yield made
    await made.close()


def pod(
    uid: str, seconds: int, desired: link_pb2.DesiredState = link_pb2.RUN
) -> link_pb2.PodDesired:
    ref = link_pb2.PodRef(pod_uid=uid, epoch=1)
    return link_pb2.PodDesired(ref=ref, desired=desired, stop_after_seconds=seconds)


def row(uid: str, state: State, seconds: int = 10) -> Row:
    return begun(pod(uid, seconds), state)


async def test_time_counts_from_what_was_sent_and_answered(journal: Journal) -> None:
    clock = Clock()
    fence = Fence(journal, clock)
    fence.see([pod("a", 10), pod("b", 30), pod("c", 0)])
    clock.now += 9
    await fence.heard(clock.now - 4)  # the answer took four seconds
    clock.now += 5.5
    assert (fence.cut_off(), fence.next_seconds()) == (frozenset(), 0.5)
    clock.now += 0.5
    assert fence.cut_off() == {"a"}
    clock.now += 100
    assert fence.cut_off() == {"a", "b"}
    await fence.heard(clock.now)
    assert fence.cut_off() == frozenset()


async def test_an_old_answer_that_comes_late_takes_nothing_back(journal: Journal) -> None:
    clock = Clock()
    fence = Fence(journal, clock)
    fence.see([pod("a", 10)])
    clock.now += 8
    await fence.heard(clock.now)
    await fence.heard(clock.now - 6)
    clock.now += 9
    assert fence.cut_off() == frozenset()


async def test_a_runner_that_is_started_again_counts_on(journal: Journal) -> None:
    clock = Clock()
    first = Fence(journal, clock)
    first.see([pod("a", 10), pod("gone", 10)])
    await first.heard(clock.now)
    await journal.put(row("a", State.RUNNING, seconds=500))  # as it was when it was started
    await journal.put(row("older", State.RUNNING, seconds=9))
    clock.now += 9.5
    second = Fence(journal, clock)
    second.recall()
    assert second.cut_off() == {"older"}
    clock.now += 0.5
    assert second.cut_off() == {"a", "older"}


async def test_another_boot_or_a_torn_note_begins_anew(journal: Journal) -> None:
    clock = Clock()
    await journal.put(row("a", State.RUNNING))
    for said in ('{"boot": "another", "heard": 1.0, "pods": {}}', "{", '{"boot": 3}', "[]"):
        await journal.set_meta("fence", said)
        fence = Fence(journal, clock)
        fence.recall()
        assert fence.cut_off() == frozenset()
        clock.now += 10
        assert fence.cut_off() == {"a"}


async def test_nothing_is_written_where_nobody_asked_for_it(journal: Journal) -> None:
    fence = Fence(journal, Clock())
    fence.see([pod("c", 0)])
    await fence.heard(1001.0)
    assert journal.meta("fence") == ""


@pytest.mark.parametrize(
    ("state", "verb"),
    [
        pytest.param(State.RUNNING, Verb.STOP, id="ends what runs"),
        pytest.param(State.STARTING, Verb.SETTLE, id="learns first what became of a start"),
        pytest.param(State.STOPPING, Verb.STOP, id="goes on with an end"),
        pytest.param(State.PREPARING, None, id="begins nothing"),
        pytest.param(State.FAILED, None, id="leaves what has ended"),
        pytest.param(None, None, id="starts nothing new"),
    ],
)
@pytest.mark.parametrize("told", [True, False], ids=["as wanted last", "before anything is wanted"])
def test_a_pod_that_is_cut_off(state: State | None, verb: Verb | None, *, told: bool) -> None:
    desired = {"a": pod("a", 10)} if told else None
    rows = {"a": row("a", state)} if state is not None else {}
    actions = diff(desired, rows, Facts(cut_off=frozenset({"a"})))
    assert [action.verb for action in actions] == ([verb] if verb else [])
    assert all(action.ending == "RunnerDisconnected" for action in actions if verb is Verb.STOP)


def test_what_was_to_end_anyway_ends_as_it_was_wanted() -> None:
    facts = Facts(cut_off=frozenset({"a"}))
    rows = {"a": row("a", State.RUNNING)}
    (stop,) = diff({"a": pod("a", 10, link_pb2.STOP)}, rows, facts)
    (remove,) = diff({"a": pod("a", 10, link_pb2.REMOVE)}, rows, facts)
    assert (stop.ending, remove.verb) == ("Stopped", Verb.REMOVE)
