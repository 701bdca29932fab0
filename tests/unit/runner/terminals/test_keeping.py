from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.converge.places import Places
from runner.shim.transcript import Transcript
from runner.terminals.aside import Aside, WorkerCrashed
from runner.terminals.keeping import Keeping, Missing

pytestmark = pytest.mark.anyio


class World:
    """One pod's transcript, and what is told of it."""

    def __init__(self, root: Path, aside: Any) -> None:
        self.places = Places(root)
        self.directory = self.places.transcript("pod-1")
        self.directory.mkdir(parents=True)
        self.row = SimpleNamespace(uid="pod-1", started_ms=1, forgotten_ms=0)
        self.told: list[str] = []
        self.keeping = Keeping(
            lambda: {"pod-1": self.row},  # type: ignore[dict-item]  # all that it looks at
            self.places,
            aside,
            self.told.append,
            aside,
        )

    def write(self, times: int, transcript_bytes: int = 1 << 20) -> Transcript:
        made = Transcript(
            str(self.directory), floor=0, segment_bytes=1000, transcript_bytes=transcript_bytes
        )
        for number in range(times):
            made.append([b"%03d" % number * 100])
        return made

    def said(self) -> list[tuple[str, bool, str, str]]:
        found = self.keeping.source(self.row).conditions  # type: ignore[arg-type]
        return [(each.type, each.status, each.reason, each.message) for each in found]


async def test_nothing_is_said_of_a_transcript_that_is_whole(tmp_path: Path) -> None:
    aside = Aside()
    world = World(tmp_path, aside)
    world.write(3).close()
    await world.keeping.look()
    await aside.close()
    assert (world.told, world.said()) == ([], [])


async def test_what_is_full_is_packed_and_the_worker_leaves(tmp_path: Path) -> None:
    aside = Aside()
    world = World(tmp_path, aside)
    world.write(20).close()
    await world.keeping.look()
    assert len(list(world.directory.glob("*.log"))) == 1
    assert aside.pid is None


async def test_what_was_lost_and_dropped_is_told_once(tmp_path: Path) -> None:
    aside = Aside()
    world = World(tmp_path, aside)
    made = world.write(20, 4000)
    made._gaps.lose(made.head, made.head + 50)
    made.close()
    await world.keeping.look()
    await world.keeping.look()
    await aside.close()
    assert world.told == ["pod-1"]
    ((kind, status, reason, message),) = world.said()
    assert (kind, status, reason) == ("TranscriptComplete", False, "OutputLost")
    assert "50 bytes of output could not be written and are lost, from byte 6000" in message
    assert "bytes of output are no longer kept" in message


def test_what_was_only_dropped_has_a_reason_of_its_own() -> None:
    said = Missing(before=7).condition()
    assert said is not None
    assert said.reason == "OldestDropped"
    assert Missing().condition() is None


class Crashing:
    """Crashes over every screen."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    async def archive(self, *_: object, checkpoint: bool = True) -> None:
        self.asked.append(checkpoint)
        if checkpoint:
            raise WorkerCrashed("It ended over it.")

    async def close(self) -> None:
        pass


async def test_output_that_crashes_the_emulator_is_packed_all_the_same(tmp_path: Path) -> None:
    aside = Crashing()
    world = World(tmp_path, aside)
    world.write(20).close()
    await world.keeping.look()
    assert aside.asked == [True, False]
