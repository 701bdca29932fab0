import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.shim.gaps import NAME, Gaps, Lost, parsed


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def told(tmp_path: Path) -> list[Lost]:
    return parsed((tmp_path / NAME).read_bytes())


def test_losses_that_follow_each_other_are_one(tmp_path: Path, directory: int) -> None:
    gaps = Gaps(directory)
    gaps.lose(10, 20)
    gaps.lose(20, 25)
    gaps.lose(40, 41)
    assert told(tmp_path) == [(10, 25), (40, 41)]
    assert gaps.end == 41


def test_the_next_run_goes_on_with_the_same_table(tmp_path: Path, directory: int) -> None:
    Gaps(directory).lose(10, 20)
    again = Gaps(directory)
    assert again.end == 20
    again.lose(20, 30)
    again.lose(50, 60)
    assert told(tmp_path) == [(10, 30), (50, 60)]


def test_the_table_keeps_its_size_and_forgets_the_oldest(tmp_path: Path, directory: int) -> None:
    gaps = Gaps(directory)
    size = (tmp_path / NAME).stat().st_size
    for number in range(300):
        gaps.lose(number * 10, number * 10 + 1)
    assert (tmp_path / NAME).stat().st_size == size
    assert told(tmp_path)[-1] == (2990, 2991)
    assert told(tmp_path)[0] == (440, 441)


def test_a_table_cut_short_is_filled_up(tmp_path: Path, directory: int) -> None:
    Gaps(directory).lose(1, 2)
    content = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(content[:21])
    gaps = Gaps(directory)
    assert gaps.end == 2
    gaps.lose(5, 6)
    assert told(tmp_path) == [(1, 2), (5, 6)]
