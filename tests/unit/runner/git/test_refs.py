"""Refs are read as text, and agree with git."""

import os
import subprocess
from pathlib import Path

import pytest

from runner.git.layout import Blueprint, lay_out
from runner.git.refs import UnreadableError, read_head, read_refs, read_stashes

COMMIT = "1234567890" * 4


def git(folder: Path, *args: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": "/dev/null",
        **{
            f"GIT_{who}_{what}": "a@b"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }
    return subprocess.run(
        ["git", *args], cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main", "r")
    path = tmp_path / "r"
    git(path, "commit", "-q", "--allow-empty", "-m", "x")
    git(path, "branch", "a/b/c")
    git(path, "tag", "-a", "v1", "-m", "v1")
    return path


def test_loose_and_packed_refs_agree_with_git(repository: Path) -> None:
    def listed() -> dict[str, str]:
        lines = git(repository, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split() for line in lines)

    assert read_refs(repository / ".git") == listed()
    git(repository, "pack-refs", "--all")
    git(repository, "commit", "-q", "--allow-empty", "-m", "y")
    git(repository, "branch", "ümläut")
    assert read_refs(repository / ".git") == listed()
    assert read_head(repository / ".git", ".", listed()).branch == "main"


def test_a_repository_laid_out_by_hand_is_one_for_git(tmp_path: Path, repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    url = '/srv/o"dd\\name'
    blueprint = Blueprint(
        (repository / ".git/objects",),
        {"refs/remotes/origin/main": commit},
        url,
        ('we"ird', "main"),
    )
    lay_out(tmp_path / "made.git", blueprint)
    made = tmp_path / "made.git"
    assert git(made, "rev-parse", "origin/main") == commit
    assert git(made, "config", "remote.origin.url") == url
    assert git(made, "config", 'branch.we"ird.merge') == "refs/heads/main"
    assert git(made, "fsck", "--no-dangling") == ""


def test_stashes_are_read_in_order(repository: Path) -> None:
    assert read_stashes(repository / ".git") == ()
    (repository / "f").write_text("0")
    git(repository, "add", "-A")
    for number in range(2):
        (repository / "f").write_text(str(number))
        git(repository, "add", "-A")
        git(repository, "stash", "-q")
    listed = git(repository, "stash", "list", "--format=%H").splitlines()
    assert list(read_stashes(repository / ".git")) == listed[::-1]


@pytest.mark.parametrize("kind", ["link", "fifo", "directory", "huge"])
def test_what_git_does_not_write_is_refused(tmp_path: Path, kind: str) -> None:
    lay_out(tmp_path / "r", Blueprint())
    packed = tmp_path / "r/packed-refs"
    if kind == "link":
        packed.symlink_to("/etc/passwd")
    elif kind == "fifo":
        os.mkfifo(packed)
    elif kind == "directory":
        packed.mkdir()
    else:
        with packed.open("wb") as file:
            file.truncate(65 * 1024 * 1024)
    with pytest.raises(UnreadableError, match="packed-refs"):
        read_refs(tmp_path / "r")


def test_refs_that_are_links_or_nonsense_are_not_read(tmp_path: Path) -> None:
    lay_out(tmp_path / "r", Blueprint(refs={"refs/heads/good": COMMIT}))
    heads = tmp_path / "r/refs/heads"
    (heads / "nonsense").write_text("not a commit")
    (heads / "symbolic").write_text("ref: refs/heads/good")
    (heads / "x.lock").write_text(COMMIT)
    (heads / "folder").symlink_to("/etc")
    with (tmp_path / "r/packed-refs").open("a") as file:
        file.write(f"garbage\n^{COMMIT}\n{COMMIT} not-a-ref\n")
    assert read_refs(tmp_path / "r") == {"refs/heads/good": COMMIT}
    (heads / "file").symlink_to("/etc/passwd")
    with pytest.raises(UnreadableError):
        read_refs(tmp_path / "r")
