"""Patterns of a pod keep the runner's git busy only for so long."""

from pathlib import Path

import pytest

from runner.drivers import worktree_look
from runner.drivers.worktree import GitWorktrees
from runner.drivers.worktree_values import Worktree
from runner.git import view
from tests.unit.runner.drivers.worktree.scene import Requests, cache, git, uid

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worktree_look, "LOOK_CPU_SECONDS", 1)
    monkeypatch.setattr(view, "CPU_SECONDS", 1)


def plant(made: Worktree) -> None:
    """Make git try what it cannot finish."""
    (made.path / ".gitignore").write_text("*a" * 15 + "*b\n")
    for number in range(3):
        (made.path / ("a" * 200 + str(number))).write_text("mine")


async def test_a_look_ends_and_says_so(worktrees: GitWorktrees, request_for: Requests) -> None:
    made = await worktrees.ensure(request_for())
    git(made.path, "commit", "-q", "--allow-empty", "-m", "mine")
    plant(made)
    state = await worktrees.inspect(uid())
    assert state is not None
    assert state.commit == git(made.path, "rev-parse", "HEAD")
    assert state.dirty
    assert worktree_look.TOO_SLOW in worktrees.findings(uid())


async def test_it_is_not_looked_at_again_soon(
    worktrees: GitWorktrees, request_for: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await worktrees.ensure(request_for())
    plant(made)
    await worktrees.inspect(uid())
    (made.path / ".gitignore").unlink()
    state = await worktrees.inspect(uid())
    assert worktree_look.TOO_SLOW in worktrees.findings(uid())
    monkeypatch.setattr(worktree_look, "LOOK_CPU_SECONDS", 60)
    monkeypatch.setattr(worktree_look, "clock", lambda: 1e12)
    state = await worktrees.inspect(uid())
    assert state is not None
    assert state.dirty
    assert worktree_look.TOO_SLOW not in worktrees.findings(uid())


async def test_removal_keeps_commits_under_refs_and_files_as_they_are(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for())
    git(made.path, "commit", "-q", "--allow-empty", "-m", "mine")
    head = git(made.path, "rev-parse", "HEAD")
    git(made.path, "branch", "other", git(made.path, "commit-tree", "-m", "x", "HEAD^{tree}"))
    plant(made)
    saved = await worktrees.save(uid())
    assert saved is not None
    assert "too long" in saved.note
    assert git(cache(data_dir), "rev-parse", f"refs/agentsmesh/saved/{uid()}") == head
    assert saved.others == (f"refs/agentsmesh/saved-refs/{uid()}/heads/other",)
    kept = await worktrees.remove(uid())
    assert kept is not None
    assert (kept / "worktree" / ("a" * 200 + "0")).read_text() == "mine"
