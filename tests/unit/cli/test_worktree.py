"""The kept work of a pod becomes a branch of the clone that the user is in."""

import json
import subprocess
from argparse import Namespace
from pathlib import Path

import pytest

from cli.clone import Clone
from cli.errors import CommandError, NotFound, Usage
from cli.worktree import restore

UID = "0e2c1f2a-1111-2222-3333-444444444444"


def git(*arguments: str | Path) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@b.invalid")
    done = subprocess.run(["git", *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def commit(tmp_path: Path) -> str:
    """Keep a commit for a pod of this release and one of an earlier one."""
    bare = tmp_path / "data/caches/c0ffee/repo.git"
    git("init", "--quiet", "--bare", bare)
    tree = git(f"--git-dir={bare}", "hash-object", "-t", "tree", "-w", "/dev/null")
    made = git(f"--git-dir={bare}", "commit-tree", tree, "-m", "work")
    for ref in (f"saved/{UID}", f"saved-refs/{UID}/heads/x", "saved/old-pod-1a2b3c4d"):
        git(f"--git-dir={bare}", "update-ref", f"refs/agentsmesh/{ref}", made)
    notes = tmp_path / "data/saved"
    notes.mkdir()
    note = {"pod": "ada", "namespace": "acme", "saved_ms": 5}
    (notes / f"{UID}.json").write_text(json.dumps(note))
    return made


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    path = tmp_path / "clone"
    git("init", "--quiet", "-b", "main", path)
    git("-C", path, "commit", "-q", "--allow-empty", "-m", "mine")
    return path


def arguments(tmp_path: Path, pod: str, **more: object) -> Namespace:
    return Namespace(
        **{
            "pod": pod,
            "branch": None,
            "clone": str(tmp_path / "clone"),
            "local": True,
            "data_dir": str(tmp_path / "data"),
            **more,
        }
    )


@pytest.mark.parametrize("pod", ["ada", UID, "old-pod", "old-pod-1a2b3c4d"])
def test_it_comes_from_the_runner_on_this_machine(
    pod: str, commit: str, clone: Path, tmp_path: Path
):
    assert restore(arguments(tmp_path, pod)) == 0
    assert git("-C", clone, "rev-parse", f"refs/heads/saved/{pod}") == commit


def test_other_branches_come_under_the_runners_names(commit: str, clone: Path, tmp_path: Path):
    restore(arguments(tmp_path, "ada"))
    ref = f"refs/agentsmesh/saved-refs/{UID}/heads/x"
    assert git("-C", clone, "rev-parse", ref) == commit


def test_a_branch_that_is_something_else_stays(commit: str, clone: Path, tmp_path: Path):
    git("-C", clone, "branch", "saved/ada")
    with pytest.raises(CommandError, match="--branch"):
        restore(arguments(tmp_path, "ada"))
    assert git("-C", clone, "rev-parse", "saved/ada") != commit
    assert restore(arguments(tmp_path, "ada", branch="theirs")) == 0


def test_to_restore_again_changes_nothing(commit: str, clone: Path, tmp_path: Path):
    assert restore(arguments(tmp_path, "ada")) == restore(arguments(tmp_path, "ada")) == 0
    assert git("-C", clone, "rev-parse", "saved/ada") == commit


def left_files(tmp_path: Path, uid: str, pod: str) -> Path:
    folder = tmp_path / f"data/kept/{pod}-{uid[:8]}"
    folder.mkdir(parents=True)
    note = {"pod": pod, "namespace": "acme", "saved_ms": 5, "files": str(folder)}
    (tmp_path / "data/saved").mkdir(exist_ok=True)
    (tmp_path / f"data/saved/{uid}.json").write_text(json.dumps(note))
    return folder


@pytest.mark.usefixtures("commit", "clone")
def test_files_that_no_commit_could_hold_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    both = left_files(tmp_path, UID, "ada")
    restore(arguments(tmp_path, "ada"))
    assert str(both) in capsys.readouterr().out
    alone = left_files(tmp_path, "1" * 8 + UID[8:], "eve")
    with pytest.raises(NotFound, match=str(alone)):
        restore(arguments(tmp_path, "eve"))


@pytest.mark.usefixtures("commit", "clone")
def test_who_left_nothing_is_not_found(tmp_path: Path):
    with pytest.raises(NotFound, match="bob"):
        restore(arguments(tmp_path, "bob"))


@pytest.mark.usefixtures("commit")
def test_outside_of_a_clone_it_says_where_to_go(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(Usage, match="-C"):
        restore(arguments(tmp_path, "ada", clone=str(tmp_path / "elsewhere")))


@pytest.mark.usefixtures("commit", "clone")
def test_a_name_that_is_no_branch_is_refused(tmp_path: Path):
    with pytest.raises(Usage, match="--branch"):
        restore(arguments(tmp_path, "ada", branch="a..b"))


def test_a_shallow_clone_says_that_it_has_nothing_whole(clone: Path, tmp_path: Path):
    git("-C", clone, "commit", "-q", "--allow-empty", "-m", "two")
    assert Clone(clone).have() == [git("-C", clone, "rev-parse", "HEAD")]
    shallow = tmp_path / "shallow"
    git("clone", "-q", "--depth=1", f"file://{clone}", shallow)
    assert Clone(shallow).have() == []


@pytest.mark.parametrize(
    ("ref", "answer"),
    [
        pytest.param("-d", "1" * 40, id="a ref that is an option"),
        pytest.param("refs/heads/a..b", "1" * 40, id="a ref that git does not take"),
        pytest.param("refs/agentsmesh/saved/x", "-mx", id="a commit that is an option"),
        pytest.param("refs/agentsmesh/saved/x", "main", id="a commit that is a name"),
    ],
)
def test_what_a_runner_names_is_never_an_option_of_git(clone: Path, ref: str, answer: str):
    git("-C", clone, "update-ref", "refs/agentsmesh/saved/x", "main")
    before = git("-C", clone, "for-each-ref")
    with pytest.raises(CommandError, match="no ref and commit"):
        Clone(clone).create(ref, answer)
    assert git("-C", clone, "for-each-ref") == before
