import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.shim.transcript import Transcript
from runner.terminals.emulator import Subject
from runner.terminals.emulators import Emulators
from runner.terminals.look import looked

pytestmark = pytest.mark.anyio

ASKED = (50, False, False)
LIVE_BYTES = 3_000_000
"""Of these terminals, two and a half fit."""


@pytest.fixture
async def emulators() -> AsyncIterator[Emulators]:
    made = Emulators(LIVE_BYTES)
    yield made
    made.close()


def pod(root: Path, uid: str, lines: int = 1000) -> Subject:
    directory = root / uid
    directory.mkdir()
    transcript = Transcript(
        str(directory), floor=0, segment_bytes=1 << 20, transcript_bytes=8 << 20
    )
    transcript.sized(120, 40, begins=True)
    transcript.append([b"%b %d\r\n" % (uid.encode(), number) for number in range(lines)])
    transcript.close()
    return Subject(uid, directory, 120, 40)


async def last_line(emulators: Emulators, subject: Subject) -> str:
    async with emulators.current(subject) as emulator:
        return emulator.screen().lines(1)[0]


async def test_memory_is_bounded_however_many_are_watched(
    emulators: Emulators, tmp_path: Path
) -> None:
    pods = [pod(tmp_path, f"pod-{number}") for number in range(12)]
    for _ in range(2):
        for subject in pods:
            assert await last_line(emulators, subject) == f"{subject.uid} 999"
            assert 0 < emulators.live_bytes <= LIVE_BYTES
    assert all(subject.uid in emulators for subject in pods)


async def test_those_needed_last_stay_live(emulators: Emulators, tmp_path: Path) -> None:
    first, second, third = (pod(tmp_path, name) for name in ("a", "b", "c"))
    for subject in (first, second, first, third):
        await last_line(emulators, subject)
    live = {uid: place.emulator.live_bytes > 0 for uid, place in emulators._places.items()}
    assert live == {"a": True, "b": False, "c": True}
    assert await last_line(emulators, second) == "b 999"
    assert emulators.live_bytes <= LIVE_BYTES


async def test_one_that_is_watched_but_idle_needs_no_memory(
    emulators: Emulators, tmp_path: Path
) -> None:
    idle, *others = (pod(tmp_path, name) for name in ("idle", "a", "b", "c"))
    answers, live = [], -1
    for _ in range(3):
        async with emulators.current(idle, ASKED) as emulator:
            answers.append(looked(ASKED, emulator))
            live = emulator.live_bytes
        for subject in others:
            await last_line(emulators, subject)
    assert live == 0
    assert answers[0] is answers[1] is answers[2]
    assert answers[0].output.endswith("idle 999")


async def test_only_those_retained_are_kept(emulators: Emulators, tmp_path: Path) -> None:
    pods = [pod(tmp_path, name) for name in ("a", "b")]
    for subject in pods:
        await last_line(emulators, subject)
    before = emulators.live_bytes
    emulators.retain({"a"})
    assert ("a" in emulators, "b" in emulators) == (True, False)
    assert emulators.live_bytes == before / 2
    async with emulators.current(pods[0]):
        emulators.retain(())
        assert "a" in emulators


async def test_looks_at_one_terminal_take_turns(emulators: Emulators, tmp_path: Path) -> None:
    subject, inside = pod(tmp_path, "a"), 0

    async def look() -> None:
        nonlocal inside
        async with emulators.current(subject) as emulator:
            inside += 1
            assert inside == 1
            await emulators.in_thread(lambda: emulator.screen().lines(10_000))
            inside -= 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(look())


async def test_who_gives_up_waits_until_the_terminal_is_free(emulators: Emulators) -> None:
    begun, go = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(10)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(emulators.in_thread(work))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go.set()
        await asyncio.wait({task})
        assert task.cancelled()


async def test_building_a_large_terminal_does_not_hold_up_the_others(tmp_path: Path) -> None:
    emulators = Emulators()
    large, small = pod(tmp_path, "large", 700_000), pod(tmp_path, "small", 100)
    order = []

    async def look(subject: Subject) -> None:
        await last_line(emulators, subject)
        order.append(subject.uid)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(look(large))
        await asyncio.sleep(0)
        tasks.create_task(look(small))
    assert order == ["small", "large"]
    emulators.close()


async def test_a_failure_is_told_and_forgotten(emulators: Emulators, tmp_path: Path) -> None:
    subject = pod(tmp_path, "a")
    with pytest.raises(ZeroDivisionError):
        async with emulators.current(subject):
            raise ZeroDivisionError
    assert await last_line(emulators, subject) == "a 999"
