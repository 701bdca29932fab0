"""A branch that has moved is seen without git; and how often a repository is asked."""

from pathlib import Path

import pytest

from controller.gitops.keeper import seconds
from controller.gitops.local_refs import marks
from tests.unit.controller.gitops.git_scene import Team
from tests.unit.runner.drivers.worktree.scene import git


def test_a_push_is_seen_and_nothing_else(tmp_path: Path) -> None:
    team = Team(tmp_path)
    team.push({"a": "1"})
    before = marks(team.bare, "main")
    assert marks(team.bare, "main") == before
    team.push({"a": "2"})
    after = marks(team.bare, "main")
    assert after != before
    git(team.bare, "pack-refs", "--all")
    assert marks(team.bare, "main") != after


def test_a_repository_with_a_worktree_and_one_that_is_not_there_are_looked_at(
    tmp_path: Path,
) -> None:
    team = Team(tmp_path)
    team.push({"a": "1"})
    assert any(marks(team.clone, "main"))
    assert not any(marks(tmp_path / "nowhere", "main"))
    assert not any(marks(tmp_path / "nowhere", "a\0b"))


@pytest.mark.parametrize(
    ("text", "found"), [("60s", 60), ("5m", 300), ("1h30m", 5400), ("1h2m3s", 3723), ("1s", 5)]
)
def test_intervals_are_read(text: str, found: float) -> None:
    assert seconds(text) == found
