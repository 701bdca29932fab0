"""A program is asked for its version where it can do no harm, and nothing of it is left."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from runner.drivers.sandbox.probe import probe
from runner.drivers.sandbox.version import Room, VersionCommand, printable
from runner.drivers.trash import Trash

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def machine() -> Room:
    capabilities = probe()
    assert capabilities.bubblewrap is not None
    nowhere = Path("/nonexistent")
    return Room(nowhere, nowhere, (Path("/usr/bin"), Path("/bin")), capabilities)


@pytest.fixture
def room(machine: Room, tmp_path: Path) -> Room:
    data = tmp_path / "data"
    data.mkdir()
    (data / "secret").write_text("a key")
    return replace(machine, folder=data / "versions", settings=data / "settings", protected=(data,))


@pytest.fixture
def ask(room: Room, tmp_path: Path) -> Callable[..., asyncio.Future[str]]:
    async def asked(script: str, *args: str, room: Room = room) -> str:
        """Return what a program of that text answers; nothing of its run is left."""
        place = tmp_path / "tools" / "bin"
        place.mkdir(parents=True, exist_ok=True)
        program = place / "agent"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        answer = await VersionCommand(room, Trash(tmp_path / "trash")).ask(program, args)
        assert not room.folder.exists() or not list(room.folder.iterdir())
        return answer

    return asked  # type: ignore[return-value] # a coroutine is awaited alike


async def test_the_first_line_is_the_version(ask: Callable[..., asyncio.Future[str]]) -> None:
    said = await ask('echo; echo " agent 1.2 ($1) "; echo more', "--version")
    assert said == "agent 1.2 (--version)"


async def test_arguments_are_never_a_shell_line(ask: Callable[..., asyncio.Future[str]]) -> None:
    assert await ask('echo "$# $1"', "$(id); a b") == "1 $(id); a b"


async def test_nothing_of_the_runner_is_seen(
    ask: Callable[..., asyncio.Future[str]], room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_SECRET", "s3cret")
    secret = room.folder.parent / "secret"
    text = f"echo $(env | cut -d= -f1 | sort) $(ls -A ~ /tmp | wc -w) $(cat {secret} 2>&1 | wc -l)"
    seen = await ask(text)
    assert "RUNNER_SECRET" not in seen
    assert seen.startswith("HOME LANG PATH PWD ")
    assert await ask(f"test -e {secret} || echo hidden") == "hidden"
    assert await ask('test -z "$(ls -A ~)" && touch ~/here && echo empty') == "empty"


async def test_there_is_no_network(ask: Callable[..., asyncio.Future[str]]) -> None:
    assert await ask("echo $(tail -n +3 /proc/net/dev | cut -d: -f1)") == "lo"


async def test_no_descriptor_of_the_runner_is_handed_on(
    ask: Callable[..., asyncio.Future[str]],
) -> None:
    with tempfile.TemporaryFile() as file:
        os.set_inheritable(file.fileno(), True)
        seen = await ask("exec ls -m /proc/self/fd")
    assert seen == "0, 1, 2, 3", "3 is the folder that ls reads"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo 1.0; exit 3", id="it fails"),
        pytest.param("echo 1.0 >&2", id="it prints to its standard error alone"),
        pytest.param("exec yes", id="it prints without end"),
        pytest.param("kill -9 $$", id="it is killed"),
    ],
)
async def test_what_is_no_answer_is_none(
    ask: Callable[..., asyncio.Future[str]], script: str
) -> None:
    assert await ask(script) == ""


async def test_what_takes_too_long_is_ended_with_all_that_it_started(
    ask: Callable[..., asyncio.Future[str]], room: Room
) -> None:
    mark = f"86{os.getpid()}"
    slow = replace(room, seconds=0.5)
    assert await ask(f"(setsid sleep {mark} &) ; echo 1.0; sleep {mark}", room=slow) == ""
    async with asyncio.timeout(10):
        while _running(mark):
            await asyncio.sleep(0.02)


async def test_a_run_that_is_cancelled_leaves_no_process(
    ask: Callable[..., asyncio.Future[str]],
) -> None:
    mark = f"87{os.getpid()}"
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ask(f"sleep {mark}"))  # type: ignore[arg-type]
        async with asyncio.timeout(10):
            while not _running(mark):
                await asyncio.sleep(0.02)
        asking.cancel()
    async with asyncio.timeout(10):
        while _running(mark):
            await asyncio.sleep(0.02)


async def test_without_bubblewrap_nothing_is_run(
    ask: Callable[..., asyncio.Future[str]], room: Room
) -> None:
    bare = replace(room, capabilities=replace(room.capabilities, bubblewrap=None))
    assert await ask("echo 1.0", room=bare) == ""


async def test_a_program_beside_the_runners_data_is_not_run(room: Room, tmp_path: Path) -> None:
    program = room.folder.parent / "bin" / "agent"
    program.parent.mkdir()
    program.symlink_to(sys.executable)
    assert await VersionCommand(room, Trash(tmp_path / "trash")).ask(program, ("-V",)) == ""


async def test_what_a_killed_runner_left_is_thrown_away(room: Room, tmp_path: Path) -> None:
    (room.folder / "left").mkdir(parents=True)
    VersionCommand(room, Trash(tmp_path / "trash"))
    assert not room.folder.exists()


def test_only_what_can_be_shown_is_taken() -> None:
    assert printable(b"\x1b[1m2.0\x07\xff\n3.0") == "[1m2.0\ufffd"
    assert printable(b"v" * 500) == "v" * 128
    assert printable(b"\n \r\n") == ""


def _running(mark: str) -> bool:
    return any(
        "sleep" in line and mark in line
        for process in psutil.process_iter(["cmdline"])
        if (line := process.info["cmdline"]) and line[0].endswith("sleep")
    )
