import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from runner.shim.sizes import NAME, Size, Sizes, parsed


def opened(directory: Path) -> tuple[Sizes, int]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    return Sizes(fd), fd


def on_disk(directory: Path) -> list[Size]:
    return parsed((directory / NAME).read_bytes())


def test_sizes_come_back_in_order_over_runs(tmp_path: Path) -> None:
    sizes, fd = opened(tmp_path)
    sizes.note(0, 120, 40, begins=True)
    sizes.note(500, 80, 24)
    os.close(fd)
    sizes, fd = opened(tmp_path)
    sizes.note(900, 120, 40, begins=True)
    os.close(fd)
    assert on_disk(tmp_path) == [
        Size(1, 0, 120, 40, True),
        Size(2, 500, 80, 24, False),
        Size(3, 900, 120, 40, True),
    ]


def test_sizes_that_nothing_was_drawn_for_are_kept_as_a_look_may_have_taken_them(
    tmp_path: Path,
) -> None:
    sizes, fd = opened(tmp_path)
    sizes.note(0, 120, 40, begins=True)
    for cols in range(80, 100):
        sizes.note(7, cols, 24)
    os.close(fd)
    assert on_disk(tmp_path) == [
        Size(1, 0, 120, 40, True),
        *(Size(cols - 78, 7, cols, 24, False) for cols in range(80, 100)),
    ]


def test_the_same_size_again_is_not_noted(tmp_path: Path) -> None:
    sizes, fd = opened(tmp_path)
    sizes.note(0, 120, 40, begins=True)
    sizes.note(9, 120, 40)
    os.close(fd)
    assert len(on_disk(tmp_path)) == 1


def test_the_file_stays_small_and_keeps_the_newest(tmp_path: Path) -> None:
    sizes, fd = opened(tmp_path)
    for offset in range(20_000):
        sizes.note(offset, 80 + offset % 2, 24)
    os.close(fd)
    kept = on_disk(tmp_path)
    assert len(kept) <= 4096
    assert kept[-1] == Size(20_000, 19_999, 81, 24, False)
    assert [size.offset for size in kept] == list(range(kept[0].offset, 20_000))


def test_a_half_written_record_is_written_again(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"\0" * 7)
    sizes, fd = opened(tmp_path)
    sizes.note(0, 80, 24, begins=True)
    os.close(fd)
    assert on_disk(tmp_path) == [Size(1, 0, 80, 24, True)]


def test_a_directory_that_is_gone_stops_nobody(tmp_path: Path) -> None:
    directory = tmp_path / "gone"
    directory.mkdir()
    sizes, fd = opened(directory)
    directory.rmdir()
    sizes.note(0, 80, 24, begins=True)
    os.close(fd)


@given(st.binary(max_size=200))
def test_whatever_is_in_the_file_is_read(data: bytes) -> None:
    assert len(parsed(data)) == len(data) // 16
