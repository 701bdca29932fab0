import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.drivers.screen import Screen
from runner.shim.segments import file_name
from runner.shim.transcript import Transcript
from runner.terminals.aside import Aside, WorkerCrashed, WorkerError

pytestmark = pytest.mark.anyio


@pytest.fixture
async def aside() -> AsyncIterator[Aside]:
    made = Aside()
    yield made
    await made.close()


def written(directory: Path, data: bytes, segment_bytes: int = 1000) -> Path:
    directory.mkdir(exist_ok=True)
    made = Transcript(
        str(directory), floor=0, segment_bytes=segment_bytes, transcript_bytes=1 << 20
    )
    made.sized(40, 10, begins=True)
    for start in range(0, len(data), 100):
        made.append([data[start : start + 100]])
    made.close()
    return directory


async def test_a_screen_is_drawn_as_of_now(aside: Aside, tmp_path: Path) -> None:
    directory = written(tmp_path / "a", b"one\r\ntwo \x1b[3")
    drawn = await aside.draw(directory, 120, 40)
    screen = Screen(drawn.cols, drawn.rows)
    screen.feed(drawn.screen)
    assert (drawn.cols, drawn.rows, drawn.offset) == (40, 10, 9)
    assert screen.text() == "one\ntwo"
    screen.close()


async def test_a_worker_that_was_killed_is_replaced(aside: Aside, tmp_path: Path) -> None:
    directory = written(tmp_path / "a", b"one")
    await aside.draw(directory, 120, 40)
    first = aside.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    async with asyncio.TaskGroup() as tasks:
        drawing = tasks.create_task(_refused(aside, directory))
        await asyncio.sleep(0)
        os.kill(first, signal.SIGKILL)
    assert drawing.result()
    await aside.draw(directory, 120, 40)
    assert aside.pid != first


async def _refused(aside: Aside, directory: Path) -> bool:
    try:
        await aside.draw(directory, 120, 40)
    except WorkerCrashed:
        return True
    return False


async def test_full_files_are_packed_and_a_checkpoint_is_made(aside: Aside, tmp_path: Path) -> None:
    directory = written(tmp_path / "a", b"".join(b"line %d\r\n" % each for each in range(1000)))
    before = await aside.draw(directory, 120, 40)
    await aside.close()
    await aside.archive(directory, 120, 40)
    names = sorted(path.name for path in directory.iterdir())
    assert len([name for name in names if name.endswith(".log")]) == 1
    assert len([name for name in names if name.endswith(".log.gz")]) >= 8
    assert len([name for name in names if name.endswith(".screen.gz")]) == 1
    assert await aside.draw(directory, 120, 40) == before


async def test_what_cannot_be_read_is_said(aside: Aside, tmp_path: Path) -> None:
    directory = written(tmp_path / "a", b"x" * 3000)
    await aside.archive(directory, 120, 40, checkpoint=False)
    (directory / file_name(0, ".log.gz")).write_bytes(b"damaged" * 10)
    with pytest.raises(WorkerError, match="damaged"):
        await aside.draw(directory, 120, 40)
