"""A second pod of a repository: what is known is used, what is new is never missed."""

import shutil
from pathlib import Path

import pytest

from runner.drivers.worktree import GitWorktrees
from runner.git.cache import REMOTE_HEAD, TAGS, UPSTREAM
from runner.git.refs import read_refs
from runner.git.upstream import offered
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, cache, git

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("state", ["loose", "packed", "detached"])
async def test_what_is_read_of_a_folder_is_what_a_fetch_brings(
    worktrees: GitWorktrees, upstream: Upstream, data_dir: Path, request_for: Requests, state: str
) -> None:
    git(upstream.path, "branch", "side/one")
    git(upstream.path, "tag", "-a", "v1", "-m", "v1")
    upstream.commit("more.txt", "more")
    if state == "packed":
        git(upstream.path, "pack-refs", "--all")
    if state == "detached":
        git(upstream.path, "checkout", "-q", "--detach")
    await worktrees.ensure(request_for(default_branch="main"))
    brought = read_refs(cache(data_dir))
    assert offered(upstream.path, UPSTREAM, REMOTE_HEAD) == brought
    assert {UPSTREAM + "side/one", TAGS + "v1", REMOTE_HEAD} < brought.keys()


async def test_an_unchanged_folder_is_not_fetched_from_again(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    first = await worktrees.ensure(request_for(1))
    shutil.rmtree(upstream.path / ".git/objects")
    (upstream.path / ".git/objects").mkdir()  # any git that asks there fails now
    second = await worktrees.ensure(request_for(2))
    assert (second.commit, second.note) == (first.commit, "")
    assert git(second.path, "status", "--porcelain") == ""


async def test_a_folder_that_is_no_repository_offers_nothing(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    assert offered(tmp_path, UPSTREAM, REMOTE_HEAD) == {}


async def test_what_was_built_on_a_guess_shows_branches_pushed_meanwhile(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    first = await worktrees.ensure(request_for(1))
    git(upstream.path, "branch", "later")
    second = await worktrees.ensure(request_for(2))
    assert second.commit == first.commit
    assert git(second.path, "rev-parse", "origin/later") == first.commit


async def test_a_wrong_guess_leaves_no_trace(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    await worktrees.ensure(request_for(1))
    git(upstream.path, "rm", "-q", "README.md")
    pushed = upstream.commit("other.txt", "other")
    second = await worktrees.ensure(request_for(2))
    assert second.commit == pushed
    assert sorted(path.name for path in second.path.iterdir()) == [".git", "other.txt"]
    assert git(second.path, "status", "--porcelain") == ""
    assert git(second.path, "rev-parse", "HEAD", "origin/main").split() == [pushed, pushed]
