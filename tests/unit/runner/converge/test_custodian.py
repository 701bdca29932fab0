"""The custodian ends pods that are over a limit that nothing else keeps, and no other."""

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from meshwire.v1 import link_pb2

from runner.converge.custodian import Custodian, asked_of
from runner.converge.places import Places
from runner.converge.states import Row, State
from runner.drivers.terminal import Absent, Exited, Launch, Terminals
from runner.drivers.terminal_observe import observe

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

UID = "00000001-1111-2222-3333-444444444444"
MIB = 1 << 20
HUNGRY = "/usr/bin/python3 -I -S -c 'import time; held = bytearray(80 << 20); time.sleep(300)' &"
MANY = "for each in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 300 & done;"
BIG = "head -c 8M /dev/zero > home/big; head -c 2M /dev/zero > tmp/big;"
OPEN = "exec 7> home/big; rm home/big; head -c 8M /dev/zero >&7;"


class Ward:
    """One pod whose limits are watched, as no control group is there."""

    def __init__(self, places: Places, terminals: Terminals) -> None:
        self.places = places
        self.terminals = terminals
        self.rows: dict[str, Row] = {}
        self.custodian = Custodian(places, lambda: self.rows, terminals)
        for path in (places.home(UID), places.tmp(UID)):
            path.mkdir(parents=True)

    async def start(self, script: str, limits: link_pb2.Limits, setup: str = "") -> Path:
        run_dir = self.places.run(UID, 1, 0)
        if setup:
            run_dir = self.places.script(UID, 0, 1)
            run_dir.parent.mkdir()
        launch = Launch(
            uid=UID,
            epoch=1,
            restart=0,
            run_dir=run_dir,
            transcript_dir=self.places.transcript(UID),
            argv=("sh", "-c", f"{script}{setup} sleep 300"),
            environment={"PATH": "/usr/bin:/bin"},
            cwd=self.places.pod(UID),
            asked=asked_of(limits),
            script=run_dir.name if setup else "",
        )
        alive = await self.terminals.start(launch)
        pod = link_pb2.PodDesired(ref=link_pb2.PodRef(pod_uid=UID, epoch=1))
        pod.spec.limits.CopyFrom(limits)
        row = Row(UID, 1, "default", "pod", State.PREPARING, desired=pod.SerializeToString())
        if not setup:
            row = dataclasses.replace(row, state=State.RUNNING, pid=alive.pid, started_ms=1)
        self.rows[UID] = row
        return run_dir

    def graceful(self, seconds: int) -> Row:
        """Return the row of the pod with so long a grace."""
        pod = self.rows[UID].pod()
        pod.grace_seconds = seconds
        return dataclasses.replace(self.rows[UID], desired=pod.SerializeToString())

    async def end(self, run_dir: Path) -> Exited:
        """Return how the run ended, watched until then."""
        async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self.custodian.run())
            ended = await self.terminals.watch_exit(run_dir)
            watching.cancel()
        assert isinstance(ended, Exited)
        return ended


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    async with Terminals() as terminals:
        made = Ward(Places(tmp_path / "d"), terminals)
        yield made
        for path in made.places.pod(UID).glob("*/*-*"):
            await terminals.stop(path, 0)


@pytest.mark.parametrize(
    ("script", "limits", "reason", "said"),
    [
        (HUNGRY, link_pb2.Limits(memory_bytes=40 * MIB), "OutOfMemory", "40 MiB of memory"),
        (MANY, link_pb2.Limits(pids=8), "TooManyProcesses", "more than its 8 processes"),
        (BIG, link_pb2.Limits(disk_bytes=4 * MIB), "OutOfDisk", "home .* MiB, temporary files "),
        (OPEN, link_pb2.Limits(disk_bytes=4 * MIB), "OutOfDisk", "deleted files that are open 8"),
    ],
    ids=["memory", "processes", "disk", "disk, of a deleted file"],
)
async def test_who_is_over_a_limit_is_ended_with_a_reason(
    ward: Ward, script: str, limits: link_pb2.Limits, reason: str, said: str
) -> None:
    ended = await ward.end(await ward.start(script, limits))
    assert ended.cause == reason
    assert re.search(said, ended.detail)  # it may be ended while it writes


async def test_who_is_over_its_disk_gets_no_time_to_go_on(ward: Ward) -> None:
    deaf = "trap '' TERM INT HUP; " + BIG
    run_dir = await ward.start(deaf, link_pb2.Limits(disk_bytes=4 * MIB))
    ward.rows[UID] = ward.graceful(3000)
    assert (await ward.end(run_dir)).cause == "OutOfDisk"


async def test_who_is_being_ended_is_still_watched(ward: Ward) -> None:
    deaf = "trap '' TERM INT HUP; " + BIG
    run_dir = await ward.start(deaf, link_pb2.Limits(disk_bytes=4 * MIB))
    ward.rows[UID] = dataclasses.replace(ward.graceful(3000), state=State.STOPPING)
    while not (ward.places.tmp(UID) / "big").exists():
        await asyncio.sleep(0.01)
    await ward.terminals.stop(run_dir, 3000)
    assert (await ward.end(run_dir)).cause == "OutOfDisk"


async def test_a_setup_script_is_watched_like_the_agent(ward: Ward) -> None:
    ended = await ward.end(await ward.start("", link_pb2.Limits(disk_bytes=4 * MIB), BIG))
    assert ended.cause == "OutOfDisk"


async def test_who_stays_within_all_limits_goes_on(ward: Ward) -> None:
    within = link_pb2.Limits(memory_bytes=400 * MIB, pids=50, disk_bytes=40 * MIB)
    run_dir = await ward.start(MANY + BIG + "echo done > home/done;", within)
    looks = asyncio.Event()
    measured = ward.places.home(UID) / "done"

    class Rows(dict[str, Row]):
        """Tells when they have been asked for some rounds after the program was ready."""

        rounds = 0

    rows = Rows(ward.rows)

    def seen() -> Rows:
        Rows.rounds += measured.exists()
        if Rows.rounds > 8:
            looks.set()
        return rows

    custodian = Custodian(ward.places, seen, ward.terminals)
    async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(custodian.run())
        await looks.wait()
        watching.cancel()
    assert not isinstance(observe(run_dir), Exited | Absent)


async def test_what_keeps_the_limits_is_told(ward: Ward) -> None:
    await ward.start("", link_pb2.Limits(memory_bytes=400 * MIB, cpu_millis=500, open_files=99))
    report = ward.custodian.told(ward.rows[UID])
    assert dict(report.limits) == {"memory": "watched", "cpu": "none", "openFiles": "rlimit"}
    assert [(each.type, each.status, each.reason) for each in report.conditions] == [
        ("ResourcesLimited", False, "NotEnforced")
    ]


async def test_nothing_is_told_of_who_asked_for_no_limits(ward: Ward) -> None:
    await ward.start("", link_pb2.Limits())
    assert ward.custodian.told(ward.rows[UID]) == link_pb2.PodObserved()
