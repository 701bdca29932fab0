"""What changes in a worktree is noticed, and what does not costs nothing."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.drivers import worktree_eyes
from runner.drivers.worktree import GitWorktrees
from runner.drivers.worktree_eyes import Eyes
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, git, uid

pytestmark = pytest.mark.anyio


@pytest.fixture
def eyes() -> Iterator[Eyes]:
    found = Eyes()
    yield found
    found.close()


@pytest.fixture
async def tree(worktrees: GitWorktrees, upstream: Upstream, request_for: Requests) -> Path:
    """Make a watched worktree."""
    upstream.commit("src/deep/file.txt", "x")
    made = await worktrees.ensure(request_for())
    await worktrees.inspect(uid())
    assert worktrees.eyes.changed() == set()
    assert worktrees.eyes.is_watched(uid())
    return made.path


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda tree: (tree / "README.md").write_text("y"), id="a file is written"),
        pytest.param(lambda tree: (tree / "src/deep/file.txt").unlink(), id="a file goes"),
        pytest.param(lambda tree: (tree / "src/new").touch(), id="a file is made"),
        pytest.param(lambda tree: (tree / "README.md").chmod(0o755), id="a mode changes"),
        pytest.param(lambda tree: (tree / "src").rename(tree / "lib"), id="a folder is renamed"),
        pytest.param(
            lambda tree: git(tree, "commit", "-q", "--allow-empty", "-m", "x"), id="a commit"
        ),
        pytest.param(
            lambda tree: git(tree, "update-ref", "HEAD", git(tree, "rev-parse", "HEAD")),
            id="a ref is written",
        ),
        pytest.param(lambda tree: git(tree, "checkout", "-q", "--detach"), id="HEAD moves"),
    ],
)
async def test_a_change_is_noticed_once(
    change: Callable[[Path], object], tree: Path, worktrees: GitWorktrees
) -> None:
    change(tree)
    assert worktrees.eyes.changed() == {uid()}
    await worktrees.inspect(uid())
    assert worktrees.eyes.changed() == set()  # looking changes nothing


async def test_reading_is_no_change(tree: Path, worktrees: GitWorktrees) -> None:
    (tree / "README.md").read_text()
    list(tree.rglob("*"))
    assert worktrees.eyes.changed() == set()


async def test_folders_that_are_made_later_are_watched(tree: Path, worktrees: GitWorktrees) -> None:
    (tree / "a/b").mkdir(parents=True)
    assert worktrees.eyes.changed() == {uid()}
    state = await worktrees.inspect(uid())
    assert state is not None
    assert not state.dirty  # git keeps no empty folders
    (tree / "a/b/new").touch()
    assert worktrees.eyes.changed() == {uid()}
    state = await worktrees.inspect(uid())
    assert state is not None
    assert state.dirty


async def test_a_pod_that_is_gone_is_forgotten(tree: Path, worktrees: GitWorktrees) -> None:
    await worktrees.save(uid())
    await worktrees.remove(uid())
    assert worktrees.eyes.changed() == set()
    assert not worktrees.eyes.is_watched(uid())
    assert not tree.exists()


def test_pods_are_told_apart_and_forgotten(eyes: Eyes, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        eyes.watch(name, tmp_path / "none", tmp_path / name, ())
    (tmp_path / "b/file").touch()
    assert eyes.changed() == {"b"}
    eyes.keep(["a"])
    (tmp_path / "b/other").touch()
    (tmp_path / "a/other").touch()
    assert eyes.changed() == {"a"}


def test_a_link_is_not_followed(eyes: Eyes, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "tree/link").symlink_to(tmp_path / "outside")
    eyes.watch("a", tmp_path / "none", tmp_path / "tree", ["link"])
    (tmp_path / "outside/file").touch()
    assert eyes.changed() == set()


def test_more_than_there_is_room_for_is_not_said_to_be_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worktree_eyes, "_MOST_OF_ALL", 10)
    eyes = Eyes()
    for number in range(20):
        (tmp_path / str(number)).mkdir()
    eyes.watch("a", tmp_path / "none", tmp_path, [str(number) for number in range(20)])
    assert not eyes.is_watched("a")
    eyes.forget("a")
    eyes.watch("b", tmp_path / "none", tmp_path, ["1"])
    assert eyes.is_watched("b")
    eyes.close()


def test_an_agent_that_makes_folders_without_end_is_not_followed_without_end(
    eyes: Eyes, tmp_path: Path
) -> None:
    eyes.watch("a", tmp_path / "none", tmp_path, ())
    for number in range(700):
        os.mkdir(f"{tmp_path}/{number}x")  # noqa: PTH102 - quicker
    assert eyes.changed() == {"a"}
    assert len(eyes._pods["a"].watches) <= 257  # noqa: SLF001 - what it costs
    (tmp_path / "more").touch()
    assert eyes.changed() == {"a"}
