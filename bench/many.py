"""200 pods with stub agents on one runner, against as many bare pseudo-terminals, and tmux.

The stub is the same everywhere: it says what it reads, and prints without end when told to. Echo
is the time from a line typed at a quiet one until its answer is there, while 20 others print hard.
"""

import asyncio
import contextlib
import os
import pty
import select
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.mesh import Mesh, mesh, pod, run, shell_class
from bench.processes import cpu_seconds, parents, pss_bytes
from bench.report import Row, percentile
from runner.drivers.terminal import Chunk, Terminals

COUNT = 200
LOUD = 20
ECHOES = 200
_QUIET_SECONDS = 10.0
_ANSWER_SECONDS = 20.0
_STUB = (
    "stty -echo; echo ready; while read word; do "
    'if [ "$word" = loud ]; then yes "the quick brown fox" & else echo "said $word."; fi; done'
)


@dataclass(slots=True)
class Found:
    """What one way of holding terminals came to."""

    start_seconds: float
    memory_bytes: float
    """For each, the stub left out."""
    quiet_cpu: float
    """Of one processor, for all of them."""
    echoes: list[float] = field(default_factory=list)


def measure() -> list[Row]:
    """Return start, memory, quiet CPU and echo of ours beside the others'."""
    ours, bare = _ours(), _bare()
    rows = [
        _row("start all", "s", ours.start_seconds, bare.start_seconds),
        _row("memory each, without agent (PSS)", "KiB", ours.memory_bytes / 1024, 0.0),
        _row("CPU of all when quiet", "%", ours.quiet_cpu * 100, bare.quiet_cpu * 100),
    ]
    for percent in (50, 99):
        mine, theirs = (percentile(each.echoes, percent) * 1000 for each in (ours, bare))
        rows.append(_row(f"echo p{percent}, {LOUD} print hard", "ms", mine, theirs))
    if shutil.which("tmux"):
        panes = _tmux()
        rows += [
            _row("start all", "s", ours.start_seconds, panes.start_seconds, "tmux"),
            _row(
                "memory each, without agent (PSS)",
                "KiB",
                ours.memory_bytes / 1024,
                panes.memory_bytes / 1024,
                "tmux",
            ),
        ]
    return rows


def _row(what: str, unit: str, ours: float, theirs: float, against: str = "bare ptys") -> Row:
    return Row(f"{COUNT} pods: {what}", unit, ours, against, theirs)


# --- ours ----------------------------------------------------------------------------------------


def _ours() -> Found:
    with mesh(max_pods=COUNT + 10) as made:
        made.apply(shell_class("stub", _STUB))
        names = [f"stub-{number}" for number in range(COUNT)]
        began = time.monotonic()
        made.apply(*(pod(name, "stub", repository=False) for name in names))
        made.kubectl(
            *("wait", "-n", "default", "agentpods", "--all"),
            *("--for=condition=Ready", "--timeout=150s"),
        )
        started = time.monotonic() - began
        runs = made.runs()
        around = _around(runs)
        memory = sum(map(pss_bytes, around)) / COUNT
        watched = [*around, _pid(made, "runner")]
        before, at = sum(map(cpu_seconds, watched)), time.monotonic()
        time.sleep(_QUIET_SECONDS)
        used = (sum(map(cpu_seconds, watched)) - before) / (time.monotonic() - at)
        return Found(started, memory, used, asyncio.run(_echoes(_pods(made))))


def _around(runs: list[dict[str, Any]]) -> set[int]:
    """Return the shims and what stands between them and the stubs."""
    tree = parents()
    shims = {each["pid"] for each in runs}
    children = {each["child_pid"] for each in runs}
    inner = {pid for pid, parent in tree.items() if parent in children}
    return shims | (children | inner if _has_grandchildren(inner, tree) else set())


def _has_grandchildren(inner: set[int], tree: dict[int, int]) -> bool:
    """Whether a sandbox stands between shim and stub: its program, then its first process."""
    return any(parent in inner for parent in tree.values())


def _pid(made: Mesh, name: str) -> int:
    return next(int(each["pid"]) for each in made.status()["processes"] if each["name"] == name)


def _pods(made: Mesh) -> list[Path]:
    folders = (made.data / "runner" / "pods").iterdir()
    return sorted(path for path in folders if (path / "transcript").is_dir())


async def _echoes(folders: list[Path]) -> list[float]:
    async with Terminals() as terminals:
        runs = [next((folder / "runs").iterdir()) for folder in folders]
        for run_dir in runs[:LOUD]:
            await terminals.write(run_dir, b"loud\n")
        found = []
        for number in range(ECHOES):
            index = LOUD + number % (len(runs) - LOUD)
            transcript = folders[index] / "transcript"
            found.append(await _echo(terminals, runs[index], transcript, f"word{number}"))
        return found


async def _echo(terminals: Terminals, run_dir: Path, transcript: Path, word: str) -> float:
    offset, said = terminals.size(transcript), b""
    began = time.monotonic()
    await terminals.write(run_dir, f"{word}\n".encode())
    async with asyncio.timeout(_ANSWER_SECONDS):
        async for item in terminals.follow(transcript, run_dir, offset):
            said += item.data if isinstance(item, Chunk) else b""
            if f"said {word}.".encode() in said:
                break
    return time.monotonic() - began


# --- the floor -----------------------------------------------------------------------------------


def _bare() -> Found:
    """Hold the same stubs on pseudo-terminals of this process, and nothing more."""
    began = time.monotonic()
    with _ptys() as held:
        for _, fd in held:
            _until(fd, b"ready")
        started = time.monotonic() - began
        for _, fd in held[:LOUD]:
            os.write(fd, b"loud\n")
        stop = threading.Event()
        reader = threading.Thread(target=_drain, args=([fd for _, fd in held[:LOUD]], stop))
        reader.start()
        try:
            echoes = [_typed(held[LOUD + n % (COUNT - LOUD)][1], f"word{n}") for n in range(ECHOES)]
        finally:
            stop.set()
            reader.join()
        return Found(started, 0.0, 0.0, echoes)


@contextlib.contextmanager
def _ptys() -> Iterator[list[tuple[int, int]]]:
    held: list[tuple[int, int]] = []
    try:
        for _ in range(COUNT):
            pid, fd = pty.fork()
            if pid == 0:
                os.execvp("sh", ["sh", "-c", _STUB])  # noqa: S606, S607  the stub is a line of shell
            held.append((pid, fd))
        yield held
    finally:
        for pid, fd in held:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.close(fd)
            os.waitpid(pid, 0)


def _typed(fd: int, word: str) -> float:
    began = time.monotonic()
    os.write(fd, f"{word}\n".encode())
    _until(fd, f"said {word}.".encode())
    return time.monotonic() - began


def _until(fd: int, wanted: bytes) -> None:
    said, deadline = b"", time.monotonic() + _ANSWER_SECONDS
    while wanted not in said:
        if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise RuntimeError(f"a bare terminal did not say {wanted!r}")
        said += os.read(fd, 65536)


def _drain(fds: list[int], stop: threading.Event) -> None:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    while not stop.is_set():
        for fd, _ in poll.poll(100):
            os.read(fd, 65536)


# --- tmux ----------------------------------------------------------------------------------------


def _tmux() -> Found:
    with tempfile.TemporaryDirectory(prefix="mesh-tmux-") as folder:
        tmux = ("tmux", "-S", f"{folder}/socket", "-f", "/dev/null")
        began = time.monotonic()
        run(*tmux, "new-session", "-d", "-x", "120", "-y", "40", _STUB)
        try:
            for _ in range(COUNT - 1):
                run(*tmux, "new-window", "-d", _STUB)
            started = time.monotonic() - began
            server = int(run(*tmux, "display-message", "-p", "#{pid}"))
            return Found(started, pss_bytes(server) / COUNT, 0.0)
        finally:
            run(*tmux, "kill-server")
