"""Worktrees that are ready are taken once each, and hold what a pod would have got anyway."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.drivers import worktree_warm
from runner.drivers.trash import Trash
from runner.drivers.worktree import GitWorktrees, WorktreeSettings
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, git, uid

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


def ready(data_dir: Path) -> list[Path]:
    return [path for path in data_dir.glob("warm/*/*") if path.name.isdigit()]


def holds(data_dir: Path) -> set[str]:
    notes = (path / "warm.json" for path in ready(data_dir))
    return {json.loads(note.read_text())["commit"] for note in notes}


@asynccontextmanager
async def tended(worktrees: GitWorktrees) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        tending = tasks.create_task(worktrees.tend())
        yield
        tending.cancel()


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not claim():
            await asyncio.sleep(0.01)


async def test_as_many_as_are_wanted_are_made_and_each_start_takes_one(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream, data_dir: Path
) -> None:
    upstream.commit("src/a.txt", "a")
    async with tended(worktrees):
        await worktrees.ensure(request_for(1, warm=2))
        await until(lambda: len(ready(data_dir)) == 2)
        inode = {(path / "worktree/src/a.txt").stat().st_ino for path in ready(data_dir)}
        made = await worktrees.ensure(request_for(2, warm=2))
        assert (made.path / "src/a.txt").stat().st_ino in inode  # no file was written
        await until(lambda: len(ready(data_dir)) == 2)
    assert git(made.path, "status", "--porcelain", "--branch") == f"## {made.branch}"
    assert git(made.path, "diff", "--stat", "HEAD") == ""
    git(made.path, "commit", "-q", "--allow-empty", "-m", "mine")
    state = await worktrees.inspect(uid(2))
    assert state is not None
    assert (state.dirty, state.ahead) == (False, 1)


async def test_one_of_another_commit_is_brought_to_the_right_one(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream, data_dir: Path
) -> None:
    old = upstream.commit("gone.txt", "x")
    async with tended(worktrees):
        await worktrees.ensure(request_for(1, warm=1))
        await until(lambda: holds(data_dir) == {old})
    (upstream.path / "gone.txt").unlink()
    new = upstream.commit("new/file.txt", "y")
    made = await worktrees.ensure(request_for(2, warm=1))
    assert made.commit == new
    assert not ready(data_dir)  # it was taken
    assert not (made.path / "gone.txt").exists()
    assert git(made.path, "status", "--porcelain") == ""


async def test_when_upstream_moves_they_move_too(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream, data_dir: Path
) -> None:
    async with tended(worktrees):
        await worktrees.ensure(request_for(1, warm=2))
        await until(lambda: len(ready(data_dir)) == 2)
        new = upstream.commit("b", "b")
        await worktrees.ensure(request_for(2, warm=2))
        await until(lambda: len(ready(data_dir)) == 2 and holds(data_dir) == {new})


async def test_fewer_and_none_are_kept_when_the_number_falls(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    async with tended(worktrees):
        await worktrees.ensure(request_for(1, warm=3))
        await until(lambda: len(ready(data_dir)) == 3)
        await worktrees.ensure(request_for(2, warm=1))
        await until(lambda: len(ready(data_dir)) == 1)
        await worktrees.ensure(request_for(3, warm=0))
        await until(lambda: not list(data_dir.glob("warm/*")))


async def test_of_a_repository_that_is_gone_none_are_kept(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    def known(url: str, number: int) -> dict[bytes, int]:
        return {hashlib.sha256(url.encode()).digest(): number}

    url = request_for(1).url
    async with tended(worktrees):
        await worktrees.ensure(request_for(1, warm=3))
        await until(lambda: len(ready(data_dir)) == 3)
        worktrees.warm.know(known(url, 1) | known("https://other.example/x", 3))
        await until(lambda: len(ready(data_dir)) == 1)
        worktrees.warm.know(known(url, 2))
        await until(lambda: len(ready(data_dir)) == 2)
        worktrees.warm.know(known("https://other.example/x", 3))
        await until(lambda: not list(data_dir.glob("warm/*")))
        await worktrees.ensure(request_for(2, warm=3))  # it was on its way before
        await until(lambda: not list(data_dir.glob("warm/*")))


async def test_a_repository_that_nobody_uses_keeps_none(
    worktrees: GitWorktrees,
    request_for: Requests,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with tended(worktrees):
        await worktrees.ensure(request_for(1, warm=1))
        await until(lambda: len(ready(data_dir)) == 1)
    monkeypatch.setattr(worktree_warm, "_UNUSED_MS", 0)
    async with tended(worktrees):
        await until(lambda: not list(data_dir.glob("warm/*")))


async def test_none_is_made_on_a_disk_that_is_nearly_full(
    worktrees: GitWorktrees,
    request_for: Requests,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def full(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=99, total=1000)

    monkeypatch.setattr(worktree_warm.shutil, "disk_usage", full)
    async with tended(worktrees):
        await worktrees.ensure(request_for(1, warm=2))
        await until(lambda: bool(asked))
        await worktrees.ensure(request_for(2, warm=2))
        await until(lambda: len(asked) > 1)
    assert not ready(data_dir)


async def test_what_a_dead_runner_was_making_goes_and_the_rest_serves(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path, tmp_path: Path
) -> None:
    async with tended(worktrees):
        await worktrees.ensure(request_for(1, warm=1))
        await until(lambda: len(ready(data_dir)) == 1)
    half = ready(data_dir)[0].with_name("making-7")
    (half / "worktree").mkdir(parents=True)
    (ready(data_dir)[0].with_name("8")).mkdir()  # damaged: it has no note
    again = GitWorktrees(data_dir, Trash(data_dir / "trash"), WorktreeSettings((tmp_path,)))
    made = await again.ensure(request_for(2, warm=1))
    assert git(made.path, "status", "--porcelain") == ""
    async with tended(again):
        await until(lambda: not half.exists() and len(ready(data_dir)) == 1)
    for number in (3, 4):
        made = await again.ensure(request_for(number, warm=1))
        assert git(made.path, "status", "--porcelain") == ""
    again.eyes.close()


async def test_many_at_once_never_share_one(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    async with tended(worktrees):
        await worktrees.ensure(request_for(1, warm=4))
        await until(lambda: len(ready(data_dir)) == 4)
        async with asyncio.TaskGroup() as tasks:
            made = [
                tasks.create_task(worktrees.ensure(request_for(number, warm=4)))
                for number in range(2, 9)
            ]
    trees = [task.result().path for task in made]
    for tree in trees:
        (tree / "README.md").write_text(str(tree))
    assert {(tree / "README.md").read_text() for tree in trees} == {str(tree) for tree in trees}
    for tree in trees:
        assert git(tree, "status", "--porcelain") == "M README.md"
