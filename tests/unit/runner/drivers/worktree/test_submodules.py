"""Submodules are checked out where they are asked for, and nothing of theirs runs."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitaccess.credentials import Credentials
from runner.drivers.trash import Trash
from runner.drivers.worktree import GitWorktrees, WorktreeSettings
from runner.drivers.worktree_values import WorktreeRequest
from runner.git.errors import CloneFailedError
from tests.unit.runner.drivers.worktree.git_server import GitServer, certificate
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, git, uid

pytestmark = pytest.mark.anyio


def add(around: Upstream, inner: Upstream, path: str, url: str, name: str = "") -> str:
    """Make *inner* a submodule, as a commit with whatever address and name."""
    commit = git(inner.path, "rev-parse", "HEAD")
    file = around.path / ".gitmodules"
    before = file.read_text() if file.exists() else ""
    file.write_text(f'{before}[submodule "{name or path}"]\n\tpath = {path}\n\turl = {url}\n')
    git(around.path, "add", ".gitmodules")
    git(around.path, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    git(around.path, "commit", "-q", "-m", f"add {path}")
    return commit


@pytest.fixture
def library(tmp_path: Path) -> Upstream:
    made = Upstream(tmp_path / "library")
    made.commit("lib.txt", "library\n")
    return made


def said(worktrees: GitWorktrees, number: int = 1) -> str:
    return " ".join(each.message for each in worktrees.findings(uid(number)))


async def test_a_submodule_and_those_within_are_checked_out_and_clean(
    worktrees: GitWorktrees,
    request_for: Requests,
    upstream: Upstream,
    library: Upstream,
    tmp_path: Path,
    data_dir: Path,
) -> None:
    deep = Upstream(tmp_path / "deep")
    add(library, deep, "third/deep", "../deep")
    commit = add(upstream, library, "libs/library", "../library", "lib")
    made = await worktrees.ensure(request_for(submodules=True))
    inner = made.path / "libs/library"
    assert (inner / "lib.txt").read_text() == "library\n"
    assert (inner / "third/deep/README.md").read_text() == "hello\n"
    assert git(inner, "rev-parse", "HEAD") == commit
    assert git(made.path, "status", "--porcelain") == ""
    assert git(made.path, "submodule", "status", "--recursive").count("\n") == 1
    assert git(made.path, "submodule", "update", "--recursive") == ""  # nothing is left to do
    assert len(list((data_dir / "caches").iterdir())) == 3
    assert len(made.readable) == 3
    assert not list(made.repository.glob("worktrees/worktree/modules/lib/objects/pack/*"))
    state = await worktrees.inspect(uid())
    assert state is not None
    assert (state.dirty, worktrees.findings(uid())) == (False, ())
    assert await worktrees.save(uid()) is None
    assert await worktrees.remove(uid()) is None
    assert not (data_dir / "pods" / uid() / "inspect-modules").exists()


async def test_without_being_asked_for_none_is_checked_out(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream, library: Upstream
) -> None:
    add(upstream, library, "lib", "../library")
    made = await worktrees.ensure(request_for())
    assert list((made.path / "lib").iterdir()) == []


async def test_changes_in_a_submodule_are_told_and_its_work_is_kept(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream, library: Upstream
) -> None:
    add(upstream, library, "lib", "../library")
    made = await worktrees.ensure(request_for(submodules=True))
    state = await worktrees.inspect(uid())
    assert state is not None
    assert not state.dirty
    worktrees.eyes.changed()
    (made.path / "lib/new.txt").write_text("new")
    assert worktrees.eyes.changed() == {uid()}
    state = await worktrees.inspect(uid())
    assert state is not None
    assert state.dirty
    git(made.path / "lib", "add", "-A")
    git(made.path / "lib", "commit", "-q", "-m", "mine")
    state = await worktrees.inspect(uid())
    assert state is not None
    assert state.dirty  # it is at another commit than the repository around it says
    git(made.path, "commit", "-q", "-a", "-m", "take it")
    state = await worktrees.inspect(uid())
    assert state is not None
    assert not state.dirty
    saved = await worktrees.save(uid())
    assert saved is not None
    assert "lib" in saved.note
    kept = await worktrees.remove(uid())
    assert kept is not None
    assert (kept / "worktree/lib/new.txt").read_text() == "new"


@pytest.mark.parametrize("how", ["stash", "branch", "own repository"])
async def test_work_that_is_only_in_a_submodule_is_kept(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream, library: Upstream, how: str
) -> None:
    add(upstream, library, "lib", "../library")
    made = await worktrees.ensure(request_for(submodules=True))
    inner = made.path / "lib"
    (inner / "lib.txt").write_text("mine")
    if how == "stash":
        git(inner, "stash", "-q")
    elif how == "branch":
        git(inner, "checkout", "-q", "-b", "mine")
        git(inner, "commit", "-q", "-a", "-m", "mine")
        git(inner, "checkout", "-q", "--detach", "HEAD~1")
    else:
        (inner / ".git").unlink()
        git(inner, "init", "-q")
        git(inner, "add", "-A")
        git(inner, "commit", "-q", "-m", "mine")
    assert await worktrees.remove(uid()) is not None


_ADDRESSES = {
    "command": ("ext::touch {canary}", "command", "its address is not one"),
    "outside": ("file://{outside}", "outside", "its address is not one"),
    "path": ("{outside}", "path", "its address is not one"),
    "above": ("../../../../../../../../../..", "above", "its address leads above its host's root"),
    "host": ("https://127.0.0.1:1/library", "host", "its address is on another host"),
}
_NAMES = {
    "ssh": ("git@127.0.0.1:library", "ssh", "its address is not one"),
    "name": ("../library", "a/.GIT", "its name is not"),
    "nowhere": ("../nowhere", "nowhere", "it could not be fetched"),
    "inner": ("../library", "b", "its name and that of another one lie within each other"),
    "outer": ("../library", "B/hooks", "its name and that of another one lie within each other"),
}


@pytest.mark.parametrize(
    "wrong", [pytest.param(_ADDRESSES, id="addresses"), pytest.param(_NAMES, id="names")]
)
async def test_what_is_not_allowed_is_left_out_and_said(
    data_dir: Path, tmp_path: Path, library: Upstream, wrong: dict[str, tuple[str, str, str]]
) -> None:
    outside = Upstream(tmp_path / "outside")
    canary = tmp_path / "canary"
    upstream = Upstream(tmp_path / "allowed/upstream")
    library.path = library.path.rename(tmp_path / "allowed/library")
    settings = WorktreeSettings((tmp_path / "allowed",), fetch_seconds=20.0)
    worktrees = GitWorktrees(data_dir, Trash(data_dir / "trash"), settings)
    for path, (url, name, _) in wrong.items():
        add(upstream, library, path, url.format(canary=canary, outside=outside.path), name)
    add(upstream, library, "good", "../library")
    request = WorktreeRequest(uid=uid(), pod="fix", url=str(upstream.path), submodules=True)
    made = await worktrees.ensure(request)
    await worktrees.inspect(uid())
    (finding,) = worktrees.findings(uid())
    assert finding.reason == "SubmodulesNotCheckedOut"
    sentences = finding.message.split("Submodule ")[1:]
    assert len(sentences) == len(wrong)
    for path, sentence in zip(wrong, sentences, strict=True):
        assert sentence.startswith(f"{path} is left out: {wrong[path][2]}")
        assert list((made.path / path).iterdir()) == []
    assert (made.path / "good/lib.txt").exists()
    assert [path.name for path in made.repository.glob("worktrees/worktree/modules/*")] == ["good"]
    assert not canary.exists()


async def test_a_commit_that_upstream_lost_is_said(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream, library: Upstream
) -> None:
    add(upstream, library, "lib", "../library")
    git(upstream.path, "update-index", "--cacheinfo", f"160000,{'1' * 40},lib")
    git(upstream.path, "commit", "-q", "-m", "lost")
    await worktrees.ensure(request_for(submodules=True))
    await worktrees.inspect(uid())
    assert "upstream does not have its commit 1111111111" in said(worktrees)


async def test_one_that_is_in_itself_ends_somewhere(
    worktrees: GitWorktrees, request_for: Requests, library: Upstream
) -> None:
    for _ in range(8):
        (library.path / ".gitmodules").unlink(missing_ok=True)
        add(library, library, "me", "../library")
    made = await worktrees.ensure(request_for(url=str(library.path), submodules=True))
    await worktrees.inspect(uid())
    assert "more than 4 levels deep" in said(worktrees)
    assert (made.path / "me/me/me/me/lib.txt").exists()
    assert not (made.path / "me/me/me/me/me/lib.txt").exists()


async def test_the_configuration_and_hooks_of_a_submodule_never_run(
    worktrees: GitWorktrees,
    request_for: Requests,
    upstream: Upstream,
    library: Upstream,
    tmp_path: Path,
) -> None:
    canary = tmp_path / "canary"
    library.commit(".gitattributes", "*.txt filter=evil\n")
    add(upstream, library, "lib", "../library")
    made = await worktrees.ensure(request_for(submodules=True))
    assert (made.path / "lib/lib.txt").exists()
    script = tmp_path / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch {canary}\n")
    script.chmod(0o755)
    config = made.repository / "worktrees/worktree/modules/lib/config"
    with config.open("a") as file:
        file.write(f'[core]\n\tfsmonitor = {script}\n[filter "evil"]\n\tclean = {script}\n')
    (made.path / "lib/lib.txt").write_text("changed")
    state = await worktrees.inspect(uid())
    assert state is not None
    assert state.dirty
    await worktrees.remove(uid())
    assert not canary.exists()


async def test_a_folder_of_modules_that_is_a_link_is_not_followed(
    worktrees: GitWorktrees,
    request_for: Requests,
    upstream: Upstream,
    library: Upstream,
    tmp_path: Path,
) -> None:
    add(upstream, library, "lib", "../library")
    made = await worktrees.ensure(request_for(submodules=True))
    modules = made.repository / "worktrees/worktree/modules"
    modules.rename(tmp_path / "modules")
    modules.symlink_to(tmp_path / "modules")
    assert await worktrees.inspect(uid()) is not None
    assert await worktrees.remove(uid()) is not None


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    return path, certificate(path)


@pytest.fixture
def credentials(authority: tuple[Path, str]) -> Credentials:
    return Credentials("ada", "canary-hunter2", ca_certificates=authority[1])


@pytest.fixture
def server(
    tmp_path: Path, authority: tuple[Path, str], credentials: Credentials
) -> Iterator[GitServer]:
    basic = f"Basic {credentials.basic()}"
    served = GitServer(tmp_path, authority[0], basic, credentials.password)
    yield served
    served.stop()


async def test_the_secret_opens_submodules_on_the_same_host_and_is_seen_by_no_other(
    worktrees: GitWorktrees,
    request_for: Requests,
    upstream: Upstream,
    library: Upstream,
    server: GitServer,
    credentials: Credentials,
    authority: tuple[Path, str],
) -> None:
    other = GitServer(library.path.parent, authority[0], "nothing", credentials.password)
    try:
        add(upstream, library, "lib", "../../library/.git")
        add(upstream, library, "other", f"{other.url}/library/.git")
        url = f"{server.url}/upstream/.git"
        made = await worktrees.ensure(
            request_for(url=url, credentials=credentials, submodules=True)
        )
        await worktrees.inspect(uid())
        assert (made.path / "lib/lib.txt").exists()
        assert "another host" in said(worktrees)
        assert other.answers == []
        assert server.seen_in_a_process == []
        config = (made.repository / "worktrees/worktree/modules/lib/config").read_text()
        assert f"{server.url}/library/.git" in config
        assert "canary" not in config
    finally:
        await asyncio.to_thread(other.stop)


async def test_a_host_that_went_away_stops_the_start_to_be_tried_again(
    worktrees: GitWorktrees,
    request_for: Requests,
    upstream: Upstream,
    library: Upstream,
    server: GitServer,
    credentials: Credentials,
) -> None:
    url = f"{server.url}/upstream/.git"
    add(upstream, library, "lib", "../../library/.git")
    await worktrees.ensure(request_for(1, url=url, credentials=credentials))
    server.stop()
    with pytest.raises(CloneFailedError, match="submodule could not be fetched") as caught:
        await worktrees.ensure(request_for(2, url=url, credentials=credentials, submodules=True))
    assert caught.value.retryable
    assert caught.value.reason == "RemoteUnreachable"
