"""A class that needs little history gets little, and its pods work as any others."""

from pathlib import Path

import pytest

from runner.drivers.worktree import GitWorktrees
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, git, uid

pytestmark = pytest.mark.anyio


def caches(data_dir: Path) -> int:
    return len(list((data_dir / "caches").iterdir()))


async def test_only_so_many_commits_are_fetched_and_others_get_all(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream, data_dir: Path
) -> None:
    for number in range(10):
        upstream.commit("file", str(number))
    short = await worktrees.ensure(request_for(1, depth=3))
    whole = await worktrees.ensure(request_for(2))
    assert git(short.path, "rev-list", "--count", "HEAD") == "3"
    assert git(whole.path, "rev-list", "--count", "HEAD") == "11"
    assert git(short.path, "fsck", "--connectivity-only") == ""
    assert caches(data_dir) == 2


async def test_work_on_a_short_history_is_looked_at_saved_and_restored(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream, data_dir: Path
) -> None:
    for number in range(5):
        upstream.commit("file", str(number))
    made = await worktrees.ensure(request_for(1, depth=1, namespace="acme"))
    git(made.path, "commit", "-q", "--allow-empty", "-m", "mine")
    (made.path / "new").write_text("new")
    for number in range(5):
        upstream.commit("file", f"again {number}")
    await worktrees.ensure(request_for(2, depth=1))  # the boundary moves
    state = await worktrees.inspect(uid(1))
    assert state is not None
    assert (state.ahead, state.dirty, state.rewritten) == (1, True, "")
    saved = await worktrees.save(uid(1))
    assert saved is not None
    assert await worktrees.remove(uid(1)) is None
    kept = worktrees.kept.find("acme", uid(1), "")
    assert kept is not None
    bare = data_dir / "caches" / kept.cache / "repo.git"
    assert git(bare, "show", f"{kept.commit}:new") == "new"
    assert git(bare, "log", "-1", "--format=%s", f"{kept.commit}^") == "mine"


async def test_a_filter_is_not_used_and_that_is_said(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for(filter="blob:none"))
    await worktrees.inspect(uid())
    (finding,) = worktrees.findings(uid())
    assert (finding.kind, finding.reason) == ("WorktreeAsAsked", "FilterNotUsed")
    assert git(made.path, "fsck") == ""
