"""The looks at pods: real transcripts, a clock of the test's."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from meshwire.v1 import link_pb2

from runner.converge.activity_watch import ActivityWatch
from runner.converge.places import Places
from runner.converge.states import Row, State, begun
from runner.drivers import terminal_transcript
from runner.drivers.terminal_values import NotRunning
from runner.drivers.terminal_values import State as ShimState
from runner.shim.segments import file_name

pytestmark = pytest.mark.anyio

UID = "pod-uid-1"
CLEAR = b"\x1b[2J\x1b[H"


class Shims:
    """Terminals whose shims say nothing."""

    async def state(self, run_dir: Path) -> ShimState:
        raise NotRunning(run_dir)

    def size(self, transcript_dir: Path) -> int:
        return terminal_transcript.size(transcript_dir)


class Ground:
    """One pod with a transcript."""

    def __init__(self, folder: Path) -> None:
        self.places = Places(folder)
        self.now = 1000.0
        self.transcript.mkdir(parents=True)
        self.places.private(UID).mkdir(parents=True)
        self.path.write_bytes(b"")
        self.watches: list[ActivityWatch] = []
        self.watch = self.anew()

    @property
    def transcript(self) -> Path:
        return self.places.transcript(UID)

    @property
    def path(self) -> Path:
        return self.transcript / file_name(0)

    def anew(self) -> ActivityWatch:
        """A watch as after a restart of the runner."""
        self.watch = ActivityWatch(self.places, Shims(), clock=lambda: self.now)
        self.watches.append(self.watch)
        return self.watch

    def row(self, restart: int = 0, output_begin: int = 0) -> Row:
        activity = link_pb2.Activity(
            waiting=["^Allow this"], executing=["esc to interrupt"], idle=["^ready>"]
        )
        pod = link_pb2.PodDesired(
            ref=link_pb2.PodRef(pod_uid=UID, epoch=1), spec=link_pb2.RunSpec(activity=activity)
        )
        return begun(pod, State.RUNNING, restart=restart, output_begin=output_begin)

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    async def looks(self, count: int, row: Row | None = None) -> list[str]:
        """Look so often; return what was told meanwhile."""
        told = []
        for _ in range(count):
            self.now += 1
            _, changed = await self.watch.look([row or self.row()])
            if changed:
                told.append(self.watch.told(UID).word)
        return told


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path)
    yield ground
    for watch in ground.watches:
        watch.close()


async def test_what_is_printed_is_told_with_time_and_evidence(ground: Ground) -> None:
    await ground.looks(1)
    ground.write(CLEAR + b"Allow this?")
    assert await ground.looks(3) == ["waiting"]
    told = ground.watch.told(UID)
    assert told.since_ms > 1_600_000_000_000
    assert "^Allow this" in told.evidence


async def test_hooks_are_weighed_at_the_next_look(ground: Ground) -> None:
    await ground.looks(1)
    ground.watch.hook(UID, {"hook_event_name": "PermissionRequest"})
    ground.watch.hook("nobody", {"hook_event_name": "PermissionRequest"})
    assert await ground.looks(3) == ["waiting"]


async def test_a_restarted_runner_says_the_same_since_the_same_time(ground: Ground) -> None:
    await ground.looks(1)
    ground.write(CLEAR + b"Allow this?")
    await ground.looks(3)
    before = ground.watch.told(UID)
    ground.anew()
    assert await ground.looks(20) == ["waiting"]  # told to who asks next; the same, so no news
    assert ground.watch.told(UID) == before


async def test_nothing_is_told_of_the_frozen_and_time_begins_anew_for_the_thawed(
    ground: Ground,
) -> None:
    ground.write(CLEAR + b"ready>")
    await ground.looks(5)
    before = ground.watch.told(UID)
    frozen = ground.row().moved(State.RUNNING, suspended=True, frozen_at_ms=1)
    assert await ground.looks(5, frozen) == []
    assert ground.watch.told(UID).word == ""
    thawed = frozen.moved(State.RUNNING, suspended=False, frozen_at_ms=0, frozen_ms=5000)
    assert await ground.looks(5, thawed) == ["idle"]
    assert ground.watch.told(UID).since_ms > before.since_ms
    since = ground.watch.told(UID).since_ms
    ground.anew()
    assert await ground.looks(5, thawed) == ["idle"]
    assert ground.watch.told(UID).since_ms == since  # thawed once, and not by a restart


async def test_what_was_told_of_an_earlier_run_says_nothing_of_the_next(ground: Ground) -> None:
    await ground.looks(1)
    ground.write(CLEAR + b"Allow this?")
    await ground.looks(3)
    again = ground.row(restart=1, output_begin=ground.path.stat().st_size)
    assert await ground.looks(5, again) == []
    assert ground.watch.told(UID).word == ""


async def test_the_screen_is_known_of_a_long_history(ground: Ground) -> None:
    ground.write(b"line\r\n" * 500_000 + CLEAR + b"ready> ")
    assert await ground.looks(5) == ["idle"]


async def test_what_floods_is_not_read_but_the_screen_is_right_in_the_end(
    ground: Ground,
) -> None:
    await ground.looks(1)
    for _ in range(6):
        ground.write(b"line\r\n" * 100_000)
        await ground.looks(1)
    assert ground.watch.told(UID).word == "executing"
    ground.write(b"x" * 400_000 + CLEAR + b"Allow this?")
    assert await ground.looks(4) == ["waiting"]


async def test_pods_that_are_gone_are_forgotten(ground: Ground) -> None:
    await ground.looks(1)
    ground.write(CLEAR + b"ready> ")
    await ground.looks(4)
    assert ground.watch.told(UID).word == "idle"
    await ground.watch.look([])
    assert ground.watch.told(UID).word == ""


async def test_a_file_that_was_spoiled_is_as_good_as_none(ground: Ground) -> None:
    path = ground.places.private(UID) / "activity.json"
    for text in ("", "{", "[]", json.dumps({"run": [1, 0], "told": {"x": 1}, "hooked": None})):
        path.write_text(text, encoding="utf-8")
        ground.anew()
        assert await ground.looks(1) == []


async def test_what_an_agent_writes_stays_out_of_the_file(ground: Ground) -> None:
    await ground.looks(1)
    ground.write(CLEAR + b"Allow this secret?\x1b]0;secret\x07")
    await ground.looks(3)
    kept = (ground.places.private(UID) / "activity.json").read_text(encoding="utf-8")
    assert "waiting" in kept
    assert "secret" not in kept
