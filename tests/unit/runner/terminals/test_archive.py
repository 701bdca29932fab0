import contextlib
import os
import random
from pathlib import Path

import pytest

from runner.drivers import packed
from runner.drivers.terminal_transcript import Reader, size
from runner.drivers.terminal_values import Chunk
from runner.shim.transcript import Transcript
from runner.terminals import archive as module
from runner.terminals.archive import archive, waits
from runner.terminals.emulator import Subject

LINES = [b"line %d of what was said\r\n" % number for number in range(400)]


class Killed(BaseException):  # noqa: N818  what a kill is to the code: the end, nothing is cleaned
    """The process was killed here."""


def written(directory: Path) -> bytes:
    made = Transcript(str(directory), floor=0, segment_bytes=2000, transcript_bytes=1 << 20)
    made.sized(80, 24, begins=True)
    for line in LINES:
        made.append([line])
    made.close()
    return b"".join(LINES)


def read(directory: Path) -> bytes:
    found = b""
    with Reader(directory) as reader:
        while (item := reader.read(len(found), 700)) is not None:
            assert isinstance(item, Chunk)
            found += item.data
    return found


def test_all_but_the_last_file_is_packed(tmp_path: Path) -> None:
    said = written(tmp_path)
    assert waits(tmp_path)
    archive(Subject("pod", tmp_path, 80, 24))
    assert not waits(tmp_path)
    assert len(list(tmp_path.glob("*.log"))) == 1
    assert len(list(tmp_path.glob("*.times"))) == 1
    assert len(list(tmp_path.glob("*.screen.gz"))) == 1
    assert (read(tmp_path), size(tmp_path)) == (said, len(said))


def test_what_goes_on_behind_is_packed_next_time(tmp_path: Path) -> None:
    first = written(tmp_path)
    archive(Subject("pod", tmp_path, 80, 24))
    second = written(tmp_path)
    archive(Subject("pod", tmp_path, 80, 24))
    assert read(tmp_path) == first + second
    assert len(list(tmp_path.glob("*.log"))) == 1


@pytest.mark.parametrize("seed", range(20))
def test_killed_at_any_step_nothing_is_lost_and_nothing_counts_twice(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = written(tmp_path)
    chance = random.Random(seed)  # noqa: S311  which step is hit, the same every time
    steps = [chance.randrange(60)]

    def killed_now_and_then(real: object) -> object:
        def call(*args: object, **kwargs: object) -> object:
            steps[0] -= 1
            if steps[0] == 0:
                raise Killed
            return real(*args, **kwargs)  # type: ignore[operator]  # whatever it is

        return call

    with monkeypatch.context() as patch:
        for owner, name in ((os, "fsync"), (Path, "rename"), (Path, "unlink"), (os, "pread")):
            patch.setattr(owner, name, killed_now_and_then(getattr(owner, name)))
        with contextlib.suppress(Killed):
            archive(Subject("pod", tmp_path, 80, 24))
    assert read(tmp_path) == said
    archive(Subject("pod", tmp_path, 80, 24))
    assert read(tmp_path) == said
    assert not waits(tmp_path)
    assert not list(tmp_path.glob("*.new"))


def test_only_one_packs_the_same_at_a_time(tmp_path: Path) -> None:
    written(tmp_path)
    with module._alone(tmp_path) as alone:
        assert alone
        archive(Subject("pod", tmp_path, 80, 24))
        assert waits(tmp_path)
    archive(Subject("pod", tmp_path, 80, 24))
    assert not waits(tmp_path)


def test_a_file_that_is_there_twice_and_differs_is_packed_anew(tmp_path: Path) -> None:
    said = written(tmp_path)
    first = min(tmp_path.glob("*.log"))
    other = tmp_path / "other"
    other.write_bytes(b"not this")
    packed.pack(other, first.with_name(f"{first.name}.gz"))
    archive(Subject("pod", tmp_path, 80, 24))
    assert read(tmp_path) == said
