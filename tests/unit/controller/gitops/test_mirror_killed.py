"""Git is killed at any moment, as by the kernel: nothing is lost, and nothing blocks for ever."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path

import pytest

from controller.gitops.remote import MirrorError, Pushed
from tests.unit.controller.gitops.git_scene import Team, draft, local_mirror
from tests.unit.runner.drivers.worktree.scene import git

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(300)]

ROUNDS = 40
LONGEST_SECONDS = 0.15


def ours(mark: bytes) -> list[int]:
    """Return the processes that have our configuration of git."""
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208  numbers
        if entry.isdigit() and int(entry) != os.getpid():
            with suppress(OSError):
                if mark in Path("/proc", entry, "environ").read_bytes():
                    found.append(int(entry))
    return found


async def killing(
    work: Awaitable[object], mark: bytes, killed: list[int], after_seconds: float
) -> object:
    """Return how *work* ends, all of whose processes are killed meanwhile."""

    async def kill() -> None:
        await asyncio.sleep(after_seconds)
        for pid in ours(mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(kill())
        try:
            return await work
        except MirrorError as exc:
            return exc


async def test_git_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    team = Team(tmp_path)
    dice = random.Random(20261122)  # noqa: S311  a test
    team.push({f"tickets/{n}.md": "x" * 500 for n in range(300)})
    made = local_mirror(tmp_path / "data", team)
    mark = str(tmp_path / "data" / "home" / "gitconfig").encode()
    landed: list[str] = []
    killed: list[int] = []
    for number in range(ROUNDS):
        team.push({f"people/{number}.md": dice.randbytes(2000)})
        await killing(made.fetch(), mark, killed, dice.uniform(0, LONGEST_SECONDS))
        tip = await made.fetch()
        assert tip == team.tip()
        change = [draft({"tickets/1.md": b"%d" % number}, f"x\n\nOperation-Id: op-{number}")]
        await killing(made.commit_all(tip, change), mark, killed, dice.uniform(0, LONGEST_SECONDS))
        (commit,) = await made.commit_all(tip, change)
        outcome = await killing(
            made.push(commit, tip), mark, killed, dice.uniform(0, LONGEST_SECONDS)
        )
        for lock in team.bare.glob("refs/heads/*.lock"):
            os.utime(lock, (1, 1))  # a while later
        found = await made.operations_landed(tip, await made.fetch())
        if found:
            assert found == {f"op-{number}": commit}
        else:
            assert not isinstance(outcome, Pushed)
            assert await made.push(commit, tip) == Pushed(commit)
        landed.append(commit)
        assert outcome is not None
        git(team.clone, "pull", "-q", "--ff-only", str(team.bare), "main")
    assert len(killed) > ROUNDS / 4  # and not by chance always too late
    history = git(team.bare, "rev-list", "main").split()
    assert [commit for commit in reversed(history) if commit in landed] == landed
    assert git(team.bare, "fsck", "--strict", "--no-dangling") == ""
    assert len(await made.entries(team.tip(), ".")) == 300 + ROUNDS
