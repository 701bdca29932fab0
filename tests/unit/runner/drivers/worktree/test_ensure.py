"""What a worktree is when it is handed out, and what users read when it cannot be."""

import asyncio
import shutil
import socket
from pathlib import Path

import pytest

from runner.drivers.trash import Trash
from runner.drivers.worktree import GitWorktrees, WorktreeSettings
from runner.git.errors import (
    BranchConflictError,
    CloneFailedError,
    GitError,
    InvalidBranchError,
    NotAllowedError,
    RefNotFoundError,
    WorktreeLostError,
)
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, cache, git, uid

pytestmark = pytest.mark.anyio


async def test_a_worktree_has_the_files_on_a_branch_of_its_own(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for())
    assert (made.path / "README.md").read_text() == "hello\n"
    assert made.branch == "agentsmesh/fix-login-00000001"
    assert git(made.path, "symbolic-ref", "--short", "HEAD") == made.branch
    assert made.commit == git(upstream.path, "rev-parse", "main")
    assert git(made.path, "status", "--porcelain") == ""
    assert git(made.path, "rev-parse", "origin/main") == made.commit
    assert git(made.path, "config", "remote.origin.url") == str(upstream.path)
    assert made.note == ""


async def test_an_agent_can_commit_and_push(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for())
    (made.path / "new.txt").write_text("new")
    git(made.path, "add", "-A")
    git(made.path, "commit", "-q", "-m", "new")
    git(made.path, "push", "-q", "origin", "HEAD")
    assert git(upstream.path, "show", f"{made.branch}:new.txt") == "new"


async def test_asking_again_gives_the_same_worktree_with_its_changes(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    first = await worktrees.ensure(request_for())
    (first.path / "mine.txt").write_text("mine")
    again = await worktrees.ensure(request_for())
    assert again == first
    assert (again.path / "mine.txt").read_text() == "mine"


async def test_two_pods_share_neither_refs_nor_files(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    one, two = await worktrees.ensure(request_for(1)), await worktrees.ensure(request_for(2))
    git(one.path, "commit", "-q", "--allow-empty", "-m", "one's")
    git(one.path, "branch", "extra")
    git(one.path, "config", "core.hooksPath", "/tmp/x")
    assert "extra" not in git(two.path, "branch")
    assert git(two.path, "config", "core.hooksPath", check=False) == ""
    assert git(two.path, "log", "-1", "--format=%s") == "change README.md"


async def test_nothing_is_copied_from_the_cache(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    upstream.commit("big.bin", "x" * 3_000_000)
    made = await worktrees.ensure(request_for())
    objects = [path for path in (made.repository / "objects").rglob("*") if path.is_file()]
    assert [path.name for path in objects] == ["alternates"]


async def test_ten_pods_that_start_together_cause_one_fetch(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(worktrees.ensure(request_for(n))) for n in range(1, 11)]
    assert len({task.result().path for task in made}) == 10
    (only,) = worktrees._caches.values()
    assert only.fetches == 1


async def test_a_pod_sees_what_was_pushed_before_it_was_asked_for(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    await worktrees.ensure(request_for(1))
    async with asyncio.TaskGroup() as tasks:
        early = tasks.create_task(worktrees.ensure(request_for(2)))
        await asyncio.sleep(0.005)  # its fetch is under way, or over
        pushed = upstream.commit("late.txt", "late")
        late = tasks.create_task(worktrees.ensure(request_for(3)))
    assert late.result().commit == pushed
    assert early.result().commit


@pytest.mark.parametrize(
    "ref", ["v1", "refs/tags/v1", "annotated", "side", "refs/heads/side", "commit"]
)
async def test_a_ref_is_a_branch_a_tag_or_a_commit(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests, ref: str
) -> None:
    first = git(upstream.path, "rev-parse", "HEAD")
    git(upstream.path, "tag", "v1")
    git(upstream.path, "tag", "-a", "annotated", "-m", "x")
    git(upstream.path, "branch", "side")
    upstream.commit("more.txt", "more")
    made = await worktrees.ensure(request_for(ref=first if ref == "commit" else ref))
    assert made.commit == first
    assert git(made.path, "rev-parse", "HEAD") == first


async def test_a_commit_that_only_upstream_knows_is_asked_for(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    git(upstream.path, "config", "uploadpack.allowAnySHA1InWant", "true")
    await worktrees.ensure(request_for(1))
    hidden = upstream.commit("hidden.txt", "hidden")
    git(upstream.path, "update-ref", "refs/pull/1/head", hidden)
    git(upstream.path, "reset", "-q", "--hard", "HEAD~1")
    assert (await worktrees.ensure(request_for(2, ref=hidden))).commit == hidden


async def test_a_known_commit_needs_no_upstream(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    first = await worktrees.ensure(request_for(1))
    shutil.rmtree(upstream.path)
    made = await worktrees.ensure(request_for(2, ref=first.commit))
    assert made.commit == first.commit
    assert made.note == ""


async def test_without_ref_the_remotes_own_default_is_taken(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    git(upstream.path, "branch", "-m", "main", "trunk")
    plain = await worktrees.ensure(request_for(1))
    assert plain.note == ""
    defaulted = await worktrees.ensure(request_for(2, default_branch="main"))
    assert defaulted.commit == plain.commit
    assert "no branch 'main'" in defaulted.note


async def test_a_named_branch_is_created_from_the_ref(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for(ref="main", branch="fix-login", create=True))
    assert made.branch == "fix-login"
    assert git(made.path, "symbolic-ref", "--short", "HEAD") == "fix-login"


async def test_a_branch_that_exists_upstream_is_continued_there(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    git(upstream.path, "switch", "-q", "-c", "fix-login")
    commit = upstream.commit("half.txt", "half")
    git(upstream.path, "switch", "-q", "main")
    for number, create in ((1, None), (2, False)):
        made = await worktrees.ensure(
            request_for(number, ref="main", branch="fix-login", create=create)
        )
        assert made.commit == commit
        assert "continued there" in made.note
        assert git(made.path, "rev-parse", "--abbrev-ref", "@{upstream}") == "origin/fix-login"


async def test_a_new_branch_that_exists_upstream_is_a_conflict(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    git(upstream.path, "branch", "fix-login")
    with pytest.raises(
        BranchConflictError, match=r"'fix-login' exists .* name another .* set createBranch: false"
    ):
        await worktrees.ensure(request_for(branch="fix-login", create=True))


async def test_a_branch_that_must_exist_and_does_not_is_named(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    git(upstream.path, "branch", "fix-logout")
    with pytest.raises(RefNotFoundError, match=r"'fix-login' does not exist.*fix-logout"):
        await worktrees.ensure(request_for(branch="fix-login", create=False))


@pytest.mark.parametrize("ref", ["nowhere", "refs/tags/main", "0" * 40, "refs/remotes/x"])
async def test_a_missing_ref_is_named(
    worktrees: GitWorktrees, request_for: Requests, ref: str
) -> None:
    with pytest.raises(RefNotFoundError, match=ref):
        await worktrees.ensure(request_for(ref=ref))


async def test_an_empty_repository_says_that_it_has_no_commit(
    worktrees: GitWorktrees, tmp_path: Path, request_for: Requests
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q", "--bare")
    with pytest.raises(RefNotFoundError, match="no commit"):
        await worktrees.ensure(request_for(url=str(empty)))


@pytest.mark.parametrize(
    "branch",
    ["--force", "-b", "a..b", "a b", "x\n", "x\x07", "@", "a.lock", "~", "HEAD", "é" * 150],
)
async def test_a_name_that_is_no_branch_is_refused(
    worktrees: GitWorktrees, request_for: Requests, branch: str, data_dir: Path
) -> None:
    with pytest.raises(InvalidBranchError, match=r"repositoryRef\.worktree\.branch"):
        await worktrees.ensure(request_for(branch=branch))
    assert not (data_dir / "pods").exists()


@pytest.mark.parametrize("ref", ["--upload-pack=touch canary", "-x", "a..b", "x\0y"])
async def test_a_ref_like_an_option_never_reaches_git(
    worktrees: GitWorktrees, request_for: Requests, ref: str
) -> None:
    with pytest.raises(RefNotFoundError, match=r"repositoryRef\.ref"):
        await worktrees.ensure(request_for(ref=ref))


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c 'touch {canary}'",
        "ssh://-oProxyCommand=touch%20{canary}/x",
        "ssh://git@-oProxyCommand=touch/x",
        "--upload-pack=touch {canary}",
        "git://127.0.0.1/x",
        "http://127.0.0.1/x",
        "https://user:pass@127.0.0.1/x",
        "file:///etc",
        "/etc",
        "git@host:x",
        "fd::17/x",
        "https://host/../x",
        "https://host/x\n",
    ],
)
async def test_other_ways_to_a_repository_are_refused(
    worktrees: GitWorktrees, request_for: Requests, url: str, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(NotAllowedError) as caught:
        await worktrees.ensure(request_for(url=url.format(canary=canary)))
    assert "pass" not in caught.value.message.replace("password", "")
    assert not canary.exists()


async def test_local_folders_are_taken_by_their_real_path(
    data_dir: Path, upstream: Upstream, request_for: Requests
) -> None:
    allowed = upstream.path.parent / "allowed"
    allowed.mkdir()
    (allowed / "out").symlink_to(upstream.path)
    strict = GitWorktrees(
        data_dir, Trash(data_dir / "trash"), WorktreeSettings(allow_local=(allowed,))
    )
    with pytest.raises(NotAllowedError, match="--allow-local-repositories"):
        await strict.ensure(request_for(url=str(allowed / "out")))
    with pytest.raises(NotAllowedError):
        await strict.ensure(request_for(url=f"file://{allowed}/../upstream"))


async def test_a_file_url_below_an_allowed_folder_works(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for(url=f"file://{upstream.path}"))
    assert (made.path / "README.md").exists()


@pytest.mark.parametrize("bad", ["../../etc", "", "a/b", "x" * 99])
async def test_a_uid_that_is_a_path_is_refused(
    worktrees: GitWorktrees, request_for: Requests, bad: str
) -> None:
    with pytest.raises(NotAllowedError):
        await worktrees.ensure(request_for(uid=bad))
    with pytest.raises(NotAllowedError):
        await worktrees.remove(bad)


async def test_a_refused_connection_is_one_sentence_and_retryable(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    url = f"https://127.0.0.1:{port}/x.git"
    with pytest.raises(CloneFailedError) as caught:
        await worktrees.ensure(request_for(url=url))
    sentence = f"The repository {url} could not be fetched: the server cannot be reached."
    assert caught.value.message == sentence
    assert caught.value.retryable


async def test_a_server_that_never_answers_is_given_up(
    data_dir: Path, request_for: Requests
) -> None:
    settings = WorktreeSettings(fetch_seconds=20.0, idle_seconds=0.5)
    worktrees = GitWorktrees(data_dir, Trash(data_dir / "trash"), settings)
    with socket.create_server(("127.0.0.1", 0)) as hole:
        url = f"https://127.0.0.1:{hole.getsockname()[1]}/x.git"
        async with asyncio.timeout(10):
            with pytest.raises(CloneFailedError, match="does not answer") as caught:
                await worktrees.ensure(request_for(url=url))
    assert caught.value.retryable


async def test_what_was_fetched_before_serves_while_upstream_is_away(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    first = await worktrees.ensure(request_for(1))
    (only,) = worktrees._caches.values()
    # The same cache, whose upstream now refuses connections.
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    only._location = type(only._location)(f"https://127.0.0.1:{port}/x.git", local=False)
    made = await worktrees.ensure(request_for(2))
    assert made.commit == first.commit
    assert "could not be fetched" in made.note
    assert "earlier fetch" in made.note


async def test_a_repository_that_is_gone_does_not_delete_the_cache(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests, data_dir: Path
) -> None:
    first = await worktrees.ensure(request_for(1))
    shutil.rmtree(upstream.path)
    with pytest.raises(CloneFailedError, match="no repository at that url"):
        await worktrees.ensure(request_for(2))
    assert git(cache(data_dir), "cat-file", "-t", first.commit) == "commit"
    assert git(first.path, "log", "--oneline")


async def test_a_branch_that_moves_below_its_own_name_is_followed(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    git(upstream.path, "branch", "a")
    await worktrees.ensure(request_for(1))
    git(upstream.path, "branch", "-D", "a")
    git(upstream.path, "branch", "a/b")
    assert (await worktrees.ensure(request_for(2, ref="a/b"))).commit
    with pytest.raises(RefNotFoundError):
        await worktrees.ensure(request_for(3, ref="a"))


async def test_a_damaged_cache_is_built_anew_and_still_lent(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests, data_dir: Path
) -> None:
    first = await worktrees.ensure(request_for(1))
    git(first.path, "commit", "-q", "--allow-empty", "-m", "mine")
    (first.path / "dirty.txt").write_text("dirty")
    saved = await worktrees.save(uid(1))
    assert saved
    upstream.commit("two.txt", "two")
    objects = cache(data_dir) / "objects"
    for path in objects.glob("[0-9a-f][0-9a-f]/*"):
        if path.parent.name + path.name == first.commit:
            path.chmod(0o644)
            path.write_bytes(b"garbage")
    (cache(data_dir) / "HEAD").unlink()
    made = await worktrees.ensure(request_for(2))
    assert (made.path / "two.txt").exists()
    assert list(cache(data_dir).parent.glob("damaged-*.git"))
    assert git(first.path, "log", "-1", "--format=%s") == "mine"
    assert git(cache(data_dir), "show", f"{saved.ref}:dirty.txt") == "dirty"
    assert git(made.path, "fsck", "--connectivity-only") is not None


@pytest.mark.parametrize("known", [False, True], ids=["never fetched", "fetched before"])
async def test_a_damaged_upstream_is_not_said_to_be_ours(
    worktrees: GitWorktrees,
    upstream: Upstream,
    request_for: Requests,
    known: bool,  # noqa: FBT001  a parameter
) -> None:
    if known:
        await worktrees.ensure(request_for(1))
    upstream.commit("two.txt", "two")
    commit = git(upstream.path, "rev-parse", "HEAD^{tree}").strip()
    broken = upstream.path / ".git/objects" / commit[:2] / commit[2:]
    broken.chmod(0o644)
    broken.write_bytes(b"garbage")
    with pytest.raises(CloneFailedError) as caught:
        await worktrees.ensure(request_for(2))
    assert "the runner's own copy" not in caught.value.message
    assert str(upstream.path) in caught.value.message
    assert "is damaged itself" in caught.value.message


async def test_a_stale_lock_of_a_killed_git_is_removed(
    data_dir: Path,
    tmp_path: Path,
    upstream: Upstream,
    request_for: Requests,
    worktrees: GitWorktrees,
) -> None:
    await worktrees.ensure(request_for(1))
    upstream.commit("two.txt", "two")
    (cache(data_dir) / "refs/remotes/origin/main.lock").touch()
    (cache(data_dir) / "packed-refs.lock").touch()
    settings = WorktreeSettings((tmp_path,))
    after_restart = GitWorktrees(data_dir, Trash(data_dir / "trash"), settings)
    made = await after_restart.ensure(request_for(2))
    assert (made.path / "two.txt").exists()


async def test_hooks_filters_and_submodules_of_a_repository_never_run(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    upstream.commit(".gitattributes", "*.txt filter=evil diff=evil\n*.bin filter=lfs\n")
    upstream.commit(".lfsconfig", f'[lfs]\n\turl = "ext::touch {canary}"\n')
    upstream.commit(".gitmodules", f'[submodule "x"]\n\tpath = x\n\turl = "ext::touch {canary}"\n')
    hook = upstream.path / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
    hook.chmod(0o755)
    upstream.commit("a.txt", "a")
    made = await worktrees.ensure(request_for())
    assert (made.path / "a.txt").read_text() == "a"
    assert not canary.exists()


async def test_an_agent_that_removed_its_worktree_is_told_so(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for())
    git(made.path, "commit", "-q", "--allow-empty", "-m", "mine")
    shutil.rmtree(made.path)
    with pytest.raises(WorktreeLostError, match="worktree was removed"):
        await worktrees.ensure(request_for())
    assert git(made.repository, "log", "-1", "--format=%s", made.branch) == "mine"


async def test_a_full_or_closed_disk_is_one_sentence(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    (data_dir / "pods").write_text("not a directory")
    with pytest.raises(GitError, match="could not be written on the runner"):
        await worktrees.ensure(request_for())


async def test_a_cancelled_ensure_leaves_no_git_behind(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        url = f"https://127.0.0.1:{hole.getsockname()[1]}/x.git"
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(worktrees.ensure(request_for(url=url)))
            hole.settimeout(10)
            connection, _ = await asyncio.to_thread(hole.accept)
            task.cancel()
        with connection:
            connection.settimeout(5)
            while await asyncio.to_thread(connection.recv, 65536):
                pass  # the other end is closed: git and its helper are gone
    assert task.cancelled()


async def test_data_is_private(
    worktrees: GitWorktrees, request_for: Requests, data_dir: Path
) -> None:
    made = await worktrees.ensure(request_for())
    assert made.path.parent.stat().st_mode & 0o077 == 0
    assert cache(data_dir).parent.stat().st_mode & 0o077 == 0
    assert (data_dir / "git").stat().st_mode & 0o077 == 0
