import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshwire.v1 import link_pb2

from runner.drivers.terminal_values import Absent, Chunk, Ended, Exited, Gap, NotRunning
from runner.terminals.aside import Drawn
from runner.terminals.view import CHUNK_BYTES, Subject, View

pytestmark = pytest.mark.anyio


class Transcript:
    """A terminal that has ended, whose output begins at an offset: older output was dropped."""

    def __init__(self, data: bytes, begin: int = 0) -> None:
        self.data, self.begin = data, begin

    async def observe(self, run_dir: Path) -> Exited:  # noqa: ARG002  the Protocol's
        return Exited(0, None, 0.0, self.size(run_dir), 0)

    async def state(self, run_dir: Path) -> None:
        raise NotRunning(str(run_dir))

    async def write(self, run_dir: Path, data: bytes) -> None:
        raise NotRunning(f"{run_dir} {data!r}")

    async def resize(self, run_dir: Path, cols: int, rows: int) -> None:
        raise NotRunning(f"{run_dir} {cols} {rows}")

    async def follow(
        self,
        transcript_dir: Path,
        run_dir: Path | None,  # noqa: ARG002  the Protocol's
        offset: int,
    ) -> AsyncIterator[Chunk | Gap | Ended]:
        while (item := self.read(transcript_dir, offset, 1000)) is not None:
            yield item
            offset = item.end if isinstance(item, Gap) else item.offset + len(item.data)
        yield Ended(offset, Absent(died=False))

    async def draw(self, directory: Path, cols: int, rows: int) -> Drawn:
        return Drawn(self.size(directory), cols, rows, self.data)

    def size(self, transcript_dir: Path) -> int:  # noqa: ARG002  the Protocol's
        return self.begin + len(self.data)

    def read(self, transcript_dir: Path, offset: int, limit: int) -> Chunk | Gap | None:
        if offset >= self.size(transcript_dir):
            return None
        if offset < self.begin:
            return Gap(offset, self.begin)
        return Chunk(offset, self.data[offset - self.begin :][:limit])


def view(
    transcript: Transcript, order: link_pb2.OpenView
) -> tuple[View, list[link_pb2.TerminalUp]]:
    said: list[link_pb2.TerminalUp] = []

    async def send(message: link_pb2.TerminalUp | bytes) -> None:
        if isinstance(message, bytes):
            message = link_pb2.TerminalUp.FromString(message)
        said.append(message)

    subject = Subject(Path("t"), Path("r"), None, None)
    return View(1, order, subject, transcript, transcript, send), said


def output(said: list[link_pb2.TerminalUp]) -> bytes:
    return b"".join(each.output.data for each in said)


async def shown(transcript: Transcript, **order: int) -> bytes:
    wanted = link_pb2.OpenView(start=link_pb2.VIEW_START_OFFSET, **order)
    made, said = view(transcript, wanted)
    made.credit(1 << 30)
    await made.run()
    assert max(len(each.output.data) for each in said) <= CHUNK_BYTES
    return output(said)


@given(
    lines=st.lists(st.sampled_from([b"", b"one", b"two words", b"x" * 70_000])),
    ended=st.booleans(),
    tail=st.integers(1, 5),
)
def test_the_last_lines_are_the_last_lines(*, lines: list[bytes], ended: bool, tail: int) -> None:
    data = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    whole = data.split(b"\n")
    kept = whole[:-1] if data.endswith(b"\n") else whole
    expected = b"\n".join(kept[-tail:]) + (b"\n" if data.endswith(b"\n") else b"")
    assert asyncio.run(shown(Transcript(data), tail_lines=tail)) == expected


async def test_nothing_is_sent_beyond_the_credit() -> None:
    made, said = view(Transcript(b"0123456789"), link_pb2.OpenView(start=1))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run())
        made.credit(3)
        for _ in range(200):
            await asyncio.sleep(0.001)
            if output(said):
                break
        await asyncio.sleep(0.01)
        assert output(said) == b"012"
        made.credit(100)
        await running
    assert output(said) == b"0123456789"
    assert [each.output.offset for each in said if each.HasField("output")] == [0, 3]


async def test_output_that_was_dropped_is_a_gap() -> None:
    made, said = view(Transcript(b"rest", begin=100), link_pb2.OpenView(start=1, from_offset=10))
    made.credit(100)
    await made.run()
    gaps = [each.gap for each in said if each.HasField("gap")]
    assert [(gap.from_offset, gap.to_offset) for gap in gaps] == [(10, 100)]
    assert output(said) == b"rest"


async def test_the_screen_comes_first_and_the_stream_goes_on_behind_it() -> None:
    made, said = view(Transcript(b"drawn"), link_pb2.OpenView(start=link_pb2.VIEW_START_SCREEN))
    await made.run()
    assert (said[0].opened.screen, said[0].opened.offset) == (b"drawn", 5)
    assert said[-1].ended.reason == "EndOfTranscript"


async def test_typing_that_nobody_reads_is_bounded() -> None:
    made, _ = view(Transcript(b""), link_pb2.OpenView())
    taken = [made.take(link_pb2.Input(seq=each)) for each in range(2000)]
    assert taken[0]
    assert not taken[-1]
