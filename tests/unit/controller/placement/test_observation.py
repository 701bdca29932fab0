"""What a runner says of a pod is bounded before anybody computes with it."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshwire.v1 import link_pb2

from controller.placement.observation import observation


def report(**said: Any) -> link_pb2.PodObserved:
    return link_pb2.PodObserved(ref=link_pb2.PodRef(pod_uid="u", epoch=1), **said)


def test_times_are_seconds() -> None:
    seen = observation("r", report(state=link_pb2.RUNNING, started_unix_ms=1_500), 0.0)
    assert (seen.started_at, seen.finished_at) == (1.5, None)


@pytest.mark.parametrize("absurd", [2**62, 2**63 - 1, -1, -(2**63), 253_402_300_800_000])
def test_an_absurd_time_is_no_time(absurd: int) -> None:
    said = report(state=link_pb2.FAILED, started_unix_ms=absurd, finished_unix_ms=absurd)
    seen = observation("r", said, 0.0)
    assert (seen.started_at, seen.finished_at, seen.exit_code) == (None, None, None)


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 2**64 - 1),
    st.sampled_from([link_pb2.RUNNING, link_pb2.SUCCEEDED, link_pb2.FAILED]),
)
def test_every_number_can_be_written_into_a_status(
    long: int, short: int, unsigned: int, state: link_pb2.PodState
) -> None:
    said = report(
        state=state,
        started_unix_ms=long,
        finished_unix_ms=long,
        pid=long,
        exit_code=short,
        signal=short,
        terminal_bytes=unsigned,
        restarts=min(unsigned, 2**32 - 1),
    )
    seen = observation("r", said, 0.0)
    for moment in (seen.started_at, seen.finished_at):
        assert moment is None or dt.datetime.fromtimestamp(moment, dt.UTC).year < 10_000
    assert 0 <= seen.terminal_bytes <= 2**53
    assert 0 <= seen.restarts <= 2**31 - 1
    assert seen.pid is None or 0 < seen.pid <= 2**53
    assert seen.exit_code is None or 0 <= seen.exit_code <= 255
    assert seen.signal is None or 0 < seen.signal <= 64
