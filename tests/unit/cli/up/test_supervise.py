"""A supervised process is started, found ready, started again, and stopped."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli import processes
from cli.errors import CommandError
from cli.up.backoff import Backoff
from cli.up.state import PartState
from cli.up.supervise import Part, Supervised, end_leftovers
from controller.settings import MESSAGE_STORE_URL

pytestmark = pytest.mark.anyio

_QUICK = Backoff(first_seconds=0.01, longest_seconds=0.02)
_SLEEP = "import time; print('here', flush=True); time.sleep(60)"


class Watched(Supervised):
    """One that remembers what it said."""

    def __init__(self, tmp_path: Path, code: str, **options: float) -> None:
        self.log = tmp_path / "part.log"
        self.said: list[str] = []
        self.changes: list[str] = []
        part = Part("part", "part", self.log, lambda: ["-c", code], self._speaks)
        super().__init__(part, self._note, self.said.append, backoff=_QUICK, **options)

    def _note(self) -> None:
        self.changes.append(self.state.state)

    async def _speaks(self) -> bool:
        return "here" in self.log.read_text()


async def until(claim: Callable[[], object], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.01)


async def test_it_becomes_ready_and_is_stopped(tmp_path: Path):
    one = Watched(tmp_path, _SLEEP)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one.run())
        await one.until_ready(10)
        process = one.state.process
        assert process is not None
        assert process.alive()
        await one.stop()
    assert not process.alive()
    assert one.changes == ["starting", "ready", "stopping", "stopped"]


async def test_killed_it_is_started_again_and_said_to_be(tmp_path: Path):
    one = Watched(tmp_path, _SLEEP)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one.run())
        await one.until_ready(10)
        first = one.state.process
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: one.state.process not in {None, first} and one.state.state == "ready")
        await one.stop()
    assert one.state.restarts == 1
    assert "started again" in one.said[0]
    assert one.said[-1] == "part ready again"


async def test_what_never_works_is_given_up_with_its_last_word(tmp_path: Path):
    one = Watched(tmp_path, "import sys; sys.exit('the disk is full')")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one.run())
        with pytest.raises(CommandError, match=f"the disk is full .*{one.log}"):
            await one.until_ready(20)
    assert one.state.state == "stopped"


async def test_what_takes_too_long_is_said(tmp_path: Path):
    one = Watched(tmp_path, "import time; print('busy', flush=True); time.sleep(60)")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one.run())
        await until(lambda: one.log.exists() and "busy" in one.log.read_text())
        with pytest.raises(CommandError, match="was not ready in 0 s: busy"):
            await one.until_ready(0.1)
        await one.stop()


async def test_a_stubborn_process_is_ended_by_force(tmp_path: Path):
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_SLEEP}"
    one = Watched(tmp_path, code, grace_seconds=0.1)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one.run())
        await one.until_ready(10)
        process = one.state.process
        assert process is not None
        await one.stop()
    assert not process.alive()


async def test_stopping_while_it_waits_to_be_started_again_does_not_wait(tmp_path: Path):
    one = Watched(tmp_path, _SLEEP)
    one._backoff = Backoff(first_seconds=50)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one.run())
        await one.until_ready(10)
        process = one.state.process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: one.state.state == "restarting")
        began = time.monotonic()
        await one.stop()
    assert time.monotonic() - began < 40


async def test_a_restart_by_hand_does_not_wait_either(tmp_path: Path):
    one = Watched(tmp_path, _SLEEP)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one.run())
        await one.until_ready(10)
        first = one.state.process
        await one.restart()
        await until(lambda: one.state.process not in {None, first})
        await one.stop()


def test_a_child_ends_with_its_parent_however_that_ends(tmp_path: Path):
    code = """
import asyncio, sys
from pathlib import Path
from cli.up.supervise import Part, Supervised

async def ready():
    return False

async def main():
    log = Path(sys.argv[1])
    part = Part("part", "part", log, lambda: ["-c", "import time; time.sleep(60)"], ready)
    one = Supervised(part, lambda: None, print)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one.run())
        while one.state.process is None:
            await asyncio.sleep(0.01)
        print(one.state.process.pid, flush=True)

asyncio.run(main())
"""
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = processes.find(int(parent.stdout.readline()))
        assert child is not None
        assert child.alive()
        # exec has happened once the bare interpreter has become the program
        deadline = time.monotonic() + 10
        while b"sleep(60)" not in Path(f"/proc/{child.pid}/cmdline").read_bytes().split(b"\0")[-2]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        parent.kill()
        parent.wait(10)
    assert child.wait(10)


def test_leftovers_are_ended_and_strangers_are_not(tmp_path: Path):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as left:
        process = processes.find(left.pid)
        stranger = processes.Process(os.getpid(), "another boot/1")
        parts = [
            PartState("controller", str(tmp_path), process=process),
            PartState("runner", str(tmp_path), process=stranger),
            PartState("apiserver", str(tmp_path)),
        ]
        assert end_leftovers(parts) == ["controller"]
        assert left.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize("keeps", [frozenset[str](), frozenset({MESSAGE_STORE_URL})])
async def test_the_messages_databases_url_reaches_only_the_part_that_it_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps: frozenset[str]
):
    monkeypatch.setenv(MESSAGE_STORE_URL, "postgresql://mesh:pw@db/messages")
    monkeypatch.setenv("OTHER", "kept")
    log = tmp_path / "part.log"
    code = f"import os; print([os.environ.get(n) for n in ('OTHER', '{MESSAGE_STORE_URL}')])"

    async def ready() -> bool:
        return False

    part = Part("part", "part", log, lambda: ["-c", code], ready, keeps=keeps)
    one = Supervised(part, lambda: None, lambda _: None, backoff=_QUICK)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one.run())
        await until(lambda: log.exists() and "]" in log.read_text())
        await one.stop()
    first = log.read_text().splitlines()[0]
    assert first == str(["kept", "postgresql://mesh:pw@db/messages" if keeps else None])
