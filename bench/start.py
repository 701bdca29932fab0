"""From apply to a running agent, cold, against the floor and against tmux with a worktree by hand.

The floor is the same ``git worktree add``, sandbox and pseudo-terminal made by a script without us.
"""

import os
import pty
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.api import Api
from bench.mesh import Mesh, make_origin, mesh, pod, run
from bench.report import Row, median, percentile

ROUNDS = 30
PODS = "/apis/agentsmesh.io/v1alpha1/namespaces/default/agentpods"
_BWRAP = (
    *("bwrap", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"),
    *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"),
    *("--ro-bind", "/etc", "/etc", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
    *("--unshare-user", "--uid", "1000", "--gid", "1000", "--unshare-pid", "--unshare-ipc"),
    *("--unshare-uts", "--die-with-parent", "--cap-drop", "ALL"),
)


def measure() -> list[Row]:
    """Return p50 and p99 of ours beside the floor's and tmux's, taken in turns."""
    with tempfile.TemporaryDirectory() as text, mesh() as ours:
        folder = Path(text)
        cache = make_origin(folder / "git")
        takes: dict[str, Callable[[int], float]] = {
            "ours": lambda number: _ours(ours, number),
            "floor": lambda number: _floor(folder, cache, number),
        }
        if shutil.which("tmux"):
            takes["tmux"] = lambda number: _tmux(folder, cache, number)
        takes["ours"](-1)  # the first clone of the repository is not what is measured
        times: dict[str, list[float]] = {name: [] for name in takes}
        for number in range(ROUNDS):
            for name, take in takes.items():
                times[name].append(take(number))
    rows = []
    for other in ("floor", "tmux"):
        if other not in times:
            continue
        for percent, goal in ((50, "floor + 100 ms"), (99, "floor + 300 ms")):
            rows.append(
                Row(
                    f"apply → running, p{percent}",
                    "ms",
                    percentile(times["ours"], percent),
                    other,
                    percentile(times[other], percent),
                    goal if other == "floor" else "",
                    f"{ROUNDS} rounds, in turns",
                )
            )
    added = [a - b for a, b in zip(times["ours"], times["floor"], strict=True)]
    rows.append(Row("added to the floor, p50", "ms", median(added), "goal", 100.0))
    return rows


def _ours(ours: Mesh, number: int) -> float:
    name = f"start-{number + 1}"
    api = Api(ours.kubeconfig)
    listed = api.call("GET", f"{PODS}?limit=1")
    version = listed["metadata"]["resourceVersion"]
    with api.watch(f"{PODS}?watch=1&resourceVersion={version}&timeoutSeconds=60") as events:
        start = time.perf_counter()
        api.call("POST", PODS, pod(name, "idle"))
        for moment, event in events:
            item = event["object"]
            if item["metadata"]["name"] != name:
                continue
            phase = item.get("status", {}).get("phase")
            if phase == "Running":
                api.call("DELETE", f"{PODS}/{name}")
                _wait_gone(api, name)
                return (moment - start) * 1000
            if phase == "Failed":
                raise RuntimeError(f"{name}: {item['status']}")
    raise RuntimeError(f"{name} did not run within 60 s")


def _wait_gone(api: Api, name: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        names = [item["metadata"]["name"] for item in api.call("GET", PODS)["items"]]
        if name not in names:
            return
        time.sleep(0.02)
    raise RuntimeError(f"{name} was not removed within 30 s")


def _floor(folder: Path, cache: Path, number: int) -> float:
    tree = folder / f"floor-{number}"
    start = time.perf_counter()
    run("git", "-C", str(cache), "worktree", "add", "-q", "-b", f"floor-{number}", str(tree))
    argv = [*_BWRAP, "--bind", str(tree), str(tree), "--chdir", str(tree)]
    pid, master = pty.fork()
    if pid == 0:
        os.execvp("bwrap", [*argv, "sh", "-c", "echo up; exec sleep 1000"])
    os.read(master, 100)
    took = (time.perf_counter() - start) * 1000
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    os.close(master)
    return took


def _tmux(folder: Path, cache: Path, number: int) -> float:
    tree, socket = folder / f"tmux-{number}", str(folder / "tmux.sock")
    mark = folder / f"up-{number}"
    start = time.perf_counter()
    run("git", "-C", str(cache), "worktree", "add", "-q", "-b", f"tmux-{number}", str(tree))
    command = f"touch {mark}; exec sleep 1000"
    run("tmux", "-S", socket, "new-session", "-d", "-s", f"s{number}", "-c", str(tree), command)
    while not mark.exists():
        time.sleep(0.0005)
    took = (time.perf_counter() - start) * 1000
    subprocess.run(["tmux", "-S", socket, "kill-session", "-t", f"s{number}"], check=True)
    return took
