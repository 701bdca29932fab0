"""200 pods with stub agents on one runner, against as many bare pseudo-terminals, and tmux.

The stub is the same everywhere: it says what it reads, and prints without end when told to. Echo
is the time from a line typed at a quiet one until its answer is there, while 20 others print hard.
``BENCH_PODS=20`` for fewer pods.
"""

import asyncio
import contextlib
import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from bench.mesh import Mesh, mesh, pod, run, shell_class
from bench.processes import cpu_seconds, parents, pss_bytes
from bench.report import Row, percentile
from runner.drivers.terminal import Chunk, Terminals

COUNT = int(os.environ.get("BENCH_PODS", "200"))
LOUD = COUNT // 10
ECHOES = 200
_QUIET_SECONDS = 10.0
_ANSWER_SECONDS = 20.0
_READY_SECONDS = 60.0
_TMUX_COMMANDS = 40
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
    note: str = ""
    end_seconds: float = 0.0
    start_note: str = ""


def measure() -> list[Row]:
    """Return start, memory, quiet CPU and echo of ours beside the others'."""
    others = {"bare ptys": _bare()}
    if shutil.which("tmux"):
        others["tmux"] = _tmux()
    ours = _ours()
    rows = []
    for against, theirs in others.items():
        rows += _rows(ours, against, theirs)
    rows.append(Row(f"{COUNT} pods: end all", "s", ours.end_seconds, "", 0.0))
    return rows


def _rows(ours: Found, against: str, theirs: Found) -> list[Row]:
    def row(what: str, unit: str, mine: float, other: float, note: str = "") -> Row:
        return Row(f"{COUNT} pods: {what}", unit, mine, against, other, note=note)

    memory = (ours.memory_bytes / 1024, theirs.memory_bytes / 1024)
    rows = [
        row("start all", "s", ours.start_seconds, theirs.start_seconds, ours.start_note),
        row("memory each, without agent (PSS)", "KiB", *memory),
        row("CPU when quiet", "%", ours.quiet_cpu * 100, theirs.quiet_cpu * 100, ours.note),
    ]
    for percent in (50, 99):
        mine, other = (percentile(each.echoes, percent) * 1000 for each in (ours, theirs))
        rows.append(row(f"echo p{percent}, {LOUD} print hard", "ms", mine, other))
    return rows


def _quiet(pids: Iterable[int]) -> float:
    """Return how much of one processor the processes use when nothing is to be done."""
    watched = list(pids)
    before, at = sum(map(cpu_seconds, watched)), time.monotonic()
    time.sleep(_QUIET_SECONDS)
    return (sum(map(cpu_seconds, watched)) - before) / (time.monotonic() - at)


# --- ours ----------------------------------------------------------------------------------------


def _ours() -> Found:
    with mesh(max_pods=COUNT + 10) as made:
        made.apply(shell_class("stub", _STUB))
        names = [f"stub-{number}" for number in range(COUNT)]
        parts = {name: _pid(made, name) for name in ("runner", "controller", "apiserver")}
        first, began = _used(parts), time.monotonic()
        made.apply(*(pod(name, "stub", repository=False) for name in names))
        made.kubectl(
            *("wait", "-n", "default", "agentpods", "--all"),
            *("--for=condition=Ready", "--timeout=150s"),
        )
        started = time.monotonic() - began
        start_note = f"CPU seconds: {_since(first, parts)}"
        around = _around(made.runs())
        memory = sum(map(pss_bytes, around)) / COUNT
        before = _used(parts)
        shims = _quiet(around)
        used = {n: (c - before[n]) / _QUIET_SECONDS for n, c in _used(parts).items()}
        said = ", ".join(f"{name} {share * 100:.1f}" for name, share in used.items())
        quiet = shims + sum(used.values())
        folders = _pods(made)
        try:
            echoes = asyncio.run(_echoes(folders))
        finally:
            asyncio.run(_silence(folders[:LOUD]))
        note = f"shims {shims * 100:.1f}, {said}"
        return Found(started, memory, quiet, echoes, note, _end(made), start_note)


def _used(parts: dict[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in parts.items()}


def _since(first: dict[str, float], parts: dict[str, int]) -> str:
    return ", ".join(f"{name} {c - first[name]:.1f}" for name, c in _used(parts).items())


def _end(made: Mesh) -> float:
    began = time.monotonic()
    made.kubectl("delete", "agentpods", "--all", "-n", "default", "--timeout=100s")
    return time.monotonic() - began


async def _silence(folders: list[Path]) -> None:
    """End who prints hard, whatever comes."""
    async with Terminals() as terminals:
        for folder in folders:
            await terminals.stop(next((folder / "runs").iterdir()), 0)


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
    before, began = pss_bytes(os.getpid()), time.monotonic()
    with _ptys() as held:
        for _, fd in held:
            _until(fd, b"ready")
        started = time.monotonic() - began
        memory = max(0, pss_bytes(os.getpid()) - before) / COUNT
        quiet = _quiet([os.getpid()])
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
        return Found(started, memory, quiet, echoes)


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
        try:
            for session, count in (("loud", LOUD), ("quiet", COUNT - LOUD)):
                run(*tmux, "new-session", "-d", "-s", session, "-x", "120", "-y", "40", _STUB)
                _at_once(tmux, [("new-window", "-d", "-t", session, _STUB)] * (count - 1))
            panes = {session: _panes(tmux, session) for session in ("loud", "quiet")}
            _all_ready(tmux, [*panes["loud"], *panes["quiet"]])
            started = time.monotonic() - began
            server = int(run(*tmux, "display-message", "-p", "#{pid}"))
            memory, quiet = pss_bytes(server) / COUNT, _quiet([server])
            for pane in panes["loud"]:
                run(*tmux, "send-keys", "-t", pane, "loud", "Enter")
            return Found(started, memory, quiet, _tmux_echoes(tmux, panes["quiet"]))
        finally:
            run(*tmux, "kill-server")


def _at_once(tmux: tuple[str, ...], commands: Sequence[tuple[str, ...]]) -> str:
    """Run the commands with as few processes as tmux allows; return what they printed."""
    said = ""
    for at in range(0, len(commands), _TMUX_COMMANDS):
        words = [word for each in commands[at : at + _TMUX_COMMANDS] for word in (";", *each)]
        said += run(*tmux, *words[1:])
    return said


def _panes(tmux: tuple[str, ...], session: str) -> list[str]:
    return run(*tmux, "list-panes", "-s", "-t", session, "-F", "#{pane_id}").split()


def _all_ready(tmux: tuple[str, ...], panes: list[str]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    looks = [("capture-pane", "-p", "-t", pane) for pane in panes]
    while _at_once(tmux, looks).split().count("ready") < len(panes):
        if time.monotonic() > deadline:
            raise RuntimeError("tmux has not started all")
        time.sleep(0.05)


def _tmux_echoes(tmux: tuple[str, ...], panes: list[str]) -> list[float]:
    """Type and read as a program does that is attached to tmux: in its control mode."""
    client = subprocess.Popen(
        [*tmux, "-C", "attach", "-t", "quiet"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        return [_through(client, panes[n % len(panes)], f"word{n}") for n in range(ECHOES)]
    finally:
        client.kill()
        client.communicate()


def _through(client: "subprocess.Popen[bytes]", pane: str, word: str) -> float:
    typing, reading = _pipe(client.stdin), _pipe(client.stdout).fileno()
    began = time.monotonic()
    typing.write(f"send-keys -t {pane} {word} Enter\n".encode())
    typing.flush()
    _until(reading, f"said {word}.".encode())
    return time.monotonic() - began


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    if end is None:
        raise RuntimeError("tmux has no pipe")
    return end
