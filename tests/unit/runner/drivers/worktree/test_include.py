"""Files of the runner's owner are put into worktrees: those that git ignores, and no others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.drivers.trash import Trash
from runner.drivers.worktree import GitWorktrees, WorktreeSettings
from runner.drivers.worktree_values import Worktree
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, git, uid

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "include/acme/shop"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def including(
    data_dir: Path, tmp_path: Path, request_for: Requests, upstream: Upstream
) -> Callable[..., object]:
    upstream.commit(".gitignore", ".env\nsecrets/\nlink/\n*.key\n")
    worktrees = GitWorktrees(
        data_dir, Trash(data_dir / "trash"), WorktreeSettings((tmp_path,), tmp_path / "include")
    )

    async def made(*names: str) -> tuple[Worktree, str]:
        request = request_for(namespace="acme", repository="shop", include=names)
        found = await worktrees.ensure(request)
        state = await worktrees.inspect(uid())
        assert state is not None
        assert not state.dirty
        findings = worktrees.findings(uid())
        assert {each.reason for each in findings} <= {"IncludeSkipped"}
        worktrees.eyes.close()
        return found, " ".join(each.message for each in findings)

    return made


async def test_files_and_folders_that_git_ignores_are_put_in(
    including: Requests, folder: Path
) -> None:
    (folder / ".env").write_text("KEY=1")
    (folder / ".env").chmod(0o644)
    (folder / "secrets/deep").mkdir(parents=True)
    (folder / "secrets/deep/run").write_text("#!")
    (folder / "secrets/deep/run").chmod(0o755)
    found, said = await including(".env", "secrets")
    assert said == ""
    assert (found.path / ".env").read_text() == "KEY=1"
    assert (found.path / ".env").stat().st_mode & 0o777 == 0o600
    assert (found.path / "secrets/deep/run").stat().st_mode & 0o777 == 0o700


async def test_what_git_does_not_ignore_is_left_out_and_said(
    including: Requests, folder: Path
) -> None:
    (folder / "README.md").write_text("other")
    (folder / "plain.txt").write_text("x")
    (folder / ".env").write_text("KEY=1")
    found, said = await including("README.md", "plain.txt", ".env")
    assert (found.path / "README.md").read_text() == "hello\n"
    assert not (found.path / "plain.txt").exists()
    assert (found.path / ".env").exists()
    assert "README.md is not ignored" in said
    assert "plain.txt is not ignored" in said


async def test_what_is_not_there_is_said(including: Requests) -> None:
    _, said = await including(".env")
    assert ".env is not in the runner's include folder" in said


@pytest.mark.parametrize("name", ["../other/.env", "a/../../.env", ".git/config", "./.env", "a//b"])
async def test_paths_that_lead_elsewhere_are_refused(including: Requests, name: str) -> None:
    _, said = await including(name)
    assert "is not a path inside a worktree" in said


async def test_links_among_the_files_are_not_followed(
    including: Requests, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/id.key").write_text("host's own")
    (folder / "id.key").symlink_to(tmp_path / "outside/id.key")
    (folder / "secrets").symlink_to(tmp_path / "outside")
    found, said = await including("id.key", "secrets", "secrets/id.key")
    assert not list(found.path.rglob("*.key"))
    assert said.count("is not in the runner's include folder") == 3


async def test_a_link_in_the_repository_leads_nothing_out(
    including: Requests, folder: Path, tmp_path: Path, upstream: Upstream
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (upstream.path / "link").symlink_to(outside)
    git(upstream.path, "add", "-f", "link")
    git(upstream.path, "commit", "-q", "-m", "a trap")
    (folder / "link").mkdir()
    (folder / "link/id.key").write_text("secret")
    _, said = await including("link/id.key")
    assert list(outside.iterdir()) == []
    assert said


async def test_without_a_folder_it_is_said(worktrees: GitWorktrees, request_for: Requests) -> None:
    await worktrees.ensure(request_for(include=(".env",), repository="shop"))
    await worktrees.inspect(uid())
    (finding,) = worktrees.findings(uid())
    assert "--include-dir" in finding.message
