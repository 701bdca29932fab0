"""Whatever keeps a worktree from being made has a word of its own, and a sentence."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitaccess.credentials import Credentials
from runner.drivers.trash import Trash
from runner.drivers.worktree import GitWorktrees, WorktreeSettings
from runner.git.errors import BranchConflictError, CloneFailedError, GitError
from tests.unit.runner.drivers.worktree.git_server import GitServer, certificate
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, cache, git, uid

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    return path, certificate(path)


@pytest.fixture
def credentials(authority: tuple[Path, str]) -> Credentials:
    return Credentials("ada", "hunter-22", ca_certificates=authority[1])


@pytest.fixture
def server(
    upstream: Upstream, authority: tuple[Path, str], credentials: Credentials
) -> Iterator[GitServer]:
    served = GitServer(upstream.path.parent, authority[0], f"Basic {credentials.basic()}", "none")
    yield served
    served.stop()


async def refused(worktrees: GitWorktrees, request: object) -> tuple[str, bool, str]:
    with pytest.raises(GitError) as caught:
        await worktrees.ensure(request)  # type: ignore[arg-type]
    return caught.value.reason, caught.value.retryable, caught.value.message


async def test_credentials_that_do_not_open_it(
    worktrees: GitWorktrees, request_for: Requests, server: GitServer, authority: tuple[Path, str]
) -> None:
    wrong = Credentials("ada", "wrong-one", ca_certificates=authority[1])
    url = f"{server.url}/upstream/.git"
    reason, again, text = await refused(worktrees, request_for(url=url, credentials=wrong))
    assert (reason, again) == ("AuthenticationFailed", False)
    assert "authSecretRef" in text


async def test_a_repository_that_has_moved_is_not_followed(
    worktrees: GitWorktrees, request_for: Requests, server: GitServer, credentials: Credentials
) -> None:
    server.redirect_to = "https://ada:hunter2@elsewhere.invalid"
    url = f"{server.url}/upstream/.git"
    reason, again, text = await refused(worktrees, request_for(url=url, credentials=credentials))
    assert (reason, again) == ("RepositoryMoved", False)
    assert "moved" in text
    assert " https://elsewhere.invalid/upstream/.git:" in text


async def test_a_page_where_a_repository_was_takes_no_branch_away(
    worktrees: GitWorktrees,
    request_for: Requests,
    server: GitServer,
    credentials: Credentials,
    data_dir: Path,
) -> None:
    url = f"{server.url}/upstream/.git"
    await worktrees.ensure(request_for(1, url=url, credentials=credentials))
    body = b"<html>Sign in</html>"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
    server.page = head % len(body) + body
    before = git(cache(data_dir), "for-each-ref")
    reason, again, text = await refused(
        worktrees, request_for(2, url=url, credentials=credentials, ref="other")
    )
    assert (reason, again) == ("NotAGitRepository", False)
    assert "no git repository" in text
    assert git(cache(data_dir), "for-each-ref") == before


async def test_a_repository_that_is_gone(
    worktrees: GitWorktrees, request_for: Requests, server: GitServer, credentials: Credentials
) -> None:
    url = f"{server.url}/nowhere"
    reason, again, _ = await refused(worktrees, request_for(url=url, credentials=credentials))
    assert (reason, again) == ("RemoteNotFound", False)


async def test_a_server_that_is_away(worktrees: GitWorktrees, request_for: Requests) -> None:
    reason, again, _ = await refused(worktrees, request_for(url="https://127.0.0.1:9/x"))
    assert (reason, again) == ("RemoteUnreachable", True)


async def test_a_full_disk(upstream: Upstream, request_for: Requests, tmp_path: Path) -> None:
    """A disk that is really full: a small file system in memory, as root may make one."""
    upstream.commit("large", "".join(f"{n * 7919}\n" for n in range(200_000)))
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk))
    made = subprocess.run(mount, capture_output=True, check=False)
    assert made.returncode == 0, "needs the right to mount"
    try:
        settings = WorktreeSettings((tmp_path,), fetch_seconds=20.0, idle_seconds=10.0)
        worktrees = GitWorktrees(disk / "data", Trash(disk / "data/trash"), settings)
        reason, again, _ = await refused(worktrees, request_for())
        assert (reason, again) == ("DiskFull", True)
        worktrees.eyes.close()
    finally:
        subprocess.run(("umount", str(disk)), check=True)


async def test_a_new_branch_that_another_pod_has_waits_until_that_is_gone(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    await worktrees.ensure(request_for(1, pod="ada", branch="fix", create=True))
    mine = request_for(2, pod="bob", branch="fix", create=True)
    reason, again, text = await refused(worktrees, mine)
    assert (reason, again) == ("BranchInUse", True)
    assert "pod ada" in text
    await worktrees.ensure(request_for(3, branch="fix"))  # who does not insist that it is new
    await worktrees.remove(uid(3))
    await worktrees.remove(uid(1))
    assert (await worktrees.ensure(mine)).branch == "fix"


async def test_of_two_pods_that_want_the_same_new_branch_at_once_one_gets_it(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    wishes = [request_for(n, pod=f"p{n}", branch="fix", create=True) for n in range(1, 5)]
    said = await asyncio.gather(*map(worktrees.ensure, wishes), return_exceptions=True)
    refusals = [one for one in said if isinstance(one, BranchConflictError)]
    assert len(refusals) == 3
    assert {one.reason for one in refusals} == {"BranchInUse"}


async def test_a_branch_that_is_upstream_cannot_be_new(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    git(upstream.path, "branch", "there")
    with pytest.raises(BranchConflictError) as caught:
        await worktrees.ensure(request_for(branch="there", create=True))
    assert (caught.value.reason, caught.value.retryable) == ("BranchConflict", False)


async def test_a_base_that_was_rewritten_is_told_and_new_pods_begin_at_the_new_one(
    worktrees: GitWorktrees, upstream: Upstream, request_for: Requests
) -> None:
    upstream.commit("a", "a")
    old = await worktrees.ensure(request_for(1))
    state = await worktrees.inspect(uid(1))
    assert state is not None
    assert state.rewritten == ""
    further = upstream.commit("b", "b")
    await worktrees.ensure(request_for(2))  # fetches
    state = await worktrees.inspect(uid(1))
    assert state is not None
    assert state.rewritten == ""  # it went on, and holds what the pod began at

    git(upstream.path, "reset", "-q", "--hard", "HEAD~2")
    new = upstream.commit("c", "c")
    assert (await worktrees.ensure(request_for(3))).commit == new
    for number in (1, 2):
        state = await worktrees.inspect(uid(number))
        assert state is not None
        assert state.rewritten == new
        (finding,) = worktrees.findings(uid(number))
        assert (finding.kind, finding.reason) == ("BaseCurrent", "BaseRewritten")
        assert new[:10] in finding.message
    git(old.path, "log", "-1", old.commit)  # nothing of it is gone
    git(old.path, "cat-file", "-e", further)


def test_the_words_are_those_of_conditions() -> None:
    assert CloneFailedError("x").reason == "CloneFailed"
    assert CloneFailedError("x", reason="DiskFull").reason == "DiskFull"
    assert CloneFailedError("x").reason == "CloneFailed"
