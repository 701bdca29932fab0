import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.shim import records, times
from runner.shim.segments import file_name
from runner.shim.times import CLOCK, OUTPUT, SIZED, TYPED, Moment, Times, parsed

MOST = 1 << 20


class Clock:
    """Milliseconds, as they are set."""

    def __init__(self) -> None:
        self.ms = 1_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(times, "_now_ms", lambda: made.ms)
    monkeypatch.setattr(records, "now", lambda: 1_700_000_000 + made.ms / 1000)
    return made


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def told(tmp_path: Path, start: int = 0) -> list[Moment]:
    return list(parsed(start, (tmp_path / file_name(start, ".times")).read_bytes()))


def events(moments: list[Moment]) -> list[tuple[int, int, int]]:
    begin = moments[0].at_ms
    return [(each.at_ms - begin, each.kind, each.value) for each in moments if each.kind != CLOCK]


def test_output_within_ten_milliseconds_is_one_moment(
    tmp_path: Path, directory: int, clock: Clock
) -> None:
    made = Times(directory, MOST)
    for head in range(5):
        made.output(100, 100 + head)
        clock.ms += 4
    assert events(told(tmp_path, 100)) == [(0, OUTPUT, 100), (12, OUTPUT, 103)]
    made.close()


def test_typing_is_an_amount_and_no_bytes(tmp_path: Path, directory: int, clock: Clock) -> None:
    made = Times(directory, MOST)
    made.typed(0, 3)
    clock.ms += 1
    made.output(0, 0)
    made.typed(0, 4)
    clock.ms += 20
    made.typed(0, 5)
    assert events(told(tmp_path)) == [(0, TYPED, 7), (1, OUTPUT, 0), (21, TYPED, 5)]
    made.close()


def test_sizes_and_the_begin_of_a_run_are_told(
    tmp_path: Path, directory: int, clock: Clock
) -> None:
    made = Times(directory, MOST)
    made.sized(0, 120, 40, begins=True)
    clock.ms += 50
    made.sized(0, 32000, 24, begins=False)
    found = told(tmp_path)
    assert [each.size for each in found if each.kind == SIZED] == [(120, 40), (32000, 24)]
    assert [each.value for each in found if each.kind == CLOCK] == [0, 1]
    assert found[0].at_ms == (1_700_000_000 + 1000) * 1000
    made.close()


def test_a_long_silence_is_told_by_the_clock(tmp_path: Path, directory: int, clock: Clock) -> None:
    made = Times(directory, MOST)
    made.output(0, 0)
    clock.ms += 2**33
    made.output(0, 5)
    assert events(told(tmp_path)) == [(0, OUTPUT, 0), (2**33, OUTPUT, 5)]
    made.close()


def test_the_next_run_appends_behind_half_a_record(
    tmp_path: Path, directory: int, clock: Clock
) -> None:
    first = Times(directory, MOST)
    first.typed(0, 1)
    first.close()
    with (tmp_path / file_name(0, ".times")).open("ab") as file:
        file.write(b"abc")
    clock.ms += 10
    second = Times(directory, MOST)
    second.typed(0, 2)
    second.close()
    assert events(told(tmp_path)) == [(0, TYPED, 1), (10, TYPED, 2)]


def test_a_clock_that_was_set_back_does_not_turn_time_back() -> None:
    ahead = (5_000).to_bytes(8, "big")
    behind = (4_000).to_bytes(8, "big")
    output = (OUTPUT << 30).to_bytes(4, "big") + (7).to_bytes(4, "big")
    assert [each.at_ms for each in parsed(0, ahead + output + behind + output)] == [
        *(5_000, 5_007, 5_007, 5_014),
    ]


def test_there_is_an_end_to_what_is_noted_without_output(
    tmp_path: Path, directory: int, clock: Clock
) -> None:
    made = Times(directory, 1000)
    for _ in range(1000):
        made.typed(0, 1)
        clock.ms += 20
    made.close()
    assert (tmp_path / file_name(0, ".times")).stat().st_size <= 1000
