"""Whatever an agent writes into its repository and worktree, nothing of it runs in the runner."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from runner.drivers.worktree import GitWorktrees
from runner.drivers.worktree_values import Worktree
from runner.git.errors import SaveFailedError, WorktreeLostError
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, cache, git, uid

pytestmark = pytest.mark.anyio


def trap(made: Worktree, canary: Path) -> None:
    """Plant every way that git has of running something."""
    command = f"touch {canary}"
    script = made.path / "trap.sh"
    script.write_text(f"#!/bin/sh\n{command}\n")
    script.chmod(0o755)
    config = f"""
[core]
\tfsmonitor = {script}
\thooksPath = {made.path}/hooks
\tsshCommand = {script}
\tpager = {script}
\teditor = {script}
\talternateRefsCommand = {script}
[filter "evil"]
\tclean = {script}
\tsmudge = {script}
\tprocess = {script}
\trequired = true
[diff "evil"]
\tcommand = {script}
\ttextconv = {script}
[uploadpack]
\tpackObjectsHook = {script}
[extensions]
\tworktreeConfig = true
"""
    for place in (
        made.repository / "config",
        made.repository / "worktrees/worktree/config.worktree",
        made.repository / "config.worktree",
        made.path / "included",
    ):
        with place.open("a") as file:
            file.write(config)
    with (made.repository / "config").open("a") as file:
        file.write(f"[include]\n\tpath = {made.path}/included\n")
    with (made.repository / "worktrees/worktree/config.worktree").open("a") as file:
        file.write("[core]\n\tbare = false\n")
    for folder in (made.path / "hooks", made.repository / "hooks"):
        folder.mkdir(exist_ok=True)
        for name in (
            "post-index-change",
            "reference-transaction",
            "post-checkout",
            "pre-auto-gc",
            "fsmonitor-watchman",
            "post-commit",
            "pre-commit",
        ):
            (folder / name).write_text(f"#!/bin/sh\n{command}\n")
            (folder / name).chmod(0o755)
    (made.path / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    (made.path / ".gitmodules").write_text(
        f'[submodule "x"]\n\tpath = nested\n\turl = ext::{script}\n\tupdate = !{script}\n'
    )
    nested = made.path / "nested"
    nested.mkdir()
    git(nested, "init", "-q")
    git(nested, "commit", "-q", "--allow-empty", "-m", "x")
    with (nested / ".git/config").open("a") as file:
        file.write(config)


async def test_no_configuration_hook_or_filter_of_a_pod_runs(
    worktrees: GitWorktrees,
    request_for: Requests,
    tmp_path: Path,
    data_dir: Path,
) -> None:
    canary = tmp_path / "canary"
    made = await worktrees.ensure(request_for())
    (made.path / "work.txt").write_text("work")
    git(made.path, "add", "-A")
    git(made.path, "commit", "-q", "-m", "work")
    trap(made, canary)
    git(made.path, "-c", "core.fsmonitor=false", "status", check=False)
    canary.unlink(missing_ok=True)  # the trap works: git of the pod's own may have sprung it
    state = await worktrees.inspect(uid())
    assert state.dirty
    assert not canary.exists()
    await worktrees.ensure(request_for())
    saved = await worktrees.save(uid())
    assert git(cache(data_dir), "show", f"{saved.ref}:work.txt") == "work"
    assert await worktrees.remove(uid()) is not None  # the nested repository is kept
    assert not canary.exists()


async def test_the_trap_is_one(
    worktrees: GitWorktrees, request_for: Requests, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    made = await worktrees.ensure(request_for())
    trap(made, canary)
    git(made.path, "status", check=False)
    assert canary.exists()


async def test_a_tracked_submodule_with_a_trap_never_runs(
    worktrees: GitWorktrees, request_for: Requests, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    made = await worktrees.ensure(request_for())
    nested = made.path / "nested"
    nested.mkdir()
    git(nested, "init", "-q")
    git(nested, "commit", "-q", "--allow-empty", "-m", "x")
    git(made.path, "add", "nested")
    git(made.path, "commit", "-q", "-m", "a submodule")
    script = tmp_path / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch {canary}\n")
    script.chmod(0o755)
    (nested / "file").write_text("x")
    git(nested, "add", "-A")
    with (nested / ".git/config").open("a") as file:
        file.write(f'[core]\n\tfsmonitor = {script}\n[filter "e"]\n\tclean = {script}\n')
    (nested / ".gitattributes").write_text("* filter=e\n")
    (nested / "file").write_text("y")
    await worktrees.inspect(uid())
    saved = await worktrees.save(uid())
    assert "nested" in saved.note
    assert not canary.exists()


async def test_alternates_do_not_lead_to_the_objects_of_others(
    worktrees: GitWorktrees,
    request_for: Requests,
    tmp_path: Path,
    data_dir: Path,
) -> None:
    secret = Upstream(tmp_path / "secret")
    commit = secret.commit("secret.txt", "secret")
    made = await worktrees.ensure(request_for())
    with (made.repository / "objects/info/alternates").open("a") as file:
        file.write(f"{secret.path}/.git/objects\n")
    git(made.path, "reset", "-q", "--hard", commit)
    assert (made.path / "secret.txt").exists()
    (made.path / "secret.txt").unlink()
    with pytest.raises(WorktreeLostError):
        await worktrees.inspect(uid())
    with pytest.raises(SaveFailedError):
        await worktrees.save(uid())
    assert git(cache(data_dir), "cat-file", "-e", commit, check=False) == ""
    assert commit not in git(cache(data_dir), "for-each-ref")


@pytest.mark.parametrize("place", ["objects/pack", "objects", "objects/ab", "refs/heads", "."])
async def test_links_in_place_of_folders_are_refused(
    worktrees: GitWorktrees, request_for: Requests, tmp_path: Path, place: str
) -> None:
    made = await worktrees.ensure(request_for())
    other = Upstream(tmp_path / "other")
    target = made.repository / place
    if target.exists():
        target.rename(tmp_path / "moved")
    (tmp_path / "x").symlink_to(other.path / ".git" / place)
    (tmp_path / "x").rename(made.repository if place == "." else target)
    if place == "refs/heads":  # a folder that is not followed holds no refs
        assert (await worktrees.inspect(uid())).commit == ""
    else:
        with pytest.raises(WorktreeLostError):
            await worktrees.inspect(uid())
        with pytest.raises(SaveFailedError):
            await worktrees.save(uid())


async def test_of_objects_that_come_and_go_it_is_said_that_nothing_can_be_told(
    worktrees: GitWorktrees, request_for: Requests, tmp_path: Path
) -> None:
    made = await worktrees.ensure(request_for())
    (made.path / "mine.txt").write_text("mine")
    git(made.path, "add", "-A")
    git(made.path, "commit", "-q", "-m", "mine")
    commit = git(made.path, "rev-parse", "HEAD")
    assert not (await worktrees.inspect(uid())).dirty
    objects, away = made.repository / "objects", tmp_path / "away"
    (tmp_path / "empty").mkdir()
    (made.path / "mine.txt").write_text("changed")
    said: list[bool] = []
    for _ in range(3):
        objects.rename(away)
        (tmp_path / "empty").rename(objects)
        with pytest.raises(WorktreeLostError):
            await worktrees.inspect(uid())
        [finding] = worktrees.findings(uid())
        assert (finding.kind, finding.reason) == ("WorktreeRead", "Unreadable")
        objects.rename(tmp_path / "empty")
        away.rename(objects)
        said.append((await worktrees.inspect(uid())).dirty)
        assert worktrees.findings(uid()) == ()
    assert said == [True] * 3
    objects.rename(away)  # and so it is left
    with pytest.raises(SaveFailedError):
        await worktrees.save(uid())
    kept = await worktrees.remove(uid())
    assert kept is not None
    assert (kept / "worktree/mine.txt").read_text() == "changed"
    away.rename(kept / "repo.git/objects")
    assert commit in git(kept / "repo.git", "for-each-ref")


async def test_what_is_swapped_without_end_is_never_said_to_be_clean(
    worktrees: GitWorktrees, request_for: Requests, tmp_path: Path
) -> None:
    made = await worktrees.ensure(request_for())
    (made.path / "mine.txt").write_text("mine")
    git(made.path, "add", "-A")
    git(made.path, "commit", "-q", "-m", "mine")
    (made.path / "mine.txt").write_text("changed")
    (tmp_path / "empty").mkdir()
    swap = "from os import rename\nwhile True:\n  rename(a,c);rename(b,a);rename(a,b);rename(c,a)"
    paths = [str(made.repository / "objects"), str(tmp_path / "empty"), str(tmp_path / "away")]
    code = f"a,b,c={paths}\n{swap}"
    swapping = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    try:
        for _ in range(10):
            try:
                state = await worktrees.inspect(uid())
            except WorktreeLostError:
                assert [each.reason for each in worktrees.findings(uid())] == ["Unreadable"]
            else:
                assert state.dirty
    finally:
        swapping.kill()
        await swapping.wait()


async def test_special_files_do_not_stop_the_runner(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for())
    head = made.repository / "worktrees/worktree/HEAD"
    head.unlink()
    os.mkfifo(head)
    with pytest.raises(WorktreeLostError, match="HEAD"):
        await worktrees.inspect(uid())
    head.unlink()
    head.write_text(f"ref: refs/heads/{made.branch}\n")
    (made.repository / "objects/ab").mkdir()
    os.mkfifo(made.repository / "objects/ab" / ("c" * 38))
    with pytest.raises(WorktreeLostError, match="objects"):
        await worktrees.inspect(uid())


async def test_a_worktree_that_is_a_link_is_not_followed(
    worktrees: GitWorktrees, request_for: Requests, tmp_path: Path
) -> None:
    made = await worktrees.ensure(request_for())
    made.path.rename(tmp_path / "moved")
    made.path.symlink_to("/etc")
    with pytest.raises(WorktreeLostError):
        await worktrees.inspect(uid())
    await worktrees.remove(uid())
    assert Path("/etc/passwd").exists()


async def test_replaced_objects_do_not_reach_the_cache(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests, data_dir: Path
) -> None:
    first = git(upstream.path, "rev-parse", "HEAD")
    made = await worktrees.ensure(request_for())
    git(made.path, "commit", "-q", "--allow-empty", "-m", "forged")
    forged = git(made.path, "rev-parse", "HEAD")
    git(made.path, "replace", first, forged, check=False)
    (made.path / "new.txt").write_text("new")
    await worktrees.save(uid())
    assert git(cache(data_dir), "log", "-1", "--format=%s", first) == "change README.md"
    assert "replace" not in git(cache(data_dir), "for-each-ref")


async def test_a_forged_object_does_not_reach_the_cache(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for())
    (made.path / "new.txt").write_text("new")
    git(made.path, "add", "-A")
    git(made.path, "commit", "-q", "-m", "mine")
    blob = git(made.path, "rev-parse", "HEAD:new.txt")
    (made.path / "other.txt").write_text("other")
    other = git(made.path, "hash-object", "-w", "other.txt")
    objects = made.repository / "objects"
    path = objects / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes((objects / other[:2] / other[2:]).read_bytes())
    with pytest.raises(SaveFailedError):
        await worktrees.save(uid())
    assert git(cache(data_dir), "cat-file", "-e", blob, check=False) == ""


async def test_a_ref_with_a_path_for_a_name_stays_out(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for())
    git(made.path, "commit", "-q", "--allow-empty", "-m", "mine")
    commit = git(made.path, "rev-parse", "HEAD")
    git(made.path, "reset", "-q", "--hard", "HEAD~1")
    with (made.repository / "packed-refs").open("a") as file:
        file.write(f"{commit} refs/heads/../../../x\n{commit} refs/heads/-x\n")
    saved = await worktrees.save(uid())
    assert "names that cannot be kept" in saved.note
    assert not any(".." in ref for ref in saved.others)
    assert await worktrees.remove(uid()) is not None
