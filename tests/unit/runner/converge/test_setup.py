"""Setup scripts run once for each new worktree, whatever is killed; failing, they say how."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from meshwire.v1 import link_pb2

from runner.converge.places import Places
from runner.converge.setup import Setups
from runner.converge.unprepared import NotPreparedError
from runner.converge.workshop import Ready
from runner.drivers.terminal import Terminals
from runner.drivers.terminal_values import Launch
from runner.drivers.worktree_values import Worktree

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

UID = "00000001-1111-2222-3333-444444444444"


class Bench:
    """A place where scripts really run, without a sandbox."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.tree = places.data_dir / "tree"
        for path in (self.tree, places.pod(UID), places.tmp(UID)):
            path.mkdir(parents=True)
        self.ready = Ready(Worktree(self.tree, self.tree, "b", "c", ()), places.home(UID))

    async def script(
        self, pod: link_pb2.PodDesired, ready: Ready, argv: tuple[str, ...], run_dir: Path
    ) -> Launch:
        assert ready.worktree is not None
        return Launch(
            uid=pod.ref.pod_uid,
            epoch=1,
            restart=0,
            run_dir=run_dir,
            transcript_dir=self.places.transcript(UID),
            argv=argv,
            environment={"PATH": "/usr/bin:/bin"},
            cwd=ready.worktree.path,
        )

    def lines(self) -> list[str]:
        file = self.tree / "log"
        return file.read_text().split() if file.exists() else []


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Places(tmp_path / "d"))


@pytest.fixture
async def terminals() -> AsyncIterator[Terminals]:
    found = Terminals()
    yield found
    await found.close()


@pytest.fixture
def setups(bench: Bench, terminals: Terminals) -> Setups:
    return Setups(bench.places, terminals, bench)


def pod(*scripts: str, seconds: int = 30) -> link_pb2.PodDesired:
    found = link_pb2.PodDesired(ref=link_pb2.PodRef(pod_uid=UID, epoch=1))
    for script in scripts:
        found.spec.setup.add(script=script, timeout_seconds=seconds)
    return found


async def failure(setups: Setups, bench: Bench, wanted: link_pb2.PodDesired) -> str:
    with pytest.raises(NotPreparedError) as caught:
        await setups.run(wanted, bench.ready)
    assert (caught.value.reason, caught.value.retryable) == ("SetupFailed", False)
    return caught.value.message


async def test_each_runs_once_in_order(setups: Setups, bench: Bench) -> None:
    wanted = pod("echo one >> log", "#!/usr/bin/env python3\nopen('log', 'a').write('two\\n')")
    for _ in range(3):  # starts of the same pod
        await setups.run(wanted, bench.ready)
    assert bench.lines() == ["one", "two"]


async def test_what_it_prints_is_in_the_pods_terminal(
    setups: Setups, bench: Bench, terminals: Terminals
) -> None:
    await setups.run(pod("echo installing"), bench.ready)
    directory = bench.places.transcript(UID)
    found = terminals.read(directory, 0, 1000)
    assert b"installing" in getattr(found, "data", b"")


async def test_a_failure_has_code_and_last_line_and_keeps_the_next_from_running(
    setups: Setups, bench: Bench
) -> None:
    wanted = pod(
        "echo one >> log; printf '\\033[31mno such package\\033[0m\\n'; exit 7", "echo 2 >> log"
    )
    text = await failure(setups, bench, wanted)
    assert text == "The setup script ended with exit code 7; the last it said: no such package."
    assert bench.lines() == ["one"]


async def test_the_shell_ends_at_the_first_error(setups: Setups, bench: Bench) -> None:
    await failure(setups, bench, pod("echo one >> log; false; echo two >> log"))
    await failure(setups, bench, pod("echo three >> log; echo $nothing; echo four >> log"))
    assert bench.lines() == ["one", "three"]


async def test_started_again_a_pod_whose_setup_failed_runs_it_again(
    setups: Setups, bench: Bench
) -> None:
    wanted = pod("echo x >> log; test -e mended")
    await failure(setups, bench, wanted)
    (bench.tree / "mended").touch()
    await setups.run(wanted, bench.ready)
    assert bench.lines() == ["x", "x"]


async def test_one_that_takes_too_long_is_ended_with_all_it_started(
    setups: Setups, bench: Bench
) -> None:
    text = await failure(setups, bench, pod("sleep 1000 & echo $! > pid; wait", seconds=1))
    assert "longer than its 1 s" in text
    number = int((bench.tree / "pid").read_text())
    assert not Path(f"/proc/{number}/cwd").exists()


async def test_a_runner_that_comes_back_waits_for_what_still_runs(
    setups: Setups, bench: Bench, terminals: Terminals
) -> None:
    wanted = pod("echo began >> log; until test -e go; do sleep 0.02; done; echo ended >> log")
    first = asyncio.create_task(setups.run(wanted, bench.ready))  # noqa: TID251 - it is killed below
    while bench.lines() != ["began"]:
        await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    (bench.tree / "go").touch()
    await Setups(bench.places, terminals, bench).run(wanted, bench.ready)
    assert bench.lines() == ["began", "ended"]


async def test_what_was_ended_for_a_stop_runs_again_when_the_pod_goes_on(
    setups: Setups, bench: Bench
) -> None:
    wanted = pod("echo began >> log; test -e go || sleep 1000")
    first = asyncio.create_task(setups.run(wanted, bench.ready))  # noqa: TID251 - as a stop does
    while bench.lines() != ["began"]:
        await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await setups.end(UID)
    await setups.end(UID)
    (bench.tree / "go").touch()
    await setups.run(wanted, bench.ready)
    assert bench.lines() == ["began", "began"]


async def test_a_pod_without_worktree_has_no_setup(setups: Setups, bench: Bench) -> None:
    await setups.run(pod("echo x >> log"), Ready(None, bench.tree))
    assert bench.lines() == []
