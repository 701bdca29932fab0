"""Nothing that an agent made is lost when its pod is removed."""

import shutil
from pathlib import Path

import pytest

from runner.drivers.worktree import GitWorktrees
from runner.git.errors import SaveFailedError, WorktreeLostError
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, cache, git, uid

pytestmark = pytest.mark.anyio

REF = f"refs/agentsmesh/saved/{uid()}"


async def test_an_untouched_worktree_leaves_nothing(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    await worktrees.ensure(request_for())
    assert await worktrees.save(uid()) is None
    assert await worktrees.remove(uid()) is None
    assert "saved" not in git(cache(data_dir), "for-each-ref")
    assert list((data_dir / "pods" / uid()).iterdir()) == []


async def test_published_work_leaves_nothing(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for())
    git(made.path, "commit", "-q", "--allow-empty", "-m", "mine")
    git(made.path, "push", "-q", "origin", "HEAD:refs/heads/mine")
    await worktrees.ensure(request_for(2))  # fetches
    assert await worktrees.save(uid()) is None


async def test_files_as_they_were_left_are_kept_on_top_of_the_last_commit(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests, data_dir: Path
) -> None:
    upstream.commit(".gitignore", "*.log\n")
    upstream.commit("old.txt", "old")
    made = await worktrees.ensure(request_for())
    git(made.path, "commit", "-q", "--allow-empty", "-m", "mine")
    head = git(made.path, "rev-parse", "HEAD")
    (made.path / "README.md").write_text("changed")
    (made.path / "sub").mkdir()
    (made.path / "sub/new with 'quotes'\n.txt").write_text("new")
    (made.path / "debug.log").write_text("noise")
    (made.path / "old.txt").unlink()
    (made.path / "link").symlink_to("/etc/passwd")
    saved = await worktrees.save(uid())
    assert saved is not None
    assert saved.ref == REF
    bare = cache(data_dir)
    assert git(bare, "rev-parse", REF) == saved.commit
    assert git(bare, "rev-parse", f"{REF}^") == head
    names = git(bare, "-c", "core.quotePath=false", "ls-tree", "-r", "-z", "--name-only", REF)
    assert set(names.strip("\0").split("\0")) == {
        ".gitignore",
        "README.md",
        "link",
        "sub/new with 'quotes'\n.txt",
    }
    assert git(bare, "show", f"{REF}:link") == "/etc/passwd"
    assert git(bare, "log", "-1", "--format=%an", REF) == "AgentsMesh"


async def test_a_commit_alone_is_kept_as_it_is(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for())
    git(made.path, "commit", "-q", "--allow-empty", "-m", "mine")
    saved = await worktrees.save(uid())
    assert saved.commit == git(made.path, "rev-parse", "HEAD")
    assert git(cache(data_dir), "rev-parse", REF) == saved.commit


async def test_what_is_kept_does_not_borrow_from_the_pod(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for())
    (made.path / "new.txt").write_text("new")
    await worktrees.save(uid())
    await worktrees.remove(uid())
    shutil.rmtree(data_dir / "trash")
    bare = cache(data_dir)
    assert git(bare, "show", f"{REF}:new.txt") == "new"
    assert git(bare, "fsck", "--full", "--strict") == ""
    assert not (bare / "objects/info/alternates").exists()


async def test_saving_again_changes_nothing(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for())
    (made.path / "new.txt").write_text("new")
    first = await worktrees.save(uid())
    (data_dir / "pods" / uid() / "saved.json").unlink()  # as if killed before it was noted
    again = await worktrees.save(uid())
    assert again == first
    refs = git(cache(data_dir), "for-each-ref", "--format=%(refname)", "refs/agentsmesh/saved")
    assert refs == REF


async def test_branches_tags_and_stashes_are_kept_too(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for())
    git(made.path, "switch", "-q", "-c", "side/one")
    git(made.path, "commit", "-q", "--allow-empty", "-m", "on the side")
    git(made.path, "tag", "-a", "mark", "-m", "mark")
    git(made.path, "switch", "-q", made.branch)
    for number in range(2):
        (made.path / "README.md").write_text(f"stash {number}")
        git(made.path, "stash", "-q")
    saved = await worktrees.save(uid())
    assert saved.ref == ""
    prefix = f"refs/agentsmesh/saved-refs/{uid()}"
    assert saved.others == (
        f"{prefix}/heads/side/one",
        f"{prefix}/stash/0",
        f"{prefix}/stash/1",
        f"{prefix}/tags/mark",
    )
    shown = git(cache(data_dir), "show", f"{prefix}/stash/0:README.md")
    assert shown == "stash 0"
    assert git(cache(data_dir), "log", "-1", "--format=%s", f"{prefix}/heads/side/one")


async def test_work_on_a_branch_without_history_is_kept(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for())
    git(made.path, "checkout", "-q", "--orphan", "fresh")
    (made.path / "new.txt").write_text("new")
    saved = await worktrees.save(uid())
    assert git(cache(data_dir), "show", f"{saved.ref}:new.txt") == "new"
    assert git(cache(data_dir), "rev-list", "--count", saved.ref) == "1"


async def test_files_that_the_index_hides_are_kept(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for())
    (made.path / "README.md").write_text("hidden change")
    git(made.path, "update-index", "--assume-unchanged", "README.md")
    saved = await worktrees.save(uid())
    assert git(cache(data_dir), "show", f"{saved.ref}:README.md") == "hidden change"


async def test_removal_without_a_save_saves_first(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for())
    (made.path / "new.txt").write_text("new")
    assert await worktrees.remove(uid()) is None
    assert git(cache(data_dir), "show", f"{REF}:new.txt") == "new"


async def test_a_repository_inside_the_worktree_is_kept_whole(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for())
    inner = made.path / "vendored"
    inner.mkdir()
    git(inner, "init", "-q", "-b", "main")
    (inner / "precious.txt").write_text("precious")
    git(inner, "add", "-A")
    git(inner, "commit", "-q", "-m", "inner")
    (made.path / "new.txt").write_text("new")
    saved = await worktrees.save(uid())
    assert "vendored" in saved.note
    kept = await worktrees.remove(uid())
    assert kept == data_dir / "kept/fix-login-00000001"
    assert (kept / "worktree/vendored/precious.txt").read_text() == "precious"
    assert git(cache(data_dir), "show", f"{saved.ref}:new.txt") == "new"
    assert list((data_dir / "pods" / uid()).iterdir()) == []


async def test_what_cannot_be_saved_is_moved_and_never_deleted(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for())
    (made.path / "new.txt").write_text("new")
    shutil.rmtree(made.repository / "worktrees")
    with pytest.raises(SaveFailedError, match="kept/ in the runner's data directory"):
        await worktrees.save(uid())
    kept = await worktrees.remove(uid())
    assert (kept / "worktree/new.txt").read_text() == "new"
    assert (kept / "repo.git/config").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("git~1", "mine", id="a name that git takes in no commit"),
        pytest.param(
            ".gitattributes", "* working-tree-encoding=UTF-16\n", id="an encoding that is not there"
        ),
    ],
)
async def test_commits_are_kept_when_files_cannot_be_put_into_one(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path, name: str, text: str
) -> None:
    made = await worktrees.ensure(request_for())
    git(made.path, "commit", "-q", "--allow-empty", "-m", "mine")
    head = git(made.path, "rev-parse", "HEAD")
    (made.path / "work.txt").write_text("odd")
    (made.path / name).write_text(text)
    saved = await worktrees.save(uid())
    assert saved is not None
    assert (saved.ref, saved.commit) == (REF, head)
    assert "could not be put into a commit" in saved.note
    assert git(cache(data_dir), "rev-parse", REF) == head
    kept = await worktrees.remove(uid())
    assert kept is not None
    assert (kept / "worktree/work.txt").read_text() == "odd"
    found = worktrees.kept.find("", uid(), "fix-login")
    assert found is not None
    assert (found.files, found.ref) == (str(kept), REF)


async def test_an_incomplete_history_is_kept_whole(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for())
    (made.path / "new.txt").write_text("new")
    git(made.path, "add", "-A")
    git(made.path, "commit", "-q", "-m", "mine")
    blob = git(made.path, "rev-parse", "HEAD:new.txt")
    (made.repository / "objects" / blob[:2] / blob[2:]).unlink()
    (made.path / "new.txt").unlink()
    with pytest.raises(SaveFailedError):
        await worktrees.save(uid())
    kept = await worktrees.remove(uid())
    assert git(kept / "repo.git", "log", "-1", "--format=%s", made.branch) == "mine"
    assert "saved" not in git(cache(data_dir), "for-each-ref")


async def test_two_pods_of_one_name_are_kept_apart(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    for number in (1, 2):
        made = await worktrees.ensure(request_for(number))
        (made.path / "new.txt").write_text(str(number))
        await worktrees.remove(uid(number))
    for number in (1, 2):
        ref = f"refs/agentsmesh/saved/{uid(number)}:new.txt"
        assert git(cache(data_dir), "show", ref) == str(number)


async def test_removing_an_absent_worktree_is_fine(worktrees: GitWorktrees) -> None:
    assert await worktrees.remove(uid(7)) is None
    assert await worktrees.save(uid(7)) is None


async def test_saved_work_survives_upstreams_fetches(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for(1))
    (made.path / "new.txt").write_text("new")
    await worktrees.remove(uid(1))
    upstream.commit("two.txt", "two")
    await worktrees.ensure(request_for(2))
    assert git(cache(data_dir), "show", f"{REF}:new.txt") == "new"


async def test_files_are_kept_when_their_record_is_damaged(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for())
    (made.path / "new.txt").write_text("new")
    (data_dir / "pods" / uid() / "worktree.json").write_text("")
    with pytest.raises(WorktreeLostError, match="record"):
        await worktrees.ensure(request_for())
    kept = await worktrees.remove(uid())
    assert (kept / "worktree/new.txt").read_text() == "new"
