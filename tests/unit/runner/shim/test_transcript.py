import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.drivers.packed import pack
from runner.shim import gaps, times
from runner.shim.segments import file_name, files, parsed_name
from runner.shim.transcript import Transcript


def transcript(directory: Path, **changes: int) -> Transcript:
    settings = {"floor": 0, "segment_bytes": 100, "transcript_bytes": 400} | changes
    return Transcript(str(directory), **settings)


def contents(directory: Path) -> dict[int, bytes]:
    return {int(path.stem): path.read_bytes() for path in sorted(directory.glob("*.log"))}


@pytest.fixture
def full_disk() -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Let no file grow, as on a full disk; returns what to call when there is room again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))

    def free() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    yield fill, free
    free()
    signal.signal(signal.SIGXFSZ, before)


def test_files_are_named_by_the_offset_of_their_first_byte(tmp_path: Path) -> None:
    t = transcript(tmp_path)
    for _ in range(5):
        t.append([b"a" * 30, b"b" * 30])
    t.close()
    assert t.head == 300
    assert {start: len(data) for start, data in contents(tmp_path).items()} == {
        0: 120,
        120: 120,
        240: 60,
    }


def test_offsets_go_on_in_the_next_run(tmp_path: Path) -> None:
    first = transcript(tmp_path)
    first.append([b"one"])
    first.close()
    second = transcript(tmp_path)
    second.append([b"two"])
    second.close()
    assert contents(tmp_path) == {0: b"one", 3: b"two"}


def test_a_run_begins_behind_what_an_earlier_run_lost_at_its_end(tmp_path: Path) -> None:
    first = transcript(tmp_path)
    first.append([b"one"])
    first.close()
    second = transcript(tmp_path, floor=50)
    second.append([b"two"])
    second.close()
    assert contents(tmp_path) == {0: b"one", 50: b"two"}


def test_the_oldest_files_go_when_the_transcript_is_too_long(tmp_path: Path) -> None:
    t = transcript(tmp_path, transcript_bytes=480)
    for number in range(20):
        t.append([b"%02d" % number * 50])
    t.close()
    kept = contents(tmp_path)
    assert sum(map(len, kept.values())) <= 480
    assert b"".join(kept.values()) == b"".join(b"%02d" % n * 50 for n in range(16, 20))
    assert min(kept) == 1600


def test_a_full_disk_costs_bytes_and_leaves_a_hole_of_just_that_size(
    tmp_path: Path, full_disk: tuple[Callable[[], None], Callable[[], None]]
) -> None:
    fill, free = full_disk
    t = transcript(tmp_path)
    t.append([b"kept"])
    fill()
    t.append([b"lost", b"lost too"])
    t.append([b"!"])
    free()
    assert (t.head, t.lost_bytes) == (17, 13)
    t._retry_at = 0.0  # instead of waiting a quarter of a second
    t.append([b"kept again"])
    t.close()
    assert contents(tmp_path) == {0: b"kept", 17: b"kept again"}


def test_a_limit_on_file_size_loses_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, hard))
    try:
        t = transcript(tmp_path)
        for number in range(6):
            t.append([b"%02d" % number * 20])
        t.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert t.lost_bytes == 0
    assert b"".join(contents(tmp_path).values()) == b"".join(b"%02d" % n * 20 for n in range(6))


def test_a_removed_directory_does_not_stop_the_agent(tmp_path: Path) -> None:
    directory = tmp_path / "transcript"
    directory.mkdir()
    t = transcript(directory)
    shutil.rmtree(directory)
    t.append([b"nowhere"])
    assert (t.head, t.lost_bytes) == (7, 7)
    t.close()


@pytest.mark.parametrize(
    "name", ["0.log", "x" * 20 + ".log", "0" * 20, "notes.txt", ".log", "0" * 20 + ".log.gz.new"]
)
def test_foreign_files_are_no_part_of_a_transcript(name: str) -> None:
    assert parsed_name(name) is None


def test_names_sort_like_offsets() -> None:
    assert parsed_name(file_name(2**62)) == (2**62, ".log")
    assert file_name(9) < file_name(10) < file_name(2**62)


def test_all_that_belongs_to_dropped_output_is_dropped_with_it(tmp_path: Path) -> None:
    t = transcript(tmp_path, transcript_bytes=600)
    for number in range(20):
        t.append([b"%02d" % number * 50])
        t.typed(3)
    t.close()
    names = [path.name for path in tmp_path.iterdir()]
    assert sum((tmp_path / file_name(*each)).stat().st_size for each in files(names)) <= 700
    assert {each.start for each in files(names) if each.suffix == ".times"} == set(
        contents(tmp_path)
    )


def test_a_packed_last_file_is_gone_on_behind(tmp_path: Path) -> None:
    first = transcript(tmp_path)
    first.append([b"one"])
    first.close()
    pack(tmp_path / file_name(0), tmp_path / file_name(0, ".log.gz"))
    (tmp_path / file_name(0)).unlink()
    second = transcript(tmp_path)
    assert second.head == 3
    second.close()


def test_a_loss_is_written_down_as_soon_as_there_is_room(
    tmp_path: Path, full_disk: tuple[Callable[[], None], Callable[[], None]]
) -> None:
    fill, free = full_disk
    fill()
    t = transcript(tmp_path)
    t.append([b"lost"])
    assert t.unsaid
    free()
    t.settle()
    assert not t.unsaid
    assert gaps.parsed((tmp_path / gaps.NAME).read_bytes()) == [(0, 4)]
    t.close()
    assert transcript(tmp_path).head == 4


def test_times_are_beside_the_output_they_are_about(tmp_path: Path) -> None:
    t = transcript(tmp_path)
    t.sized(80, 24, begins=True)
    t.append([b"hello"])
    t.typed(7)
    t.close()
    found = list(times.parsed(0, (tmp_path / file_name(0, ".times")).read_bytes()))
    assert [(each.kind, each.value, each.size) for each in found if each.kind != times.CLOCK] == [
        (times.SIZED, 0, (80, 24)),
        (times.OUTPUT, 0, (0, 0)),
        (times.TYPED, 7, (0, 0)),
    ]
    assert [each.value for each in found if each.kind == times.CLOCK] == [0, 1]
