"""A runner that starts clears what an earlier one left, and nothing that is not its own."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.converge.cleaning import clean_groups
from runner.converge.places import Places
from runner.drivers.cgroups.cgroups import Cgroups
from runner.drivers.cgroups.values import GroupLimits
from runner.drivers.limits.values import Asked
from runner.drivers.terminal import Alive, Exited, Launch, Terminals
from runner.shim.group import Group

RUN = "00000001-aaaa.1-0"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="others can make no groups")


@pytest.fixture
def cgroups(tmp_path: Path) -> Iterator[Cgroups]:
    made = Cgroups.open(tmp_path)
    yield made
    clean_groups(Places(tmp_path), made)
    made.close()


def started(cgroups: Cgroups, name: str) -> Group:
    """Leave a process, whose parent has gone, in a new group."""
    group = cgroups.make(name, GroupLimits()).group
    subprocess.run(["setsid", "-f", "sleep", "300"], preexec_fn=group.enter, check=True)  # noqa: PLW1509  no threads
    assert group.pids()
    return group


def test_what_is_left_of_a_run_that_is_over_is_killed(cgroups: Cgroups, tmp_path: Path) -> None:
    left = started(cgroups, RUN)
    cgroups.make("00000002-bbbb.1-0", GroupLimits())
    assert clean_groups(Places(tmp_path), cgroups) == [RUN, "00000002-bbbb.1-0"]
    assert not left.pids()
    assert cgroups.names() == []


def test_groups_of_another_runner_stay(cgroups: Cgroups, tmp_path: Path) -> None:
    other_dir = tmp_path / "other"
    other_dir.mkdir()
    other = Cgroups.open(other_dir)
    theirs = started(other, RUN)
    assert clean_groups(Places(tmp_path), cgroups) == []
    assert theirs.pids()
    assert clean_groups(Places(other_dir), other) == [RUN]
    other.close()


def test_the_group_of_a_runner_that_was_killed_is_removed_though_its_data_is_gone(
    cgroups: Cgroups, tmp_path: Path
) -> None:
    gone_dir, busy_dir, next_dir = (tmp_path / name for name in ("gone", "busy", "next"))
    for each in (gone_dir, busy_dir, next_dir):
        each.mkdir()
    gone, busy = (_killed(each) for each in (gone_dir, busy_dir))
    running = started(busy, RUN)
    gone_dir.rmdir()
    following = Cgroups.open(next_dir)
    assert not any(root.exists() for root in gone.roots)
    assert all(root.exists() for root in cgroups.roots)  # it is empty, but its runner lives
    assert running.pids()
    following.close()
    assert clean_groups(Places(busy_dir), Cgroups.open(busy_dir)) == [RUN]
    Cgroups.open(busy_dir).close()


def _killed(data_dir: Path) -> Cgroups:
    """Return the groups of a runner that has ended without a word."""
    child = os.fork()
    if child == 0:
        Cgroups.open(data_dir)
        os._exit(0)
    os.waitpid(child, 0)
    file = data_dir / "cgroups.json"
    roots = [Path(each) for each in json.loads(file.read_text(encoding="utf-8"))]
    assert roots
    assert all(root.exists() for root in roots)
    file.unlink()
    return Cgroups(roots, {})


def test_groups_that_were_made_from_another_session_are_cleared(
    cgroups: Cgroups, tmp_path: Path
) -> None:
    left = started(cgroups, RUN)
    moved = Cgroups.open(tmp_path, [])
    assert RUN in clean_groups(Places(tmp_path), moved)
    assert not left.pids()
    assert cgroups.names() == []


@pytest.mark.anyio
@pytest.mark.parametrize("script", ["", "0-1"], ids=["agent", "setup script"])
async def test_a_run_that_goes_on_keeps_its_group_and_its_limits(
    cgroups: Cgroups, tmp_path: Path, script: str
) -> None:
    places, uid = Places(tmp_path), "00000003-cccc"
    run_dir = places.script(uid, 0, 1) if script else places.run(uid, 1, 0)
    launch = Launch(
        uid=uid,
        epoch=1,
        restart=0,
        run_dir=run_dir,
        transcript_dir=places.transcript(uid),
        argv=("sleep", "300"),
        environment={"PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        asked=Asked(pids=33),
        script=script,
    )
    async with Terminals(cgroups) as terminals:
        alive = await terminals.start(launch)
        assert clean_groups(places, cgroups) == []
        assert isinstance(await terminals.observe(run_dir), Alive)
        (name,) = cgroups.names()
        assert cgroups.group(name).pids() == {alive.child_pid}
        assert any(
            path.read_text().strip() == "33"
            for root in cgroups.roots
            for path in root.glob(f"{name}/pids.max")
        )
        await terminals.stop(run_dir, 0)
        async with asyncio.timeout(30):
            assert isinstance(await terminals.watch_exit(run_dir), Exited)
    assert cgroups.names() == []
