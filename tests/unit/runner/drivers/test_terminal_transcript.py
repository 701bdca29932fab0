import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.drivers.packed import pack
from runner.drivers.terminal_transcript import Reader, first, lost, size
from runner.drivers.terminal_values import Chunk, Gap
from runner.shim import gaps
from runner.shim.segments import LOG, PACKED, file_name


def write(directory: Path, *segments: tuple[int, bytes]) -> None:
    for start, data in segments:
        (directory / file_name(start)).write_bytes(data)


def test_a_transcript_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert size(tmp_path / "none") == 0
    with Reader(tmp_path / "none") as reader:
        assert reader.read(0, 100) is None


def test_reading_goes_over_files_and_tells_gaps(tmp_path: Path) -> None:
    write(tmp_path, (10, b"abc"), (13, b"def"), (20, b"ghi"))
    with Reader(tmp_path) as reader:
        assert reader.read(0, 100) == Gap(0, 10)
        assert reader.read(10, 100) == Chunk(10, b"abc")
        assert reader.read(12, 100) == Chunk(12, b"c")
        assert reader.read(13, 2) == Chunk(13, b"de")
        assert reader.read(16, 100) == Gap(16, 20)
        assert reader.read(23, 100) is None
    assert size(tmp_path) == 23


def test_what_is_below_the_head_and_in_no_file_is_a_gap(tmp_path: Path) -> None:
    write(tmp_path, (0, b"abc"))
    with Reader(tmp_path) as reader:
        assert reader.read(3, 100, head=3) is None
        assert reader.read(3, 100, head=8) == Gap(3, 8)


def test_nothing_beyond_the_head_is_read(tmp_path: Path) -> None:
    write(tmp_path, (0, b"abcdef"))
    with Reader(tmp_path) as reader:
        assert reader.read(0, 100, head=4) == Chunk(0, b"abcd")


def test_a_file_dropped_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    write(tmp_path, (0, b"abcdef"), (9, b"jkl"))
    with Reader(tmp_path) as reader:
        assert reader.read(0, 3) == Chunk(0, b"abc")
        (tmp_path / file_name(0)).unlink()
        assert reader.read(3, 100) == Chunk(3, b"def")
        assert reader.read(6, 100) == Gap(6, 9)


def test_what_is_appended_is_seen(tmp_path: Path) -> None:
    write(tmp_path, (0, b"abc"))
    with Reader(tmp_path) as reader:
        assert reader.read(0, 100) == Chunk(0, b"abc")
        assert reader.read(3, 100) is None
        with (tmp_path / file_name(0)).open("ab") as file:
            file.write(b"def")
        write(tmp_path, (6, b"ghi"))
        assert reader.read(3, 100) == Chunk(3, b"def")
        assert reader.read(6, 100) == Chunk(6, b"ghi")


@given(
    st.lists(st.tuples(st.integers(0, 5), st.binary(min_size=1, max_size=9)), max_size=6),
    st.integers(0, 60),
    st.integers(1, 12),
    st.integers(0, 10),
)
def test_every_byte_from_an_offset_to_the_head_is_given_once(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[int, bytes]],
    offset: int,
    limit: int,
    lost: int,
) -> None:
    directory = tmp_path_factory.mktemp("t")
    truth: dict[int, int] = {}
    at = 0
    for hole, data in parts:
        at += hole
        write(directory, (at, data))
        truth |= dict(enumerate(data, at))
        at += len(data)
    head = at + lost
    given_bytes: dict[int, int] = {}
    with Reader(directory) as reader:
        position = offset
        while (item := reader.read(position, limit, head)) is not None:
            if isinstance(item, Chunk):
                assert item.offset == position
                given_bytes |= dict(enumerate(item.data, item.offset))
            else:
                assert item.start == position
            assert item.end > position
            position = item.end
    assert position == max(offset, head)
    assert given_bytes == {at: byte for at, byte in truth.items() if at >= offset}


def packed(directory: Path, start: int) -> None:
    pack(directory / file_name(start), directory / file_name(start, PACKED))


@given(
    st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=6),
    st.sets(st.integers(0, 5)),
    st.sets(st.integers(0, 5)),
    st.integers(1, 60),
)
def test_packed_files_read_like_those_that_are_not(
    contents: list[bytes], which: set[int], both: set[int], limit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory, start = Path(folder), 0
        for number, data in enumerate(contents):
            write(directory, (start, data))
            if number in which:
                packed(directory, start)
                if number not in both:  # not as after a crash between the two steps
                    (directory / file_name(start)).unlink()
            start += len(data)
        assert size(directory) == start
        assert first(directory) == 0
        found = b""
        with Reader(directory) as reader:
            while (item := reader.read(len(found), limit)) is not None:
                assert isinstance(item, Chunk)
                found += item.data
        assert found == b"".join(contents)


def test_a_file_that_is_packed_while_it_is_read_goes_on(tmp_path: Path) -> None:
    write(tmp_path, (0, b"abcdef"), (6, b"ghi"))
    with Reader(tmp_path) as reader:
        assert reader.read(0, 3) == Chunk(0, b"abc")
        packed(tmp_path, 0)
        (tmp_path / file_name(0)).unlink()
        assert reader.read(3, 100) == Chunk(3, b"def")
        assert reader.read(6, 100) == Chunk(6, b"ghi")
        assert reader.read(2, 2) == Chunk(2, b"cd")


def test_a_damaged_file_is_an_error_and_not_a_gap(tmp_path: Path) -> None:
    write(tmp_path, (0, b"abcdef" * 100), (600, b"x"))
    packed(tmp_path, 0)
    (tmp_path / file_name(0)).unlink()
    target = tmp_path / file_name(0, PACKED)
    content = bytearray(target.read_bytes())
    content[-12] ^= 255
    target.write_bytes(content)
    with Reader(tmp_path) as reader, pytest.raises(OSError, match="damaged"):
        reader.read(0, 100)


def test_what_was_lost_at_the_end_is_a_gap_once_the_disk_says_so(tmp_path: Path) -> None:
    write(tmp_path, (0, b"abc"))
    directory = os.open(tmp_path, os.O_RDONLY)
    gaps.Gaps(directory).lose(3, 10)
    os.close(directory)
    assert size(tmp_path) == 10
    assert lost(tmp_path) == [(3, 10)]
    with Reader(tmp_path) as reader:
        assert reader.read(3, 100) == Gap(3, 10)
        assert reader.read(10, 100) is None


def test_the_name_of_a_file_as_it_came_counts_before_that_of_a_packed_one(tmp_path: Path) -> None:
    write(tmp_path, (0, b"abc"))
    packed(tmp_path, 0)
    (tmp_path / file_name(0, LOG)).write_bytes(b"ABC")
    with Reader(tmp_path) as reader:
        assert reader.read(0, 100) == Chunk(0, b"ABC")
