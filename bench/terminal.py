"""Terminal output through shim, runner and controller to a viewer, against tmux and a bare read.

The agent prints the same lines in each case, once a viewer looks on from a pseudo-terminal of its
own. Throughput counts the bytes that the agent printed until the viewer shows its last word; ours
must have shown every one of them, tmux shows what is left on the screen. CPU is that of everything
between the agent and the viewer, for tmux with its client, which draws nothing by itself.
"""

import os
import pty
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path

from bench.mesh import PROGRAM, Mesh, mesh, pod, run, shell_class
from bench.processes import cpu_seconds
from bench.report import Row, median

LINES = 1_000_000
LINE = "the quick brown fox jumps over the lazy dog, again and again, all day long 0123"
BYTES = LINES * (len(LINE) + 2)  # the terminal turns \n into \r\n
_READY, _END = b"are you ready?", b"that was all"
_WAIT = (
    f"echo '{_READY.decode()}'; read go; yes '{LINE}' | head -n {LINES}; "
    f"echo '{_END.decode()}'; exec sleep 100000"
)
_COLS, _ROWS = 120, 40
ROUNDS = 5


@dataclass(slots=True)
class Take:
    """One printing of all lines."""

    seconds: float
    shown: int
    """Bytes that came out at the viewer's end."""
    cpu: dict[str, float] = field(default_factory=dict)
    """Seconds of CPU by part."""

    @property
    def speed(self) -> float:
        """Megabytes per second that the agent printed."""
        return BYTES / self.seconds / 1e6

    def per_gigabyte(self, *parts: str) -> float:
        """CPU seconds per gigabyte of the named parts."""
        return sum(self.cpu[part] for part in parts) / (BYTES / 1e9)


def measure() -> list[Row]:
    """Return throughput and CPU of ours beside the others', each the median of some rounds."""
    ours: list[Take] = []
    tmux: list[Take] = []
    bare: list[Take] = []
    with tempfile.TemporaryDirectory() as folder, mesh() as running:
        running.apply(shell_class("printer", _WAIT))
        for number in range(ROUNDS):
            ours.append(_ours(running, f"print-{number}"))
            if shutil.which("tmux"):
                tmux.append(_tmux(Path(folder), number))
            bare.append(_bare())
    speed, what = median([take.speed for take in ours]), "terminal to a viewer"
    note = f"{min(take.shown for take in ours) / 1e6:.0f} MB shown of {BYTES / 1e6:.0f}"
    rows = [Row(what, "MB/s", speed, "bare read", median([t.speed for t in bare]), "", note)]
    if not tmux:
        return rows
    note = f"tmux shows {median([take.shown for take in tmux]) / 1e6:.1f} MB"
    rows.append(Row(what, "MB/s", speed, "tmux", median([t.speed for t in tmux]), "≥ 1", note))
    theirs = median([take.per_gigabyte("server", "client") for take in tmux])
    for parts, goal in (
        (("shim", "runner", "controller"), "≤ 0.25"),
        (("shim",), ""),
        (("runner",), ""),
        (("controller",), ""),
        (("viewer",), ""),
    ):
        mine = median([take.per_gigabyte(*parts) for take in ours])
        rows.append(Row(f"CPU: {' + '.join(parts)}", "s/GB", mine, "tmux", theirs, goal))
    mine = median([take.per_gigabyte("shim") for take in ours])
    read = median([take.per_gigabyte("reader") for take in bare])
    rows.append(Row("CPU: shim", "s/GB", mine, "bare read", read, "", "reads and keeps all of it"))
    return rows


def _ours(running: Mesh, name: str) -> Take:
    running.apply(pod(name, "printer", repository=False))
    running.kubectl(
        "wait", "-n", "default", f"agentpod/{name}", "--for=condition=Ready", "--timeout=60s"
    )
    processes = {p["name"]: p["pid"] for p in running.status()["processes"]}
    (shim,) = [run["pid"] for run in running.runs(name)]
    between = {"shim": shim, "runner": processes["runner"], "controller": processes["controller"]}
    argv = [PROGRAM, "attach", name, "-n", "default", "--kubeconfig", str(running.kubeconfig)]
    viewer, master = _viewer(argv, os.environ | {"TERM": "xterm"})
    take = _print(master, between | {"viewer": viewer})
    _leave(viewer, master)
    running.kubectl("delete", "agentpod", name, "-n", "default", "--timeout=60s")
    if take.shown < BYTES:
        raise RuntimeError(f"only {take.shown} of {BYTES} bytes came out at the viewer")
    return take


def _tmux(folder: Path, number: int) -> Take:
    socket = str(folder / f"tmux-{number}.sock")
    size = ("-x", str(_COLS), "-y", str(_ROWS))
    run("tmux", "-S", socket, "-f", "/dev/null", "new-session", "-d", *size, "sh", "-c", _WAIT)
    server = int(run("tmux", "-S", socket, "display-message", "-p", "#{pid}"))
    argv = ["tmux", "-S", socket, "attach"]
    client, master = _viewer(argv, os.environ | {"TERM": "xterm"})
    take = _print(master, {"server": server, "client": client})
    subprocess.run(["tmux", "-S", socket, "kill-server"], check=True)
    _leave(client, master)
    return take


def _bare() -> Take:
    pid, master = _viewer(["sh", "-c", _WAIT], os.environ)
    take = _print(master, {"reader": os.getpid()})
    _leave(pid, master)
    return take


def _viewer(argv: list[str], environment: "os._Environ[str] | dict[str, str]") -> tuple[int, int]:
    """Start *argv* on a new terminal; return its process and the other end."""
    pid, master = pty.fork()
    if pid == 0:
        try:
            os.execvpe(argv[0], argv, environment)
        finally:
            os._exit(127)
    ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLS, 0, 0))
    return pid, master


def _print(master: int, processes: dict[str, int]) -> Take:
    """Let the agent print once it is seen to be ready, and read until its last word."""
    _read_until(master, _READY)
    before = {name: cpu_seconds(pid) for name, pid in processes.items()}
    os.write(master, b"go\r")
    start = time.perf_counter()
    shown = _read_until(master, _END)
    seconds = time.perf_counter() - start
    cpu = {name: cpu_seconds(pid) - before[name] for name, pid in processes.items()}
    return Take(seconds, shown, cpu)


def _read_until(master: int, word: bytes) -> int:
    """Read until *word* is shown; return how many bytes came."""
    total, tail = 0, b""
    while word not in tail:
        data = os.read(master, 1 << 16)
        total += len(data)
        tail = tail[-200:] + data
    return total


def _leave(pid: int, master: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(master)
