"""A runner may be killed between any two steps: the next one finishes, and nothing is lost."""

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.drivers.worktree import GitWorktrees
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, cache, git, uid

pytestmark = pytest.mark.anyio

SCRIPT = Path(__file__).with_name("ensure_and_die.py")
ROOT = Path(__file__).parents[5]


def die(data_dir: Path, upstream: Upstream, pod: str, verb: str, step: int) -> bool:
    """Return whether the process got through before its *step*-th change."""
    done = subprocess.run(
        [sys.executable, SCRIPT, data_dir, upstream.path, pod, verb, str(step)],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode == 0


@pytest.mark.timeout(120)
async def test_a_worktree_is_whole_after_a_kill_at_any_step(
    data_dir: Path, upstream: Upstream, worktrees: GitWorktrees, request_for: Requests
) -> None:
    steps = itertools.count(1)
    for step in steps:
        number = step + 1
        through = die(data_dir, upstream, uid(number), "ensure", step)
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
async def test_a_first_fetch_may_be_killed_at_any_step(tmp_path: Path, upstream: Upstream) -> None:
    for step in itertools.count(1):
        data_dir = tmp_path / f"data-{step}"
        if die(data_dir, upstream, uid(1), "ensure", step):
            break
        assert die(data_dir, upstream, uid(1), "ensure", 10_000)
        path = data_dir / "pods" / uid(1) / "worktree"
        assert git(path, "status", "--porcelain") == ""
    assert step > 10


@pytest.mark.timeout(120)
async def test_work_is_kept_after_a_kill_at_any_step_of_saving_and_removing(
    data_dir: Path, upstream: Upstream, worktrees: GitWorktrees, request_for: Requests
) -> None:
    for step in itertools.count(1):
        made = await worktrees.ensure(request_for(step))
        git(made.path, "commit", "-q", "--allow-empty", "-m", f"mine {step}")
        (made.path / "new.txt").write_text(f"new {step}")
        through = die(data_dir, upstream, uid(step), "save", step)
        await worktrees.save(uid(step))
        assert await worktrees.remove(uid(step)) is None
        ref = f"refs/agentsmesh/saved/fix-login-{uid(step)[:8]}"
        assert git(cache(data_dir), "show", f"{ref}:new.txt") == f"new {step}"
        assert git(cache(data_dir), "log", "-1", "--format=%s", f"{ref}^") == f"mine {step}"
        assert list((data_dir / "pods" / uid(step)).iterdir()) == []
        if through:
            break
    assert step > 8
    assert not (data_dir / "kept").exists()
