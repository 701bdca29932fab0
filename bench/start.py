"""From apply to a running agent, cold, against the floor and against tmux with a worktree by hand.

The floor is the same ``git worktree add`` of the same repository, the same command line of the
sandbox and a pseudo-terminal, made by a script without us. Every clock stops when the agent's first
output is there; ours not before a watch has seen the pod Running.
"""

import os
import pty
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.api import Api
from bench.mesh import Mesh, make_origin, mesh, pod, run, shell_class
from bench.report import Row, percentile
from bench.stages import STAGES, Moments, stages
from runner.drivers.sandbox.prepare import prepare
from runner.drivers.sandbox.probe import probe
from runner.drivers.sandbox.values import Isolation, Prepared, SandboxRequest

ROUNDS = 30
PODS = "/apis/agentsmesh.io/v1alpha1/namespaces/default/agentpods"
_AGENT = "echo up; exec sleep 100000"
_NOTE = f"{ROUNDS} rounds, in turns"


def measure() -> list[Row]:
    """Return p50 and p99 of ours beside the floor's and tmux's, and where our time goes."""
    times: dict[str, list[float]] = {}
    moments: list[Moments] = []
    with tempfile.TemporaryDirectory() as text, mesh() as ours:
        ours.apply(shell_class("starter", _AGENT))
        folder = Path(text)
        cache = make_origin(folder / "git")
        _ours(ours, "first")  # the first clone of the repository is not what is measured
        takes: dict[str, Callable[[int], float]] = {
            "floor": lambda number: _floor(folder, cache, number)
        }
        if shutil.which("tmux"):
            takes["tmux"] = lambda number: _tmux(folder, cache, number)
        for number in range(ROUNDS):
            moments.append(_ours(ours, f"start-{number}"))
            times.setdefault("ours", []).append(moments[-1].milliseconds)
            for name, take in takes.items():
                times.setdefault(name, []).append(take(number))
        parts = [stages(ours, each) for each in moments]
        if "tmux" in takes:
            subprocess.run(["tmux", "-S", str(folder / "tmux.sock"), "kill-server"], check=False)
    return [*_totals(times), *_parts(parts)]


def _totals(times: dict[str, list[float]]) -> list[Row]:
    rows = []
    mine = {percent: percentile(times["ours"], percent) for percent in (50, 99)}
    for other in (name for name in ("floor", "tmux") if name in times):
        for percent in (50, 99):
            theirs = percentile(times[other], percent)
            measure = f"apply → running, p{percent}"
            rows.append(Row(measure, "ms", mine[percent], other, theirs, "", _NOTE))
    for percent, goal in ((50, 100.0), (99, 300.0)):
        added = mine[percent] - percentile(times["floor"], 50)  # not excused by a slow floor
        measure = f"added to the floor, p{percent}"
        rows.append(Row(measure, "ms", added, "goal", goal, f"≤ {goal:.0f} ms"))
    return rows


def _parts(parts: list[dict[str, float]]) -> list[Row]:
    """Return the median of each stage beside the sum of all."""
    known = [each for each in parts if each]
    medians = {name: percentile([each[name] for each in known], 50) for name in STAGES if known}
    total = sum(medians.values())
    return [
        Row(f"  of it: {name}", "ms", value, "sum of parts", total)
        for name, value in medians.items()
    ]


def _ours(ours: Mesh, name: str) -> Moments:
    api = Api(ours.kubeconfig)
    version = api.call("GET", f"{PODS}?limit=1")["metadata"]["resourceVersion"]
    with api.watch(f"{PODS}?watch=1&resourceVersion={version}&timeoutSeconds=60") as events:
        moments = Moments(name, time.time())
        api.call("POST", PODS, pod(name, "starter"))
        moments.created = time.time()
        for _, event in events:
            item = event["object"]
            if item["metadata"]["name"] != name:
                continue
            phase = item.get("status", {}).get("phase")
            if phase == "Running":
                moments.seen = time.time()
                moments.uid = item["metadata"]["uid"]
                moments.output = _first_output(ours, moments.uid)
                break
            if phase == "Failed":
                raise RuntimeError(f"{name}: {item['status']}")
        else:
            raise RuntimeError(f"{name} did not run within 60 s")
    api.call("DELETE", f"{PODS}/{name}")
    _wait_gone(api, name)
    return moments


def _first_output(ours: Mesh, uid: str) -> float:
    """Return when the agent printed its only line: when its transcript was written to."""
    transcript = ours.data / "runner" / "pods" / uid / "transcript"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for file in transcript.glob("*.log"):
            found = file.stat()
            if found.st_size:
                return found.st_mtime
        time.sleep(0.001)
    raise RuntimeError(f"the agent of {uid} printed nothing within 10 s")


def _wait_gone(api: Api, name: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        names = [item["metadata"]["name"] for item in api.call("GET", PODS)["items"]]
        if name not in names:
            return
        time.sleep(0.02)
    raise RuntimeError(f"{name} was not removed within 30 s")


def _floor(folder: Path, cache: Path, number: int) -> float:
    tree, home = folder / f"floor-{number}", folder / f"home-{number}"
    for path in (tree, home, home / "tmp", home / "private"):
        path.mkdir()
    made = _sandboxed(tree, home, cache)
    tree.rmdir()
    start = time.perf_counter()
    run("git", "-C", str(cache), "worktree", "add", "-q", "-b", f"floor-{number}", str(tree))
    pid, master = pty.fork()
    if pid == 0:
        for wanted, content in made.contents.items():
            fd = os.memfd_create("contents", 0)
            os.write(fd, content)
            os.lseek(fd, 0, os.SEEK_SET)
            os.dup2(fd, wanted)
        os.execve(made.argv[0], made.argv, dict(made.environment))  # noqa: S606  no shell
    os.read(master, 100)
    took = (time.perf_counter() - start) * 1000
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(master)
    return took


def _sandboxed(tree: Path, home: Path, cache: Path) -> Prepared:
    """Return what the runner would start; making it takes no part in the time."""
    capabilities = probe()
    if capabilities.bubblewrap is None:
        raise RuntimeError(f"there is no sandbox to compare with: {capabilities.why_not}")
    request = SandboxRequest(
        argv=("/bin/sh", "-c", _AGENT),
        cwd=tree,
        home=home,
        tmp=home / "tmp",
        private=home / "private",
        writable=(tree, cache),
    )
    made = prepare(request, capabilities)
    if made.isolation is not Isolation.BUBBLEWRAP:
        raise RuntimeError("the floor has another sandbox")
    return made


def _tmux(folder: Path, cache: Path, number: int) -> float:
    tree, socket = folder / f"tmux-{number}", str(folder / "tmux.sock")
    mark = folder / f"up-{number}"
    start = time.perf_counter()
    run("git", "-C", str(cache), "worktree", "add", "-q", "-b", f"tmux-{number}", str(tree))
    command = f"touch {mark}; exec sleep 100000"
    run("tmux", "-S", socket, "new-session", "-d", "-s", f"s{number}", "-c", str(tree), command)
    while not mark.exists():
        time.sleep(0.0005)
    took = (time.perf_counter() - start) * 1000
    run("tmux", "-S", socket, "new-session", "-d", "-s", f"keep{number}", "sleep 100000")
    subprocess.run(["tmux", "-S", socket, "kill-session", "-t", f"s{number}"], check=True)
    return took
