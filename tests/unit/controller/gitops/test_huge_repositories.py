"""A gigabyte in one file and a million files: bounded in time, memory and disk."""

import os
import resource
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.gitops.mirror import Mirror
from controller.gitops.remote import TOO_MANY_FILES, RefusedError, Remote
from controller.gitops.upstream import MirrorSettings
from controller.gitops.values import MAX_FILE_BYTES
from gitaccess.credentials import Credentials
from tests.unit.controller.gitops.git_scene import LOOPBACK, Team, mirror, served
from tests.unit.runner.drivers.worktree.git_server import GitServer
from tests.unit.runner.drivers.worktree.scene import PERSON, git

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(300)]

GIGABYTE = 1024 * 1024 * 1024


@pytest.fixture
def team(tmp_path: Path) -> Team:
    made = Team(tmp_path)
    made.push({"a.md": "a"})
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[GitServer, Credentials]]:
    with served(tmp_path, tmp_path) as both:
        yield both


@pytest.fixture
def made(tmp_path: Path, server: tuple[GitServer, Credentials]) -> Mirror:
    found = mirror(tmp_path / "data", MirrorSettings(networks=LOOPBACK, fetch_bytes=8_000_000))
    found.use(Remote(f"{server[0].url}/team.git", "main", server[1]))
    return found


@pytest.fixture(scope="module")
def zeros(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a gigabyte that takes a megabyte on the disk."""
    path = tmp_path_factory.mktemp("zeros") / "zeros.git"
    git(path.parent, "init", "-q", "--bare", "-b", "main", str(path))
    with subprocess.Popen(
        ["git", "-C", str(path), "-c", "core.compression=1", "fast-import", "--quiet"],
        stdin=subprocess.PIPE,
        env=PERSON,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"commit refs/heads/main\ncommitter A <a@b.c> 1 +0000\ndata 1\nx\n")
        process.stdin.write(b"M 644 inline a.md\ndata 1\na\n")
        process.stdin.write(b"M 644 inline zeros.md\ndata %d\n" % GIGABYTE)
        for _ in range(GIGABYTE // 1_048_576):
            process.stdin.write(bytes(1_048_576))
        process.stdin.write(b"\n")
    assert process.returncode == 0
    return path


@pytest.mark.parametrize("left_out", [True, False], ids=["left out", "sent all the same"])
async def test_a_file_of_a_gigabyte_costs_little(
    made: Mirror, team: Team, zeros: Path, tmp_path: Path, *, left_out: bool
) -> None:
    shutil.rmtree(team.bare)
    shutil.copytree(zeros, team.bare)
    git(team.bare, "config", "uploadpack.allowFilter", str(left_out).lower())
    tip = team.tip()
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert await made.fetch() == tip
    small, large = await made.entries(tip, ".")
    assert large.size == (MAX_FILE_BYTES + 1 if left_out else GIGABYTE)
    assert list(await made.blobs((small.blob, large.blob))) == [small.blob]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - ours < 64 * 1024  # KiB
    used = sum(p.stat().st_size for p in (tmp_path / "data").rglob("*") if p.is_file())
    assert used < 8_000_000


async def test_a_million_files_are_refused_as_a_whole(made: Mirror, team: Team) -> None:
    blob = bytes.fromhex(git(team.bare, "rev-parse", "main:a.md"))
    lines = b"".join(b"100644 %07d.md\0%b" % (number, blob) for number in range(1_000_000))
    done = subprocess.run(
        ["git", "-C", str(team.bare), "hash-object", "-w", "-t", "tree", "--stdin"],
        input=lines,
        capture_output=True,
        check=True,
    )
    tree = done.stdout.decode().strip()
    tip = git(team.bare, "commit-tree", "-m", "x", tree)
    git(team.bare, "update-ref", "refs/heads/main", tip)
    assert len(zlib.compress(lines, 1)) < 8_000_000
    assert await made.fetch() == tip
    with pytest.raises(RefusedError) as caught:
        await made.entries(tip, ".")
    assert caught.value.reason == TOO_MANY_FILES


async def test_what_is_too_much_over_https_is_told_so_as_well(made: Mirror, team: Team) -> None:
    team.push({f"{n}.bin": os.urandom(3_000_000) for n in range(4)})
    with pytest.raises(RefusedError) as caught:
        await made.fetch()
    assert caught.value.reason == "RepositoryTooLarge"
    git(team.bare, "config", "uploadpack.allowFilter", "true")
    assert await made.fetch() == team.tip()  # what is left out is not counted
