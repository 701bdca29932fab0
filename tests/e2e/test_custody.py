"""Pods stay within their limits, hurt no other, and leave nothing behind."""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.harness import Mesh, agent_class, agent_pod, processes_of, until

pytestmark = pytest.mark.timeout(180)

BATCH = 20
HUNGRY = "import time; held = bytearray(400 << 20); time.sleep(300)"
BEAT = 'while :; do echo >> "$HOME/beat"; sleep 0.1; done'
BOMB = """
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(1)
"""
CROWD = """
import os, time
for _ in range(64):
    os.fork() or time.sleep(300)
"""


@pytest.fixture(scope="module", autouse=True)
def classes(_mesh: Mesh) -> None:
    _mesh.apply(
        agent_class("hungry", f"python3 -c '{HUNGRY}' & sleep 300"),
        agent_class("writer", 'head -c 64M /dev/zero > "$HOME/big"; sleep 300'),
        agent_class("beating", BEAT),
        agent_class("bomb", f"exec python3 -c '{BOMB}'"),
        agent_class("crowded", f"exec python3 -c '{CROWD}'"),
        agent_class("counted", "ulimit -n; ulimit -c; exec sleep 300"),
        agent_class(
            "untidy",
            "echo x > /dev/shm/$AGENTSMESH_POD; echo x > /tmp/$AGENTSMESH_POD; "
            "env -i setsid -f sh -c 'trap \"\" TERM HUP; sleep 300'; exec sleep 300",
        ),
    )


@pytest.fixture
def neighbour(mesh: Mesh) -> Iterator[Path]:
    """Give the file to which a pod beside the one under test adds ten lines a second."""
    mesh.apply(agent_pod("neighbour", "beating"))
    uid = mesh.ready("neighbour")["metadata"]["uid"]
    beat = next(mesh.data.rglob(f"pods/{uid}/home")) / "beat"
    until(beat.exists, what="the neighbour's first sign")
    yield beat
    mesh.delete("neighbour")


def goes_on(beat: Path) -> None:
    size = beat.stat().st_size
    until(lambda: beat.stat().st_size > size + 3, what="the neighbour goes on")


def limited(name: str, agent: str, **limits: Any) -> dict[str, Any]:
    return agent_pod(name, agent, resources={"limits": limits})


def ended(mesh: Mesh, name: str) -> dict[str, Any]:
    return dict(mesh.phase(name, "Failed", seconds=60)["status"]["observed"])


def test_a_pod_over_its_memory_ends_whole_and_says_so(mesh: Mesh, neighbour: Path) -> None:
    mesh.apply(limited("hungry", "hungry", memory="100Mi"))
    observed = ended(mesh, "hungry")
    assert observed["reason"] == "OutOfMemory"
    assert "100 MiB of memory" in observed["message"]
    uid = mesh.get("hungry")["metadata"]["uid"]
    assert processes_of(uid) == []  # also the shell, which needed nothing
    goes_on(neighbour)
    mesh.delete("hungry")


def test_a_pod_over_its_disk_ends_and_says_what_was_used_where(mesh: Mesh, neighbour: Path) -> None:
    mesh.apply(limited("writer", "writer", disk="32Mi"))
    observed = ended(mesh, "writer")
    assert observed["reason"] == "OutOfDisk"
    assert "its limit is 32 MiB" in observed["message"]
    used = re.search(r"home ([0-9.]+) MiB", observed["message"])
    assert used is not None  # it may be ended while it writes
    assert 31 < float(used[1]) < 65
    assert mesh.condition("writer", "ResourcesLimited")["reason"] == "Watched"
    goes_on(neighbour)
    mesh.delete("writer")


def test_a_fork_bomb_blows_up_only_its_own_pod(mesh: Mesh, neighbour: Path) -> None:
    mesh.apply(limited("bomb", "bomb", pids=64))
    uid = mesh.ready("bomb")["metadata"]["uid"]
    until(lambda: len(processes_of(uid)) > 20, what="it forks")
    goes_on(neighbour)
    mesh.delete("bomb")
    assert processes_of(uid) == []
    goes_on(neighbour)


def test_a_pod_that_fails_for_want_of_processes_says_so(mesh: Mesh) -> None:
    mesh.apply(limited("crowd", "crowded", pids=24))
    observed = ended(mesh, "crowd")
    assert observed["reason"] == "Exited"
    keeper = mesh.get("local", "runner")["status"]["limits"]["pids"]
    said = "limit of 24 processes and threads" in observed["message"]
    assert said == keeper.startswith("cgroup"), observed["message"]
    mesh.delete("crowd")


def test_what_keeps_each_limit_is_told(mesh: Mesh) -> None:
    mesh.apply(limited("counted", "counted", openFiles=77, pids=50, cpu="250m"))
    status = until(
        lambda: (
            (found := mesh.ready("counted")["status"]).get("sandbox", {}).get("limits") and found
        ),
        what="limits are told",
    )
    promised = mesh.get("local", "runner")["status"]["limits"]
    assert set(promised) == {"memory", "cpu", "pids", "openFiles", "disk"}
    assert status["sandbox"]["limits"]["openFiles"] == "rlimit"
    asked = {"openFiles", "pids", "cpu"}
    assert set(status["sandbox"]["limits"]) == asked
    held = "none" not in status["sandbox"]["limits"].values()
    condition = mesh.condition("counted", "ResourcesLimited")
    assert condition["status"] == str(held)
    until(lambda: mesh.logs("counted").split()[:2] == ["77", "0"], what="its limits inside")
    mesh.delete("counted")


def test_a_pod_without_limits_is_not_said_to_have_any(mesh: Mesh) -> None:
    mesh.apply(agent_pod("free", "idle"))
    assert mesh.ready("free")["status"]["sandbox"].get("limits", {}) == {}
    assert mesh.condition("free", "ResourcesLimited") == {}
    mesh.delete("free")


@pytest.mark.faults
@pytest.mark.timeout(420)
def test_a_hundred_pods_leave_nothing_behind(mesh: Mesh) -> None:
    cycle(mesh, range(2))  # what is made once is made
    before = Stock(mesh)
    for batch in range(5):
        cycle(mesh, range(batch * BATCH, (batch + 1) * BATCH))
    deadline = time.monotonic() + 60
    while more := Stock(mesh).more_than(before):
        assert time.monotonic() < deadline, f"there was and is: {more}"
        time.sleep(0.5)


def cycle(mesh: Mesh, numbers: range) -> None:
    """Create pods with worktrees that leave processes behind, and delete them."""
    names = [f"untidy-{number}" for number in numbers]
    mesh.apply(*(agent_pod(each, "untidy", repositoryRef={"name": "origin"}) for each in names))
    pods = [f"agentpod/{name}" for name in names]
    mesh.kubectl("wait", "-n", "default", *pods, "--for=condition=Ready", "--timeout=60s")
    mesh.kubectl("delete", "-n", "default", *pods, "--timeout=60s")


class Stock:
    """What there is of everything that a pod could leave behind."""

    def __init__(self, mesh: Mesh) -> None:
        runner = psutil.Process(mesh.pid("runner"))
        data = mesh.data / "runner"
        zygotes = [each for each in runner.children() if _is_zygote(each)]
        roots = json.loads((data / "cgroups.json").read_text(encoding="utf-8"))
        groups = [path for root in roots for path in Path(root).iterdir() if path.is_dir()]
        mounts = Path(f"/proc/{runner.pid}/mountinfo").read_text(encoding="utf-8")
        uids = {path.name for path in (data / "pods").iterdir()}
        branches = list(data.glob("caches/*/repo.git/refs/heads/**/*"))
        self.counts: dict[str, int] = {
            "processes in its folders": sum(_is_below(path, data) for path in _processes()),
            "descriptors of the runner": runner.num_fds(),
            "descriptors of the zygote": sum(each.num_fds() for each in zygotes),
            "descriptors of the controller": psutil.Process(mesh.pid("controller")).num_fds(),
            "threads of the runner": runner.num_threads(),
            "pods": len(uids),
            "trash": len(list((data / "trash").iterdir())),
            "files": sum(len(files) for _, _, files in os.walk(data)),
            "groups": len(groups),
            "mounts": sum(str(mesh.data) in line for line in mounts.splitlines()),
            "branches": len(branches),
            "shared memory": len(list(Path("/dev/shm").glob("untidy-*"))),
            "temporary files": len(list(Path("/tmp").glob("untidy-*"))),
            "sockets": sum(str(data) in line for line in _unix_sockets()),
        }

    def more_than(self, before: "Stock") -> dict[str, tuple[int, int]]:
        """Return what there is more of, but for a thread or two and their descriptors."""
        return {
            name: (before.counts[name], count)
            for name, count in self.counts.items()
            if count > before.counts[name] + (8 if name.startswith(("desc", "thread")) else 0)
        }


def _processes() -> list[Path]:
    return [path for path in Path("/proc").iterdir() if path.name.isdigit()]


def _is_zygote(process: psutil.Process) -> bool:
    try:
        return str(process.name()) == "mesh-zygote"
    except psutil.NoSuchProcess:
        return False  # one that git was, or the like


def _is_below(process: Path, data: Path) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(data)
    except OSError:
        return False  # it has ended


def _unix_sockets() -> list[str]:
    return Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()
