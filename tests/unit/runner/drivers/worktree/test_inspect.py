"""What is said about a worktree while its agent works."""

import asyncio

import pytest

from runner.drivers.worktree import GitWorktrees
from runner.git.errors import WorktreeLostError
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, git, uid

pytestmark = pytest.mark.anyio


async def test_a_fresh_worktree_is_clean(worktrees: GitWorktrees, request_for: Requests) -> None:
    made = await worktrees.ensure(request_for())
    state = await worktrees.inspect(uid())
    assert state is not None
    assert (state.branch, state.commit, state.dirty, state.ahead) == (
        made.branch,
        made.commit,
        False,
        0,
    )


async def test_there_is_nothing_to_say_about_an_unknown_pod(worktrees: GitWorktrees) -> None:
    assert await worktrees.inspect(uid(9)) is None


async def test_commits_are_counted_and_changes_are_seen(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for())
    for number in range(3):
        (made.path / "file.txt").write_text(str(number))
        git(made.path, "add", "-A")
        git(made.path, "commit", "-q", "-m", str(number))
    state = await worktrees.inspect(uid())
    assert state is not None
    assert (state.dirty, state.ahead) == (False, 3)
    assert state.commit == git(made.path, "rev-parse", "HEAD")
    (made.path / "file.txt").write_text("changed")
    assert (await worktrees.inspect(uid())).dirty
    git(made.path, "checkout", "-q", "file.txt")
    (made.path / "new.txt").write_text("new")
    assert (await worktrees.inspect(uid())).dirty


async def test_what_the_repository_ignores_is_not_dirty(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    upstream.commit(".gitignore", "*.log\n")
    made = await worktrees.ensure(request_for())
    (made.path / "debug.log").write_text("noise")
    assert not (await worktrees.inspect(uid())).dirty


async def test_packed_and_collected_repositories_are_read(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for())
    git(made.path, "commit", "-q", "--allow-empty", "-m", "one")
    git(made.path, "gc", "-q")
    git(made.path, "pack-refs", "--all")
    state = await worktrees.inspect(uid())
    assert (state.branch, state.ahead) == (made.branch, 1)


async def test_a_detached_head_and_another_branch_are_told(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for())
    git(made.path, "switch", "-q", "-c", "other")
    assert (await worktrees.inspect(uid())).branch == "other"
    git(made.path, "switch", "-q", "--detach")
    state = await worktrees.inspect(uid())
    assert (state.branch, state.commit) == ("", made.commit)


async def test_a_branch_without_commit_has_no_commit(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for())
    git(made.path, "checkout", "-q", "--orphan", "empty")
    state = await worktrees.inspect(uid())
    assert (state.branch, state.commit, state.dirty) == ("empty", "", True)


async def test_the_agents_own_index_and_locks_do_not_matter(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for())
    (made.path / "README.md").write_text("changed")
    git(made.path, "update-index", "--assume-unchanged", "README.md")
    (made.repository / "worktrees/worktree/index.lock").touch()
    assert (await worktrees.inspect(uid())).dirty


async def test_looks_at_the_same_time_do_not_disturb_each_other(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for())
    (made.path / "new.txt").write_text("new")
    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(worktrees.inspect(uid())) for _ in range(5)]
    assert {look.result().dirty for look in looks} == {True}


@pytest.mark.parametrize("text", ["", "ref: ../../etc/passwd", "ref: refs/tags/x", "x" * 5000])
async def test_a_head_that_git_does_not_write_is_refused(
    worktrees: GitWorktrees, request_for: Requests, text: str
) -> None:
    made = await worktrees.ensure(request_for())
    (made.repository / "worktrees/worktree/HEAD").write_text(text)
    with pytest.raises(WorktreeLostError, match="cannot be read as the agent left it"):
        await worktrees.inspect(uid())
