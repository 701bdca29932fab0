"""Files that are kept with Git LFS are in place, and git takes them for what they are."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typing_extensions import override

from gitaccess.credentials import Credentials
from runner.drivers.worktree import GitWorktrees
from runner.git.errors import CloneFailedError
from tests.unit.runner.drivers.worktree.git_server import GitServer, Handler, certificate
from tests.unit.runner.drivers.worktree.scene import PERSON, Requests, Upstream, git, uid

pytestmark = pytest.mark.anyio

CONTENT = b"\x00large\xff" * 5000


def oid(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def pointer(content: bytes) -> str:
    head = "version https://git-lfs.github.com/spec/v1\n"
    return f"{head}oid sha256:{oid(content)}\nsize {len(content)}\n"


def keep(upstream: Upstream, name: str, content: bytes, *, there: bool = True) -> None:
    """Commit a file as git-lfs would, its object beside the repository."""
    if there:
        name_of = oid(content)
        path = upstream.path / ".git/lfs/objects" / name_of[:2] / name_of[2:4] / name_of
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (upstream.path / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    upstream.commit(name, pointer(content))


def own_git(folder: Path, *args: str) -> str:
    """Run git as an agent does that has git-lfs, without a server to ask."""
    environment = {**PERSON, "HOME": str(folder.parent), "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(
        ["git", *args], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


async def test_files_are_in_place_and_the_status_is_clean(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream
) -> None:
    keep(upstream, "big.bin", CONTENT)
    made = await worktrees.ensure(request_for(lfs=True))
    assert (made.path / "big.bin").read_bytes() == CONTENT
    assert own_git(made.path, "status", "--porcelain") == ""
    state = await worktrees.inspect(uid())
    assert state is not None
    assert (state.dirty, worktrees.findings(uid())) == (False, ())
    (made.path / "big.bin").write_bytes(b"other")
    own_git(made.path, "checkout", "--", "big.bin")  # from the pod's own objects
    assert (made.path / "big.bin").read_bytes() == CONTENT
    assert not any("lfs" in str(folder) for folder in made.readable)
    assert await worktrees.save(uid()) is None
    assert await worktrees.remove(uid()) is None


async def test_without_being_asked_for_pointers_stay(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream
) -> None:
    keep(upstream, "big.bin", CONTENT)
    made = await worktrees.ensure(request_for())
    assert (made.path / "big.bin").read_text() == pointer(CONTENT)
    assert worktrees.findings(uid()) == ()


async def test_work_on_such_files_is_told_and_kept_whole(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream, data_dir: Path
) -> None:
    keep(upstream, "big.bin", CONTENT)
    keep(upstream, "same.bin", CONTENT + b"!")
    made = await worktrees.ensure(request_for(lfs=True, namespace="acme"))
    await worktrees.inspect(uid())
    (made.path / "big.bin").write_bytes(b"mine")
    state = await worktrees.inspect(uid())
    assert state is not None
    assert state.dirty
    own_git(made.path, "commit", "-q", "-a", "-m", "mine")
    assert own_git(made.path, "show", "HEAD:big.bin") == pointer(b"mine").strip()
    state = await worktrees.inspect(uid())
    assert state is not None
    assert (state.dirty, state.ahead) == (False, 1)
    (made.path / "big.bin").write_bytes(b"more")
    saved = await worktrees.save(uid())
    assert saved is not None
    assert "Git LFS" in saved.note
    kept = await worktrees.remove(uid())
    assert kept is not None
    assert (kept / "worktree/big.bin").read_bytes() == b"more"
    found = worktrees.kept.find("acme", uid(), "")
    assert found is not None
    bare = data_dir / "caches" / found.cache / "repo.git"
    assert git(bare, "show", f"{found.commit}:big.bin") == "more"
    assert git(bare, "show", f"{found.commit}:same.bin") == pointer(CONTENT + b"!").strip()


async def test_a_file_that_is_swapped_for_a_link_is_a_change(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream, tmp_path: Path
) -> None:
    keep(upstream, "big.bin", CONTENT)
    made = await worktrees.ensure(request_for(lfs=True))
    await worktrees.inspect(uid())
    (tmp_path / "elsewhere").write_bytes(CONTENT)
    (made.path / "big.bin").unlink()
    (made.path / "big.bin").symlink_to(tmp_path / "elsewhere")
    state = await worktrees.inspect(uid())
    assert state is not None
    assert state.dirty
    (made.path / "big.bin").unlink()
    os.mkfifo(made.path / "big.bin")
    state = await worktrees.inspect(uid())
    assert state is not None
    assert state.dirty


async def test_what_upstream_lost_or_damaged_stays_a_pointer_and_is_said(
    worktrees: GitWorktrees, request_for: Requests, upstream: Upstream
) -> None:
    keep(upstream, "good.bin", CONTENT)
    keep(upstream, "lost.bin", b"lost", there=False)
    keep(upstream, "wrong.bin", b"right")
    name = oid(b"right")
    (upstream.path / ".git/lfs/objects" / name[:2] / name[2:4] / name).write_bytes(b"wrong")
    made = await worktrees.ensure(request_for(lfs=True))
    await worktrees.inspect(uid())
    (finding,) = worktrees.findings(uid())
    assert finding.reason == "LfsNotFetched"
    assert "lost.bin, wrong.bin" in finding.message
    assert (made.path / "lost.bin").read_text() == pointer(b"lost")
    assert (made.path / "wrong.bin").read_text() == pointer(b"right")
    assert (made.path / "good.bin").read_bytes() == CONTENT


async def test_without_git_lfs_it_is_said(
    worktrees: GitWorktrees,
    request_for: Requests,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    keep(upstream, "big.bin", CONTENT)
    monkeypatch.setenv("PATH", str(tmp_path))
    place = tmp_path / "git"
    place.symlink_to(next(p for p in map(Path, ("/usr/bin/git", "/bin/git")) if p.exists()))
    made = await worktrees.ensure(request_for(lfs=True))
    await worktrees.inspect(uid())
    (finding,) = worktrees.findings(uid())
    assert finding.reason == "LfsNotFetched"
    assert "has no git-lfs" in finding.message
    assert (made.path / "big.bin").read_text() == pointer(CONTENT)


class LfsHandler(Handler):
    """Serves objects, too."""

    @override
    def do_POST(self) -> None:  # noqa: N802 - the name of the base class
        if not self.path.endswith("/info/lfs/objects/batch"):
            return self.do_GET()
        self._scan()
        self.close_connection = True
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != self.server.authorization:
            return self._answer(401, [("WWW-Authenticate", 'Basic realm="lfs"')])
        root = self.server.url + self.path.removesuffix("/batch")
        objects = [
            {**each, "actions": {"download": {"href": f"{root}/{each['oid']}"}}}
            for each in asked["objects"]
        ]
        kind = [("Content-Type", "application/vnd.git-lfs+json")]
        return self._answer(200, kind, json.dumps({"objects": objects}).encode())

    @override
    def do_GET(self) -> None:  # noqa: N802 - the name of the base class
        if "/info/lfs/objects/" not in self.path:
            return super().do_GET()
        self._scan()
        self.close_connection = True
        if self.headers.get("Authorization") != self.server.authorization:
            return self._answer(401, [("WWW-Authenticate", 'Basic realm="lfs"')])
        folder, _, name = self.path.rpartition("/")
        repository = folder.removesuffix("/info/lfs/objects").strip("/")
        path = self.server.root / repository / "lfs/objects" / name[:2] / name[2:4] / name
        return self._answer(200, [], path.read_bytes())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    return path, certificate(path)


@pytest.fixture
def credentials(authority: tuple[Path, str]) -> Credentials:
    return Credentials("ada", "canary-hunter2", ca_certificates=authority[1])


@pytest.fixture
def server(
    upstream: Upstream, authority: tuple[Path, str], credentials: Credentials
) -> Iterator[GitServer]:
    basic = f"Basic {credentials.basic()}"
    served = GitServer(upstream.path.parent, authority[0], basic, credentials.password)
    served.RequestHandlerClass = LfsHandler
    yield served
    served.stop()


async def test_objects_come_over_https_with_the_secret_which_leaves_no_trace(
    worktrees: GitWorktrees,
    request_for: Requests,
    upstream: Upstream,
    server: GitServer,
    credentials: Credentials,
    data_dir: Path,
) -> None:
    keep(upstream, "big.bin", CONTENT)
    url = f"{server.url}/upstream/.git"
    made = await worktrees.ensure(request_for(url=url, credentials=credentials, lfs=True))
    await worktrees.inspect(uid())
    assert worktrees.findings(uid()) == ()
    assert (made.path / "big.bin").read_bytes() == CONTENT
    assert own_git(made.path, "status", "--porcelain") == ""
    assert server.seen_in_a_process == []
    assert server.scanned > 0
    for folder, _, files in os.walk(data_dir):
        for file in files:
            assert b"canary" not in (Path(folder) / file).read_bytes()
    assert not list((data_dir / "pods").glob("*/*/lfs-fetch.git"))


async def test_an_address_elsewhere_in_lfsconfig_is_not_asked(
    worktrees: GitWorktrees,
    request_for: Requests,
    upstream: Upstream,
    server: GitServer,
    credentials: Credentials,
    authority: tuple[Path, str],
) -> None:
    other = GitServer(upstream.path.parent, authority[0], "nothing", credentials.password)
    try:
        keep(upstream, "big.bin", CONTENT)
        upstream.commit(".lfsconfig", f"[lfs]\n\turl = {other.url}/upstream/.git/info/lfs\n")
        url = f"{server.url}/upstream/.git"
        made = await worktrees.ensure(request_for(url=url, credentials=credentials, lfs=True))
        await worktrees.inspect(uid())
        (finding,) = worktrees.findings(uid())
        assert "the address in .lfsconfig is not https on the repository's host" in finding.message
        assert (made.path / "big.bin").read_text() == pointer(CONTENT)
        assert other.answers == []
    finally:
        other.stop()


async def test_a_server_that_is_away_stops_the_start_to_be_tried_again(
    worktrees: GitWorktrees,
    request_for: Requests,
    upstream: Upstream,
    server: GitServer,
    credentials: Credentials,
) -> None:
    keep(upstream, "big.bin", CONTENT)
    url = f"{server.url}/upstream/.git"
    await worktrees.ensure(request_for(1, url=url, credentials=credentials))
    server.stop()
    with pytest.raises(CloneFailedError, match="Git LFS could not be fetched") as caught:
        await worktrees.ensure(request_for(2, url=url, credentials=credentials, lfs=True))
    assert caught.value.retryable
    assert "canary" not in caught.value.message
