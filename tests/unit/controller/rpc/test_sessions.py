"""Whose session counts, told by a clock that the test moves."""

from meshwire.v1 import link_pb2

from controller.rpc.ports import RunnerKey
from controller.rpc.sessions import ALTERNATION_SECONDS, Sessions
from tests.unit.controller.rpc.world import MemoryRecorder

RUNNER = RunnerKey("acme", "laptop", "u-1")


class Ticks:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Held:
    def __init__(self, instance_id: str) -> None:
        self._instance_id = instance_id
        self.notices: list[str] = []

    @property
    def instance_id(self) -> str:
        return self._instance_id

    def close(self, notice: link_pb2.CloseSession) -> None:
        self.notices.append(notice.reason)


def _enter(sessions: Sessions, instance: str) -> Held | None:
    """Come as this instance; return the session, or None if it is sent away."""
    if sessions.twin(RUNNER, instance) is not None:
        return None
    held = Held(instance)
    sessions.enter(RUNNER, held)
    return held


def test_instances_that_return_long_after_are_no_twins() -> None:
    ticks, recorder = Ticks(), MemoryRecorder()
    sessions = Sessions(recorder, ticks=ticks)
    assert _enter(sessions, "a")
    ticks.now += 10
    assert _enter(sessions, "b")
    ticks.now += ALTERNATION_SECONDS
    assert _enter(sessions, "a")
    assert recorder.events == []


def test_an_instance_that_was_there_for_hours_counts_from_its_replacement() -> None:
    ticks, recorder = Ticks(), MemoryRecorder()
    sessions = Sessions(recorder, ticks=ticks)
    assert _enter(sessions, "a")
    ticks.now += 36_000
    assert _enter(sessions, "b")
    ticks.now += 5
    assert _enter(sessions, "a") is None
    assert recorder.reasons == ["DuplicateRunner"]


def test_a_twin_that_keeps_trying_stays_out_while_the_other_is_there() -> None:
    ticks, recorder = Ticks(), MemoryRecorder()
    sessions = Sessions(recorder, ticks=ticks)
    assert _enter(sessions, "a")
    present = _enter(sessions, "b")
    assert present is not None
    for _ in range(20):
        ticks.now += 30
        assert _enter(sessions, "a") is None
    assert present.notices == []
    assert sessions.leave(RUNNER, present)
    assert _enter(sessions, "a")


def test_a_session_that_was_replaced_does_not_take_the_newer_one_with_it() -> None:
    sessions = Sessions(MemoryRecorder(), ticks=Ticks())
    old, new = _enter(sessions, "a"), _enter(sessions, "a")
    assert old is not None
    assert new is not None
    assert old.notices == ["Replaced"]
    assert not sessions.leave(RUNNER, old)
    assert sessions.instance(RUNNER) == "a"
    assert sessions.leave(RUNNER, new)
    assert sessions.instance(RUNNER) is None


def test_all_are_told_when_the_controller_stops() -> None:
    sessions = Sessions(MemoryRecorder(), ticks=Ticks())
    held = _enter(sessions, "a")
    sessions.drain(1000)
    assert held is not None
    assert held.notices == ["Draining"]
