"""Saved work is listed with commands that bring it back."""

import subprocess
from argparse import Namespace
from pathlib import Path

import pytest

from cli.errors import CommandError
from cli.saved import saved


def git(*arguments: str | Path) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@b.invalid")
    done = subprocess.run(["git", *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    bare = tmp_path / "a mesh" / "runner" / "caches" / "c0ffee" / "repo.git"
    git("init", "--quiet", "--bare", bare)
    tree = git(f"--git-dir={bare}", "hash-object", "-t", "tree", "-w", "/dev/null")
    commit = git(f"--git-dir={bare}", "commit-tree", tree, "-m", "work")
    git(f"--git-dir={bare}", "update-ref", "refs/agentsmesh/saved/ada-1234", commit)
    git(f"--git-dir={bare}", "update-ref", "refs/agentsmesh/saved-refs/ada-1234/heads/x", commit)
    git(f"--git-dir={bare}", "update-ref", "refs/heads/main", commit)
    return bare


def test_each_is_listed_and_can_be_fetched(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert saved(Namespace(data_dir=str(tmp_path / "a mesh"))) == 0
    commands = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  git ")]
    assert len(commands) == 2
    clone = tmp_path / "clone"
    git("init", "--quiet", clone)
    for command in commands:
        subprocess.run(["sh", "-c", command], cwd=clone, check=True)
    commit = git(f"--git-dir={repository}", "rev-parse", "main")
    assert git(
        "-C", clone, "rev-parse", "saved/ada-1234", "saved-refs/ada-1234/heads/x"
    ).split() == [
        commit,
        commit,
    ]


def test_nothing_is_said_to_be_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert saved(Namespace(data_dir=str(tmp_path))) == 0
    assert "nothing is saved" in capsys.readouterr().out


def test_folders_of_files_are_listed_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "runner/kept/fix-12345678").mkdir(parents=True)
    assert saved(Namespace(data_dir=str(tmp_path))) == 0
    assert str(tmp_path / "runner/kept/fix-12345678") in capsys.readouterr().out


def test_a_damaged_cache_is_named(repository: Path, tmp_path: Path):
    (repository / "HEAD").unlink()
    with pytest.raises(CommandError, match=r"repo\.git"):
        saved(Namespace(data_dir=str(tmp_path / "a mesh")))
