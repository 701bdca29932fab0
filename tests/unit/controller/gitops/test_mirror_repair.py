"""A git that was killed, a disk that forgot, a server that says no: the mirror goes on."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from controller.gitops.mirror import Mirror
from controller.gitops.pushing import failed
from controller.gitops.remote import (
    Declined,
    MirrorError,
    Outcome,
    Pushed,
    Rejected,
    Remote,
    Unreachable,
)
from controller.gitops.upstream import MirrorSettings
from gitaccess.command import GitRunError
from gitaccess.credentials import Credentials
from tests.unit.controller.gitops.git_scene import (
    LOOPBACK,
    PASSWORD,
    Team,
    draft,
    local_mirror,
    mirror,
    served,
)
from tests.unit.runner.drivers.worktree.git_server import GitServer
from tests.unit.runner.drivers.worktree.scene import git

pytestmark = pytest.mark.anyio


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[GitServer, Credentials]]:
    with served(tmp_path, tmp_path) as both:
        yield both


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "data" / "mirrors" / "uid-1" / "repo.git"


def truncate(repository: Path) -> None:
    for pack in repository.glob("objects/pack/*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:40])


def spoil_index(repository: Path) -> None:
    for index in repository.glob("objects/pack/*.idx"):
        index.chmod(0o600)
        index.write_bytes(b"no index" * 200)


def lose_objects(repository: Path) -> None:
    for path in repository.glob("objects/pack/*"):
        path.unlink()


def lose_head(repository: Path) -> None:
    (repository / "HEAD").unlink()


def spoil_config(repository: Path) -> None:
    (repository / "config").write_text("[core\nwhat")


def spoil_branch(repository: Path) -> None:
    (repository / "refs/agentsmesh/tip").write_bytes(bytes(41))


def lose_half(repository: Path) -> None:
    (repository / "config").unlink()
    lose_head(repository)
    lose_objects(repository)


async def one_pass(made: Mirror) -> tuple[str, list[bytes]]:
    tip = await made.fetch()
    entries = await made.entries(tip, ".")
    return tip, list((await made.blobs(entry.blob for entry in entries)).values())


@pytest.mark.parametrize(
    "harm",
    [truncate, spoil_index, lose_objects, lose_head, spoil_config, spoil_branch, lose_half],
    ids=lambda harm: harm.__name__,
)
@pytest.mark.parametrize("moved", [True, False], ids=["a new commit", "the same commit"])
async def test_a_damaged_mirror_is_made_anew(
    team: Team, tmp_path: Path, repository: Path, harm: Callable[[Path], None], *, moved: bool
) -> None:
    made = local_mirror(tmp_path / "data", team)
    tip = team.push({"a.md": "a"})
    await made.fetch()
    harm(repository)
    if moved:
        tip = team.push({"a.md": "b"})
        made = local_mirror(tmp_path / "data", team)  # after a restart
    with suppress(MirrorError):  # a pass may find out; the next one does not
        await one_pass(made)
    assert await one_pass(made) == (tip, [b"b" if moved else b"a"])
    (ours,) = await made.commit_all(tip, [draft({"a.md": b"c"})])
    assert await made.push(ours, tip) == Pushed(ours)


async def test_a_damaged_mirror_serves_on_until_there_is_another(
    team: Team, tmp_path: Path, repository: Path
) -> None:
    made = local_mirror(tmp_path / "data", team)
    tip = team.push({"a.md": "a"})
    await made.fetch()
    spoil_branch(repository)
    team.bare.rename(tmp_path / "away.git")
    with pytest.raises(MirrorError):
        await made.fetch()
    assert len(await made.entries(tip, ".")) == 1
    (tmp_path / "away.git").rename(team.bare)
    assert await made.fetch() == tip


async def test_what_a_killed_git_left_stops_nobody(
    team: Team, tmp_path: Path, repository: Path
) -> None:
    team.push({"a.md": "a"})
    await local_mirror(tmp_path / "data", team).fetch()
    left = (
        "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock", "refs/agentsmesh/tip.lock",
        "refs/agentsmesh/made.lock", "objects/pack/tmp_pack_x", "objects/pack/tmp_idx_x",
    )  # fmt: skip
    for name in left:
        (repository / name).write_text("left")
    (repository.parent / "new.git").mkdir()
    made = local_mirror(tmp_path / "data", team)
    tip = team.push({"a.md": "b"})
    assert await made.fetch() == tip
    (ours,) = await made.commit_all(tip, [draft({"a.md": b"c"})])
    assert await made.push(ours, tip) == Pushed(ours)
    assert not [name for name in left if (repository / name).exists()]


async def test_a_fetch_that_is_given_up_leaves_the_mirror_free(
    team: Team, tmp_path: Path, server: tuple[GitServer, Credentials]
) -> None:
    made = mirror(tmp_path / "data", MirrorSettings(networks=LOOPBACK))
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        made.use(Remote(f"https://127.0.0.1:{deaf.getsockname()[1]}/x", "main"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await made.fetch()
        deaf.accept()[0].close()
        made.use(Remote(f"{server[0].url}/team.git", "main", server[1]))
        tip = team.push({"a.md": "a"})
        assert await made.fetch() == tip
    ours = str(tmp_path / "data" / "home" / "gitconfig").encode()
    assert not [pid for pid in processes() if ours in environment(pid)]


def processes() -> list[str]:
    return [entry for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208  numbers


def environment(pid: str) -> bytes:
    try:
        return Path("/proc", pid, "environ").read_bytes()
    except OSError:
        return b""


async def test_many_callers_at_once_get_what_each_asked_for(team: Team, tmp_path: Path) -> None:
    made = local_mirror(tmp_path / "data", team)
    tip = team.push({"a.md": "a", "b.md": "b"})
    await made.fetch()
    async with asyncio.TaskGroup() as tasks:
        fetches = [tasks.create_task(made.fetch()) for _ in range(3)]
        lists = [tasks.create_task(made.entries(tip, ".")) for _ in range(3)]
        commits = [
            tasks.create_task(made.commit_all(tip, [draft({"a.md": b"%d" % number})]))
            for number in range(3)
        ]
    assert {each.result() for each in fetches} == {tip}
    assert {len(each.result()) for each in lists} == {2}
    ours = [each.result()[0] for each in commits]
    assert len(set(ours)) == 3
    async with asyncio.TaskGroup() as tasks:
        pushes = [tasks.create_task(made.push(commit, tip)) for commit in ours]
    kinds = sorted(type(each.result()).__name__ for each in pushes)
    assert kinds == ["Pushed", "Rejected", "Rejected"]


async def test_a_branch_that_is_protected_is_told_with_what_the_server_says(
    team: Team, tmp_path: Path, server: tuple[GitServer, Credentials]
) -> None:
    made = mirror(tmp_path / "data", MirrorSettings(networks=LOOPBACK))
    made.use(Remote(f"{server[0].url}/team.git", "main", server[1]))
    tip = team.push({"a.md": "a"})
    await made.fetch()
    (ours,) = await made.commit_all(tip, [draft({"a.md": b"b"})])
    (team.bare / "hooks").mkdir(exist_ok=True)
    hook = team.bare / "hooks" / "pre-receive"
    hook.write_text(
        "#!/bin/sh\necho 'Checking' >&2\n"
        f"echo 'error: GH006: Protected branch for {PASSWORD} \x1b[31m' >&2\nexit 1\n"
    )
    hook.chmod(0o755)
    outcome = await made.push(ours, tip)
    assert isinstance(outcome, Declined)
    assert outcome.message == (
        "the server does not take the commit: [remote rejected] (pre-receive hook declined): "
        "error: GH006: Protected branch for [redacted]  [31m"
    )
    hook.unlink()
    git(team.bare, "config", "http.receivepack", "false")
    denied = await made.push(ours, tip)
    assert isinstance(denied, Declined)
    assert denied.reason == "AuthenticationFailed"
    assert team.tip() == tip


@pytest.mark.parametrize(
    ("output", "stderr", "code", "expected"),
    [
        ("!\ta:b\t[rejected] (fetch first)", "", 1, Rejected),
        ("!\ta:b\t[rejected] (non-fast-forward)", "", 1, Rejected),
        ("!\ta:b\t[remote rejected] (cannot lock ref 'b')", "", 1, Rejected),
        ("!\ta:b\t[remote rejected] (failed to update ref)", "", 1, Rejected),
        ("!\ta:b\t[remote rejected] (incorrect old value provided)", "", 1, Rejected),
        ("!\ta:b\t[remote rejected] (protected branch hook declined)", "", 1, Declined),
        ("!\ta:b\t[remote rejected] (branch is currently checked out)", "", 1, Declined),
        ("!\ta:b\t[remote rejected] (shallow update not allowed)", "", 1, Declined),
        ("!\ta:b\t[remote failure] (remote failed to report status)", "", 1, Unreachable),
        ("", "fatal: the remote end hung up unexpectedly", 128, Unreachable),
        ("", "error: RPC failed; The requested URL returned error: 503", 1, Unreachable),
        ("", "Failed to connect to host", 128, Unreachable),
        ("", "", None, Unreachable),
        ("", "The requested URL returned error: 403", 128, Declined),
        ("", "fatal: odd", 128, Declined),
    ],
)  # fmt: skip
def test_how_a_push_ends_says_who_can_help(
    output: str, stderr: str, code: int | None, expected: type[Outcome]
) -> None:
    text = f"To https://host/x\n{output}\nDone\n".encode()
    outcome = failed(GitRunError("push", code, stderr, text), None)
    assert isinstance(outcome, expected)


async def test_a_push_whose_end_is_not_known_is_found_by_its_operations(
    team: Team, tmp_path: Path, server: tuple[GitServer, Credentials]
) -> None:
    made = mirror(tmp_path / "data", MirrorSettings(networks=LOOPBACK))
    made.use(Remote(f"{server[0].url}/team.git", "main", server[1]))
    tip = team.push({"a.md": "a"})
    await made.fetch()
    (ours,) = await made.commit_all(tip, [draft({"a.md": b"b"}, "x\n\nOperation-Id: op-1")])
    (team.bare / "hooks").mkdir(exist_ok=True)
    hook = team.bare / "hooks" / "post-receive"  # the branch is set; the answer never comes
    hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
    hook.chmod(0o755)
    assert not isinstance(await made.push(ours, tip), Pushed)
    assert team.tip() == ours
    assert await made.fetch() == ours
    assert await made.operations_landed(tip, ours) == {"op-1": ours}
