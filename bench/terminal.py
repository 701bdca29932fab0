"""Terminal output through shim, runner and controller to a viewer, against tmux and a bare read.

The agent prints the same lines in each case; throughput counts what the viewer has read, CPU what
everything between the agent and the viewer's socket has used.
"""

import os
import pty
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench.mesh import PROGRAM, Mesh, mesh, pod, run, shell_class
from bench.processes import command, cpu_seconds, parents
from bench.report import Row, median

LINES = 1_000_000
LINE = "the quick brown fox jumps over the lazy dog, again and again, all day long 0123"
BYTES = LINES * (len(LINE) + 2)  # the terminal turns \n into \r\n
_PRINT = f"yes '{LINE}' | head -n {LINES}"
_WAIT = f"read go; {_PRINT}; echo 'the end'; exec sleep 100000"
ROUNDS = 3


def measure() -> list[Row]:
    """Return throughput and CPU of ours beside the others', the median of some rounds."""
    ours: list[tuple[float, float]] = []
    tmux: list[tuple[float, float]] = []
    bare: list[float] = []
    with tempfile.TemporaryDirectory() as folder, mesh() as running:
        running.apply(shell_class("printer", _WAIT))
        for number in range(ROUNDS):
            ours.append(_ours(running, f"print-{number}"))
            if shutil.which("tmux"):
                tmux.append(_tmux(Path(folder), number))
            bare.append(_bare())
    speed = median([item[0] for item in ours])
    cpu = median([item[1] for item in ours])
    rows = [Row("terminal to a viewer", "MB/s", speed, "bare read", median(bare))]
    if tmux:
        rows += [
            Row(
                "terminal to a viewer",
                "MB/s",
                speed,
                "tmux",
                median([item[0] for item in tmux]),
                "≥ 1",
            ),
            Row(
                "CPU between agent and viewer",
                "s/GB",
                cpu,
                "tmux",
                median([item[1] for item in tmux]),
                "≤ 0.25",
                "shim + runner + controller",
            ),
        ]
    return rows


def _ours(running: Mesh, name: str) -> tuple[float, float]:
    running.apply(pod(name, "printer", repository=False))
    running.kubectl(
        "wait", "-n", "default", f"agentpod/{name}", "--for=condition=Ready", "--timeout=60s"
    )
    processes = {p["name"]: p["pid"] for p in running.status()["processes"]}
    between = [processes["runner"], processes["controller"], *_shims()]
    before = {pid: cpu_seconds(pid) for pid in between}
    argv = [PROGRAM, "attach", name, "-n", "default", "--kubeconfig", str(running.kubeconfig)]
    pid, master = pty.fork()
    if pid == 0:
        os.execv(PROGRAM, argv)
    time.sleep(1.5)
    os.write(master, b"go\r")
    took, _ = _read_until_end(master)
    cpu = sum(cpu_seconds(one) - before[one] for one in between)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    os.close(master)
    running.kubectl("delete", "agentpod", name, "-n", "default", "--timeout=60s")
    return BYTES / took / 1e6, cpu / (BYTES / 1e9)


def _shims() -> list[int]:
    """The shims that live now: each is alone in this measure."""
    return [pid for pid in parents() if "runner/shim" in command(pid) or "shim" in command(pid)]


def _tmux(folder: Path, number: int) -> tuple[float, float]:
    socket = str(folder / f"tmux-{number}.sock")
    run("tmux", "-S", socket, "new-session", "-d", "-x", "120", "-y", "40", "sh", "-c", _WAIT)
    server = int(run("tmux", "-S", socket, "display-message", "-p", "#{pid}"))
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe("tmux", ["tmux", "-S", socket, "attach"], os.environ | {"TERM": "xterm"})
    time.sleep(0.5)
    before = cpu_seconds(server) + cpu_seconds(pid)
    os.write(master, b"go\r")
    took, _ = _read_until_end(master)
    cpu = cpu_seconds(server) + cpu_seconds(pid) - before
    subprocess.run(["tmux", "-S", socket, "kill-server"], check=True)
    os.waitpid(pid, 0)
    os.close(master)
    return BYTES / took / 1e6, cpu / (BYTES / 1e9)


def _bare() -> float:
    pid, master = pty.fork()
    if pid == 0:
        os.execvp("sh", ["sh", "-c", _WAIT])
    os.write(master, b"go\r")
    took, _ = _read_until_end(master)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    os.close(master)
    return BYTES / took / 1e6


def _read_until_end(master: int) -> tuple[float, int]:
    """Read until ``the end`` is shown; return the seconds since the first output and the bytes."""
    start, total, tail = time.perf_counter(), 0, b""
    while True:
        data = os.read(master, 1 << 16)
        total += len(data)
        tail = (tail + data)[-200:]
        if b"the end" in tail:
            return time.perf_counter() - start, total
