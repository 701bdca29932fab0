"""What is told of a pod's worktree that nobody can look into."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runner.converge.places import Places
from runner.converge.states import State, begun
from runner.converge.workshop import Ground, Workshop
from runner.converge.worktree_conditions import worktree_conditions
from runner.drivers.sandbox.values import Capabilities
from runner.drivers.trash import Trash
from runner.drivers.worktree import GitWorktrees, WorktreeSettings
from runner.drivers.worktree_values import WorktreeRequest
from tests.unit.runner.converge.world import pod
from tests.unit.runner.drivers.worktree.scene import Upstream, uid

pytestmark = pytest.mark.anyio


@pytest.fixture
def worktrees(tmp_path: Path) -> GitWorktrees:
    data = tmp_path / "data"
    return GitWorktrees(data, Trash(data / "trash"), WorktreeSettings((tmp_path,)))


@pytest.fixture
def workshop(worktrees: GitWorktrees, tmp_path: Path) -> Workshop:
    trash = Trash(tmp_path / "trash")
    return Workshop(Places(tmp_path / "data"), worktrees, trash, Ground((), Capabilities()))


@pytest.fixture
def request_for(tmp_path: Path) -> Callable[[], WorktreeRequest]:
    upstream = Upstream(tmp_path / "upstream")
    return lambda: WorktreeRequest(uid=uid(), pod="fix-login", url=str(upstream.path))


async def test_it_is_taken_for_changed_and_a_condition_says_why_also_after_its_end(
    worktrees: GitWorktrees, workshop: Workshop, request_for: Callable[[], WorktreeRequest]
) -> None:
    assert await workshop.inspect(uid()) is None
    made = await worktrees.ensure(request_for())
    state = await workshop.inspect(uid())
    assert state is not None
    assert (state.dirty, state.commit) == (False, made.commit)
    shutil.rmtree(made.repository / "objects")
    state = await workshop.inspect(uid())
    assert state is not None
    assert (state.dirty, state.commit) == (True, "")  # which leaves what was told last
    row = replace(begun(pod("pod-1"), State.RUNNING), uid=uid())
    told = worktree_conditions(worktrees)
    for each in (row, replace(row, state=State.FAILED)):
        [condition] = told(each).conditions
        assert (condition.type, condition.status, condition.reason) == (
            "WorktreeRead",
            False,
            "Unreadable",
        )
        assert "nobody can tell whether anything changed" in condition.message
