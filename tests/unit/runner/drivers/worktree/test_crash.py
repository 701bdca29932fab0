"""A runner may be killed between any two steps: the next one finishes, and nothing is lost."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.drivers.worktree import GitWorktrees
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, cache, git, uid

pytestmark = pytest.mark.anyio

SCRIPT = Path(__file__).with_name("dying_runner.py")
ROOT = Path(__file__).parents[5]

Die = Callable[[Path, str, str, int], bool]


@pytest.fixture
def die(upstream: Upstream) -> Iterator[Die]:
    """Do something in a process that is killed before its Nth change; whether it got through."""
    runner = subprocess.Popen(
        [sys.executable, SCRIPT],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )

    def died(data_dir: Path, pod: str, verb: str, step: int) -> bool:
        assert runner.stdin is not None
        assert runner.stdout is not None
        print(data_dir, upstream.path, pod, verb, step, file=runner.stdin)
        answer = runner.stdout.readline().strip()
        assert answer in {"done", "killed"}
        return answer == "done"

    with runner:
        yield died
        assert runner.stdin is not None
        runner.stdin.close()


@pytest.mark.timeout(120)
async def test_a_worktree_is_whole_after_a_kill_at_any_step(
    data_dir: Path, die: Die, worktrees: GitWorktrees, request_for: Requests
) -> None:
    steps = itertools.count(1)
    for step in steps:
        number = step + 1
        through = die(data_dir, uid(number), "ensure", step)
        made = await worktrees.ensure(request_for(number))
        assert git(made.path, "status", "--porcelain") == ""
        assert git(made.path, "log", "-1", "--format=%s") == "change README.md"
        names = {path.name for path in (data_dir / "pods" / uid(number)).iterdir()}
        assert names == {"worktree", "repo.git", "worktree.json"}
        git(made.path, "commit", "-q", "--allow-empty", "-m", "works")
        if through:
            break
    assert step > 10  # it was killed that often


@pytest.mark.timeout(120)
async def test_a_first_fetch_may_be_killed_at_any_step(tmp_path: Path, die: Die) -> None:
    for step in itertools.count(1):
        data_dir = tmp_path / f"data-{step}"
        if die(data_dir, uid(1), "ensure", step):
            break
        assert die(data_dir, uid(1), "ensure", 10_000)
        path = data_dir / "pods" / uid(1) / "worktree"
        assert git(path, "status", "--porcelain") == ""
    assert step > 10


@pytest.mark.timeout(120)
async def test_work_is_kept_after_a_kill_at_any_step_of_saving_and_removing(
    data_dir: Path, die: Die, worktrees: GitWorktrees, request_for: Requests
) -> None:
    for step in itertools.count(1):
        made = await worktrees.ensure(request_for(step))
        git(made.path, "commit", "-q", "--allow-empty", "-m", f"mine {step}")
        (made.path / "new.txt").write_text(f"new {step}")
        through = die(data_dir, uid(step), "save", step)
        await worktrees.save(uid(step))
        assert await worktrees.remove(uid(step)) is None
        ref = f"refs/agentsmesh/saved/{uid(step)}"
        assert git(cache(data_dir), "show", f"{ref}:new.txt") == f"new {step}"
        assert git(cache(data_dir), "log", "-1", "--format=%s", f"{ref}^") == f"mine {step}"
        assert list((data_dir / "pods" / uid(step)).iterdir()) == []
        if through:
            break
    assert step > 8
    assert not (data_dir / "kept").exists()
