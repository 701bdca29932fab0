"""Nothing that a pod started outlives it, whatever it did to get away."""

import asyncio
import functools
import os
import signal
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import pytest

from runner.drivers.cgroups.cgroups import Cgroups
from runner.drivers.cgroups.hierarchies import hierarchies
from runner.drivers.cgroups.values import Version
from runner.drivers.limits.values import Asked
from runner.drivers.terminal import Alive, Exited, Launch, LaunchError, Terminals
from runner.drivers.terminal_marks import kept_of
from runner.shim.custody import Cause
from tests.process.runner.conftest import PYTHON, Pods, output_until, until
from tests.process.runner.escaping import ESCAPES, INSIDE, survivors

pytestmark = pytest.mark.anyio

HELD_BY = ["no group", "pid namespace"]
if os.geteuid() == 0:
    HELD_BY += ["group"]
    HELD_BY += ["v1 group"] if any(h.version is Version.V1 for h in hierarchies()) else []


@pytest.fixture(params=HELD_BY)
def held_by(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cgroups(held_by: str, root: Path) -> Iterator[Cgroups]:
    found = {
        "group": hierarchies,
        "v1 group": lambda: [each for each in hierarchies() if each.version is Version.V1],
    }.get(held_by, list)()
    made = Cgroups.open(root, found)
    yield made
    made.close()
    assert not any(each.exists() for each in made.roots)


@pytest.fixture
async def terminals(cgroups: Cgroups) -> AsyncIterator[Terminals]:
    async with Terminals(cgroups) as terminals:
        yield terminals


@pytest.fixture
def word() -> str:
    """Return how long to sleep, in a way that is found again."""
    return f"300.{uuid.uuid4().int % 10**12:012}"


async def test_what_gets_away_ends_with_its_pod(
    terminals: Terminals, pods: Pods, held_by: str, word: str
) -> None:
    launches = await escaped(terminals, pods, held_by, word, list(ESCAPES))
    for launch in launches.values():
        await terminals.stop(launch.run_dir, 0.1)
    for launch in launches.values():
        async with asyncio.timeout(30):
            assert isinstance(await terminals.watch_exit(launch.run_dir), Exited)
    assert left(word, launches) == {}


@pytest.mark.faults
@pytest.mark.timeout(120)
async def test_what_gets_away_is_found_when_the_shim_is_killed(
    terminals: Terminals, pods: Pods, held_by: str, word: str
) -> None:
    ways = [way for way in ESCAPES if way != "after its program has ended"]
    launches = await escaped(terminals, pods, held_by, word, ways)
    for way, launch in launches.items():
        await until(functools.partial(left, word, [way]), f"it has got away {way}")
        found = await terminals.observe(launch.run_dir)
        assert isinstance(found, Alive)
        os.kill(found.pid, signal.SIGKILL)
    for launch in launches.values():
        await terminals.stop(launch.run_dir, 0)
    assert left(word, launches) == {}


async def escaped(
    terminals: Terminals, pods: Pods, held_by: str, word: str, ways: list[str]
) -> dict[str, Launch]:
    """Start a pod for each way, all at once, and return when all have got away."""
    inside = INSIDE if held_by == "pid namespace" else ()
    launches = {
        way: pods.launch(
            *(*inside, *ESCAPES[way], name(word, way)), pod=f"pod{number}", wrapper=bool(inside)
        )
        for number, way in enumerate(ways)
    }
    async with asyncio.TaskGroup() as tasks:
        for launch in launches.values():
            tasks.create_task(_up(terminals, launch))
    return launches


async def _up(terminals: Terminals, launch: Launch) -> None:
    await terminals.start(launch)
    await output_until(terminals, launch, b"up")


def name(word: str, way: str) -> str:
    """Return by what processes of that way are found: it is how long they sleep, too."""
    return f"{word}{list(ESCAPES).index(way):02}"


def left(word: str, ways: Iterable[str]) -> dict[str, list[int]]:
    """Return what lives of each way."""
    found = {way: survivors(name(word, way)) for way in ways}
    return {way: pids for way, pids in found.items() if pids}


async def test_a_frozen_run_does_nothing_and_goes_on(terminals: Terminals, pods: Pods) -> None:
    beat = pods.root / "beat"
    script = f"setsid sh -c 'while :; do echo >> {beat}; sleep 0.01; done' & echo up; wait"
    launch = pods.launch("sh", "-c", script)
    await terminals.start(launch)
    await until(beat.exists, "its first sign")
    await terminals.freeze(launch.run_dir)
    assert await terminals.frozen(launch.run_dir)
    size = beat.stat().st_size
    await terminals.freeze(launch.run_dir)
    assert beat.stat().st_size == size
    await terminals.thaw(launch.run_dir)
    assert not await terminals.frozen(launch.run_dir)
    await until(lambda: beat.stat().st_size > size, "its next sign")


async def test_what_the_agent_stopped_itself_stays_stopped_when_it_is_thawed(
    terminals: Terminals, pods: Pods
) -> None:
    script = "sleep 300 & kill -STOP $!; echo job $!.; sleep 300"
    launch = pods.launch("sh", "-c", script)
    await terminals.start(launch)
    said = await output_until(terminals, launch, b".")
    stat = Path(f"/proc/{int(said.split(b'job ')[1].split(b'.')[0])}/stat")

    def stopped() -> bool:
        return stat.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T"

    await until(stopped, "it has stopped")  # which takes its turn, as to go on after the freezer
    await terminals.freeze(launch.run_dir)
    await terminals.thaw(launch.run_dir)
    await until(stopped, "it is as it was")


async def test_a_frozen_run_is_asked_to_end_and_hears_it(terminals: Terminals, pods: Pods) -> None:
    agent = "import signal, sys\nsignal.signal(15, lambda *_: (print('bye'), sys.exit(4)))\n"
    agent += "signal.signal(2, signal.SIG_IGN)\nprint('up')\nwhile True: signal.pause()"
    launch = pods.launch(*PYTHON, agent)
    await terminals.start(launch)
    await output_until(terminals, launch, b"up")
    await terminals.freeze(launch.run_dir)
    await terminals.stop(launch.run_dir, 30, Cause("OutOfDisk", "It was too much."))
    async with asyncio.timeout(30):
        ended = await terminals.watch_exit(launch.run_dir)
    assert isinstance(ended, Exited)
    assert (ended.exit_code, ended.cause, ended.detail) == (4, "OutOfDisk", "It was too much.")


async def test_a_frozen_run_whose_shim_is_killed_ends(
    terminals: Terminals, pods: Pods, word: str
) -> None:
    launch = pods.launch("sh", "-c", "setsid -f sleep $0; echo up; sleep 300", word)
    alive = await terminals.start(launch)
    await output_until(terminals, launch, b"up")
    await terminals.freeze(launch.run_dir)
    os.kill(alive.pid, signal.SIGKILL)
    await terminals.stop(launch.run_dir, 0)
    assert survivors(word) == []


async def test_limits_are_kept_by_what_there_is_and_that_is_noted(
    terminals: Terminals, pods: Pods, cgroups: Cgroups
) -> None:
    asked = Asked(memory_bytes=64 << 20, pids=30, open_files=99)
    hungry = f"{PYTHON[0]} -c 'import time; held = bytearray(200 << 20); time.sleep(300)'"
    launch = pods.launch("sh", "-c", f"ulimit -n; read x; {hungry}; sleep 300", asked=asked)
    await terminals.start(launch)
    await output_until(terminals, launch, b"99")
    assert kept_of(launch.run_dir)["openFiles"] == "rlimit"
    if "memory" not in cgroups.kept:
        assert kept_of(launch.run_dir)["memory"] == "watched"
        return
    assert kept_of(launch.run_dir)["memory"] == cgroups.kept["memory"]
    await terminals.write(launch.run_dir, b"\n")
    async with asyncio.timeout(30):
        ended = await terminals.watch_exit(launch.run_dir)
    assert isinstance(ended, Exited)
    assert ended.cause == "OutOfMemory"
    assert "64 MiB" in ended.detail


FORKS = "import os, time\nfor _ in range(20): os.fork() or time.sleep(300)"
THREADS = """
import threading, time
for _ in range(20):
    threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
"""


@pytest.mark.parametrize(("pids", "full"), [(12, 12), (60, 0)])
@pytest.mark.parametrize("more", [FORKS, THREADS], ids=["others are left", "it was alone"])
async def test_that_its_processes_were_as_many_as_they_may_be_is_told(
    terminals: Terminals, pods: Pods, cgroups: Cgroups, pids: int, full: int, more: str
) -> None:
    launch = pods.launch(*PYTHON, more, asked=Asked(pids=pids))
    await terminals.start(launch)
    async with asyncio.timeout(30):
        ended = await terminals.watch_exit(launch.run_dir)
    assert isinstance(ended, Exited)
    refused = full if "pids" in cgroups.kept else 0
    assert (ended.exit_code, ended.full_pids) == (1 if refused else 0, refused)


async def test_a_run_that_cannot_begin_leaves_no_group(
    terminals: Terminals, pods: Pods, cgroups: Cgroups
) -> None:
    with pytest.raises(LaunchError):
        await terminals.start(pods.launch("/no/such/program"))
    assert cgroups.names() == []
