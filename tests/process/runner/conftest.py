"""Pods held by real shims, each in a directory of its own; nothing of them survives a test."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.drivers.terminal import Alive, Chunk, Ended, Gap, Launch, Terminals

PYTHON = (sys.executable, "-I", "-S", "-u", "-c")


@dataclass
class Pods:
    """Makes launches below one directory and remembers them."""

    root: Path
    launches: list[Launch] = field(default_factory=list)

    def launch(self, *argv: str, pod: str = "pod", restart: int = 0, **changes: Any) -> Launch:
        data = self.root / "pods" / pod
        launch = Launch(
            uid=f"{pod}-{self.root.name}",
            epoch=3,
            restart=restart,
            run_dir=data / "run" / f"3-{restart}",
            transcript_dir=data / "transcript",
            argv=argv,
            environment={"PATH": "/usr/bin:/bin", "TERM": "xterm-256color"},
            cwd=self.root,
        )
        self.launches.append(launch := replace(launch, **changes))
        return launch

    def python(self, program: str, *arguments: str, **changes: Any) -> Launch:
        return self.launch(*PYTHON, program, *arguments, **changes)


@pytest.fixture
def root() -> Iterator[Path]:
    # not tmp_path: what a test needs of the path's length it says itself
    path = Path(tempfile.mkdtemp(prefix="shim-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
async def terminals() -> AsyncIterator[Terminals]:
    async with Terminals() as terminals:
        yield terminals


@pytest.fixture
async def pods(root: Path) -> AsyncIterator[Pods]:
    pods = Pods(root)
    yield pods
    async with Terminals() as terminals:
        for launch in pods.launches:
            async with asyncio.timeout(10):
                await terminals.stop(launch.run_dir, 0)
                await terminals.watch_exit(launch.run_dir)


async def until(true: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """Poll the world until something holds there."""
    try:
        async with asyncio.timeout(seconds):
            while not (value := true()):
                await asyncio.sleep(0.01)
            return value
    except TimeoutError:
        pytest.fail(f"waited {seconds} s for: {what}")


async def output_until(
    terminals: Terminals, launch: Launch, wanted: bytes, offset: int = 0
) -> bytes:
    """Follow the run until it has said *wanted*; return all that it said."""
    said = b""
    async with asyncio.timeout(20):
        async for item in terminals.follow(launch.transcript_dir, launch.run_dir, offset):
            if isinstance(item, Chunk):
                said += item.data
            if wanted in said:
                return said
    raise AssertionError(f"the run ended without saying {wanted!r}: {said[-500:]!r}")


async def all_output(
    terminals: Terminals, launch: Launch, offset: int = 0
) -> tuple[bytes, list[Gap], Ended]:
    """Follow the run to its end."""
    said, gaps = bytearray(), []
    async with asyncio.timeout(50):
        async for item in terminals.follow(launch.transcript_dir, launch.run_dir, offset):
            match item:
                case Chunk():
                    said += item.data
                case Gap():
                    gaps.append(item)
                case Ended():
                    return bytes(said), gaps, item
    raise AssertionError("following ended without Ended")


def marked(uid: str) -> list[psutil.Process]:
    """Return the living processes that carry the pod's mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("AGENTSMESH_POD_UID") == uid:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def gone(alive: Alive) -> bool:
    """Whether neither the shim nor the program is left, but for init to collect."""
    return not any(_lives(pid) for pid in (alive.pid, alive.child_pid))


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
