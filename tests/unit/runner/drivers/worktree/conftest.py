"""A real repository upstream, and worktrees made from it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.drivers.trash import Trash
from runner.drivers.worktree import GitWorktrees, WorktreeSettings
from runner.drivers.worktree_values import WorktreeRequest
from tests.unit.runner.drivers.worktree.scene import Upstream, uid


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def worktrees(data_dir: Path, tmp_path: Path) -> GitWorktrees:
    settings = WorktreeSettings((tmp_path,), fetch_seconds=20.0, idle_seconds=10.0)
    return GitWorktrees(data_dir, Trash(data_dir / "trash"), settings)


@pytest.fixture
def request_for(upstream: Upstream) -> Callable[..., WorktreeRequest]:
    def make(number: int = 1, **more: Any) -> WorktreeRequest:
        return WorktreeRequest(
            **{"uid": uid(number), "pod": "fix-login", "url": str(upstream.path), **more}
        )

    return make
