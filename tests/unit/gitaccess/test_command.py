"""What git prints, writes and takes is bounded; what it needs for one call it gets."""

import os
from pathlib import Path

import pytest

from gitaccess.access import access
from gitaccess.command import Call, Git, GitRunError, Limits
from gitaccess.places import Location

pytestmark = pytest.mark.anyio


@pytest.fixture
def git(tmp_path: Path) -> Git:
    made = Git(tmp_path / "home")
    made.prepare()
    return made


@pytest.fixture
async def repository(git: Git, tmp_path: Path) -> Path:
    path = tmp_path / "repo.git"
    await git.run(Call(("init", "--quiet", "--bare", "--template=", str(path))))
    return path


async def test_git_that_prints_too_much_is_ended_and_what_came_is_kept(
    git: Git, repository: Path
) -> None:
    content = b"".join(b"%09d\n" % number for number in range(1_000_000))
    call = Call(("hash-object", "-w", "--stdin"), repository, stdin=content)
    blob = (await git.run(call)).decode().strip()
    args = ("cat-file", "blob", blob)
    with pytest.raises(GitRunError) as caught:
        await git.run(Call(args, repository, limits=Limits(output_bytes=100_000)))
    assert caught.value.flooded
    assert caught.value.output.startswith(content[:100_000])
    assert len(caught.value.output) <= 100_001
    just = Limits(output_bytes=len(content))
    assert await git.run(Call(args, repository, limits=just)) == content


@pytest.mark.parametrize("seconds", [20.0, 0.3], ids=["flood", "late as well"])
async def test_what_prints_on_after_it_was_told_to_end_is_read_to_its_end(
    git: Git, repository: Path, seconds: float
) -> None:
    shell = "trap '' TERM; head -c 3000000 /dev/zero; [ $1 = 20.0 ] || sleep 1; : #"
    args = ("-c", f"alias.deaf=!f() {{ {shell}\n}}; f {seconds}", "deaf")
    limits = Limits(seconds=seconds, output_bytes=1000)
    with pytest.raises(GitRunError) as caught:
        await git.run(Call(args, repository, limits=limits))
    assert (caught.value.flooded, caught.value.code is None) == (seconds == 20.0, seconds != 20.0)


async def test_git_writes_no_file_that_is_longer_than_it_may(git: Git, repository: Path) -> None:
    content = os.urandom(2_000_000)
    call = Call(
        ("hash-object", "-w", "--stdin"),
        repository,
        stdin=content,
        limits=Limits(file_bytes=1_000_000),
    )
    with pytest.raises(GitRunError):
        await git.run(call)
    assert all(path.stat().st_size <= 1_000_000 for path in repository.rglob("*"))


async def test_git_takes_no_more_memory_than_it_may(git: Git, repository: Path) -> None:
    call = Call(
        ("hash-object", "-w", "--stdin"),
        repository,
        stdin=bytes(80_000_000),
        limits=Limits(memory_bytes=40_000_000),
    )
    with pytest.raises(GitRunError, match="hash-object"):
        await git.run(call)
    assert await git.run(Call(call.args, repository, stdin=b"x", limits=call.limits))


def test_settings_of_one_call_stand_beside_those_of_its_place(tmp_path: Path) -> None:
    there = Location("https://Host.example:8443/x", local=False, addresses=("192.0.2.1", "::2"))
    with access(there, None, tmp_path, settings={"fetch.unpackLimit": "1"}) as way:
        assert dict(way.environment) == {
            "GIT_ALLOW_PROTOCOL": "https",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "fetch.unpackLimit",
            "GIT_CONFIG_VALUE_0": "1",
            "GIT_CONFIG_KEY_1": "http.curloptResolve",
            "GIT_CONFIG_VALUE_1": "host.example:8443:192.0.2.1,[::2]",
        }
    with access(Location("/x", local=True), None, tmp_path) as way:
        assert dict(way.environment) == {"GIT_ALLOW_PROTOCOL": "file"}
