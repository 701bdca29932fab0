"""What opens a private repository opens it, and is seen nowhere."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitaccess.access import access
from gitaccess.credentials import Credentials
from gitaccess.places import Location
from runner.drivers.worktree import GitWorktrees
from runner.git.errors import CloneFailedError
from tests.unit.runner.drivers.worktree.git_server import GitServer, certificate
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, cache, git

pytestmark = pytest.mark.anyio

PASSWORD = "canary-hunter2"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    return path, certificate(path)


@pytest.fixture
def credentials(authority: tuple[Path, str]) -> Credentials:
    return Credentials("ada", PASSWORD, ca_certificates=authority[1])


@pytest.fixture
def server(
    upstream: Upstream, authority: tuple[Path, str], credentials: Credentials
) -> Iterator[GitServer]:
    served = GitServer(upstream.path.parent, authority[0], f"Basic {credentials.basic()}", PASSWORD)
    yield served
    served.stop()


async def test_a_password_opens_the_repository_and_leaves_no_trace(
    worktrees: GitWorktrees,
    request_for: Requests,
    server: GitServer,
    credentials: Credentials,
    data_dir: Path,
) -> None:
    url = f"{server.url}/upstream/.git"
    made = await worktrees.ensure(request_for(url=url, credentials=credentials))
    assert (made.path / "README.md").exists()
    assert server.answers.count(401) == 1  # then it knows who we are
    assert server.seen_in_a_process == []
    assert server.scanned > 0  # it was looked for where it could have been
    assert git(made.path, "config", "remote.origin.url") == url
    for folder, _, files in os.walk(data_dir):
        for file in files:
            content = (Path(folder) / file).read_bytes()
            assert PASSWORD.encode() not in content
            assert credentials.basic().encode() not in content
    assert [path.name for path in (data_dir / "git").iterdir()] == ["gitconfig"]


async def test_a_wrong_password_is_said_without_repeating_it(
    worktrees: GitWorktrees, request_for: Requests, server: GitServer, authority: tuple[Path, str]
) -> None:
    wrong = Credentials("ada", f"{PASSWORD}-wrong", ca_certificates=authority[1])
    url = f"{server.url}/upstream/.git"
    with pytest.raises(CloneFailedError, match="authSecretRef") as caught:
        await worktrees.ensure(request_for(url=url, credentials=wrong))
    assert "canary" not in caught.value.message
    assert not caught.value.retryable


async def test_what_was_opened_with_a_password_is_not_lent_without(
    worktrees: GitWorktrees,
    request_for: Requests,
    server: GitServer,
    credentials: Credentials,
    authority: tuple[Path, str],
) -> None:
    url = f"{server.url}/upstream/.git"
    made = await worktrees.ensure(request_for(1, url=url, credentials=credentials))
    wrong = Credentials("ada", "wrong", ca_certificates=authority[1])
    for other in (None, Credentials(ca_certificates=authority[1]), wrong):
        with pytest.raises(CloneFailedError):
            await worktrees.ensure(request_for(2, url=url, credentials=other))
        with pytest.raises(CloneFailedError):
            await worktrees.ensure(request_for(3, url=url, credentials=other, ref=made.commit))


async def test_a_known_commit_is_not_asked_for_again(
    worktrees: GitWorktrees, request_for: Requests, server: GitServer, credentials: Credentials
) -> None:
    url = f"{server.url}/upstream/.git"
    made = await worktrees.ensure(request_for(1, url=url, credentials=credentials))
    asked = len(server.answers)
    await worktrees.ensure(request_for(2, url=url, credentials=credentials, ref=made.commit))
    assert len(server.answers) == asked


async def test_an_unknown_authority_is_refused(
    worktrees: GitWorktrees, request_for: Requests, server: GitServer
) -> None:
    with pytest.raises(CloneFailedError, match="certificate is not trusted"):
        await worktrees.ensure(
            request_for(url=f"{server.url}/x", credentials=Credentials("ada", PASSWORD))
        )
    assert server.answers == []


async def test_a_redirect_is_not_followed_and_gets_no_password(
    worktrees: GitWorktrees,
    request_for: Requests,
    server: GitServer,
    credentials: Credentials,
    upstream: Upstream,
    authority: tuple[Path, str],
) -> None:
    other = GitServer(upstream.path.parent, authority[0], "nothing", PASSWORD)
    try:
        server.redirect_to = other.url
        with pytest.raises(CloneFailedError, match="redirects to https"):
            await worktrees.ensure(
                request_for(url=f"{server.url}/upstream/.git", credentials=credentials)
            )
        assert other.answers == []
    finally:
        other.stop()


async def test_a_repository_that_is_not_there_is_said(
    worktrees: GitWorktrees, request_for: Requests, server: GitServer, credentials: Credentials
) -> None:
    with pytest.raises(CloneFailedError, match="no repository at that url"):
        await worktrees.ensure(request_for(url=f"{server.url}/nowhere", credentials=credentials))


async def test_an_ssh_key_is_a_private_file_for_one_call_only(tmp_path: Path) -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n-----END OPENSSH PRIVATE KEY-----"
    given = Credentials(ssh_key=key, known_hosts="host ssh-ed25519 AAAA")
    with access(Location("ssh://git@host/x", local=False), given, tmp_path) as way:
        files = sorted(tmp_path.iterdir())
        assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]
        assert {file.read_text() for file in files} == {f"{key}\n", "host ssh-ed25519 AAAA\n"}
        command = way.environment["GIT_SSH_COMMAND"]
        assert "canary" not in str(way.environment)
        for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "IdentityAgent=none"):
            assert option in command
        # ssh itself takes the options
        shown = subprocess.run(
            [*shlex.split(command), "-G", "git@host"], capture_output=True, text=True, check=True
        ).stdout
        assert f"identityfile {files[0]}" in shown or f"identityfile {files[1]}" in shown
        assert "stricthostkeychecking true" in shown
    assert list(tmp_path.iterdir()) == []


async def test_without_a_key_no_identity_of_the_runners_account_is_offered(tmp_path: Path) -> None:
    with access(Location("ssh://git@host/x", local=False), None, tmp_path) as way:
        shown = subprocess.run(
            [*shlex.split(way.environment["GIT_SSH_COMMAND"]), "-G", "git@host"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    assert "identityfile none" in shown
    assert "identityagent none" in shown
    assert shown.count("identityfile") == 1


async def test_a_server_in_flames_serves_what_is_here_already(
    worktrees: GitWorktrees,
    request_for: Requests,
    server: GitServer,
    credentials: Credentials,
    data_dir: Path,
) -> None:
    url = f"{server.url}/upstream/.git"
    first = await worktrees.ensure(request_for(1, url=url, credentials=credentials))
    server.stop()
    made = await worktrees.ensure(request_for(2, url=url, credentials=credentials))
    assert made.commit == first.commit
    assert "the server cannot be reached" in made.note
    assert git(cache(data_dir), "cat-file", "-t", first.commit) == "commit"
