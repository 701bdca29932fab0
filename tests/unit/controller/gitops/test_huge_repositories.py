"""A gigabyte in one file, a million files, much in a small pack: bounded in time and memory."""

import hashlib
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
from tests.unit.controller.gitops.git_scene import (
    LOOPBACK,
    Team,
    local_mirror,
    mirror,
    served,
)
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
    tip = team.push({"a.md": "b"})  # the other one is not fetched again for an hour
    assert await made.fetch() == tip  # what is left out is not counted


def bomb(blobs: int) -> tuple[bytes, list[bytes]]:
    """Return a pack of one blob of nearly 256 KiB and many that differ by a few bytes; their ids.

    Source: gitformat-pack(5).
    """
    base = bytes(MAX_FILE_BYTES - 64)
    begun = hashlib.sha1(b"blob %d\0" % (len(base) + 8) + base)  # noqa: S324 - git's own
    first = hashlib.sha1(b"blob %d\0" % len(base) + base).digest()  # noqa: S324 - git's own
    objects, ids = [_head(3, len(base)) + zlib.compress(base)], [first]
    all_of_it = b"\xf0" + len(base).to_bytes(3, "little")
    for number in range(blobs):
        tail = b"%08d" % number
        delta = _number(len(base)) + _number(len(base) + len(tail)) + all_of_it + b"\x08" + tail
        objects.append(_head(7, len(delta)) + first + zlib.compress(delta))
        one = begun.copy()
        one.update(tail)
        ids.append(one.digest())
    pack = b"PACK" + (2).to_bytes(4, "big") + len(objects).to_bytes(4, "big") + b"".join(objects)
    return pack + hashlib.sha1(pack).digest(), ids  # noqa: S324 - git's own


def _number(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def _head(kind: int, length: int) -> bytes:
    first, rest = kind << 4 | length & 15, length >> 4
    return bytes([first | 128]) + _number(rest) if rest else bytes([first])


def _given(repository: Path, *command: str, data: bytes) -> str:
    done = subprocess.run(
        ["git", "-C", str(repository), *command], input=data, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


async def test_a_small_pack_with_much_to_unpack_takes_bounded_work_and_once(
    team: Team, tmp_path: Path
) -> None:
    made = local_mirror(tmp_path / "data", team, fetch_cpu_seconds=1)
    good = team.tip()
    assert await made.fetch() == good
    pack, ids = bomb(3000)
    assert len(pack) < 300_000
    _given(team.bare, "index-pack", "--stdin", data=pack)
    lines = b"".join(b"100644 %05d.bin\0%b" % one for one in enumerate(ids))
    tree = _given(team.bare, "hash-object", "-w", "-t", "tree", "--stdin", data=lines)
    git(team.bare, "update-ref", "refs/heads/main", git(team.bare, "commit-tree", "-m", "x", tree))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(RefusedError) as caught:
        await made.fetch()
    assert caught.value.reason == "RepositoryTooLarge"
    assert "more work to unpack" in caught.value.sentence
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 6
    shutil.move(team.bare / "objects", team.bare / "away")  # nobody asks for it again
    (team.bare / "objects").mkdir()
    with pytest.raises(RefusedError, match="more work to unpack"):
        await made.fetch()
    assert len(await made.entries(good, ".")) == 1  # what was there serves on
    (team.bare / "objects").rmdir()
    shutil.move(team.bare / "away", team.bare / "objects")
    git(team.bare, "update-ref", "refs/heads/main", good)
    assert await made.fetch() == good
