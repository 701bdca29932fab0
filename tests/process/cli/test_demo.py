"""``make demo``: what a new user sees first."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.datadir import DataDir, held, holder
from scripts.demo import Demo, DemoError

pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).resolve().parents[3]


def demo(data: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "scripts.demo", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        env={**os.environ, "AGENTSMESH_DATA_DIR": str(data), **environment},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", f"--git-dir={repository}", *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("kubectl", [True, False], ids=["with kubectl", "without kubectl"])
def test_two_agents_work_and_everything_is_taken_away_again(tmp_path: Path, *, kubectl: bool):
    data = tmp_path / "data"
    DataDir(data).prepare()
    with held(DataDir(data)):  # a mesh that runs already is not the demo's to stop
        done = demo(
            data, "--once", KUBECTL="kubectl" if kubectl else "kubectl-that-is-not-installed"
        )
        assert holder(DataDir(data)) is not None
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^ada .*Running", done.stdout, re.MULTILINE)
    assert re.search(r"^grace .*Running", done.stdout, re.MULTILINE)
    assert "What shall I plant next?" in done.stdout
    assert re.search(r"^  [0-9a-f]{7} Plant a row of tulips$", done.stdout, re.MULTILINE)
    assert re.search(r"^  [0-9a-f]{7} Plant two apple trees$", done.stdout, re.MULTILINE)
    assert ("kubectl is not installed" in done.stdout) == (not kubectl)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_demo_that_cannot_start_says_which_part_and_where_its_log_is(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "up.pid").touch()  # ours already
    (data / "apiserver").write_text("in the way of a directory", encoding="utf-8")
    done = demo(data)
    assert done.returncode == 1
    assert "API server" in done.stderr
    assert str(data / "logs" / "apiserver.log") in done.stderr


def test_what_agents_pushed_is_still_there_at_the_next_demo(tmp_path: Path):
    again = Demo(tmp_path / "data")
    again.git_folder.mkdir()
    repository = again.make_repository()
    commit = git(repository, "rev-parse", "main")
    git(repository, "update-ref", "refs/heads/ada", commit)
    git(repository, "pack-refs", "--all")
    assert again.make_repository() == repository
    assert git(repository, "rev-parse", "ada", "main").split() == [commit, commit]
    assert [path.name for path in again.git_folder.iterdir()] == ["garden.git"]


def test_a_folder_that_is_no_repository_is_not_touched(tmp_path: Path):
    again = Demo(tmp_path / "data")
    other = again.git_folder / "garden.git"
    other.mkdir(parents=True)
    (other / "letters").write_text("dear", encoding="utf-8")
    with pytest.raises(DemoError, match="move it away"):
        again.make_repository()
    assert (other / "letters").read_text(encoding="utf-8") == "dear"
