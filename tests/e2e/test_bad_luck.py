"""Whatever is killed, what was acknowledged stays, and agents never stop."""

import random
import re

import pytest

from tests.e2e.harness import Mesh, agent_class, agent_pod, pod_dir, processes_of, until

pytestmark = pytest.mark.timeout(240)

_COUNTER = """
i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo "line $i"; done; echo the-end; exec sleep 100000
"""


def _pid(mesh: Mesh, name: str) -> int:
    return int(mesh.get(name)["status"]["observed"]["pid"])


def _start_time(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rsplit(")", 1)[1].split()[19]


def test_killing_the_runner_loses_no_line_and_stops_no_agent(mesh: Mesh):
    mesh.apply(agent_class("counter", _COUNTER))
    mesh.apply(agent_pod("counts", "counter"))
    mesh.ready("counts")
    pid = _pid(mesh, "counts")
    born = _start_time(pid)
    for _ in range(3):
        mesh.replace("runner")
    until(
        lambda: "the-end" in mesh.logs_when_back("counts"), seconds=60, what="all lines are there"
    )
    numbers = [int(n) for n in re.findall(r"line (\d+)\r?\n", mesh.logs("counts"))]
    assert numbers == list(range(1, 100001))
    assert _start_time(pid) == born
    assert _pid(mesh, "counts") == pid
    mesh.delete("counts")


@pytest.mark.faults
@pytest.mark.parametrize("part", ["apiserver", "controller", "runner"])
def test_killing_a_part_while_pods_start_starts_each_once(mesh: Mesh, part: str):
    script = 'echo started >> "$AGENTSMESH_HOME/starts"; echo up; exec sleep 100000'
    mesh.apply(agent_class("once", script))
    chance = random.Random(part)  # noqa: S311 - which steps are hit, the same every time
    names = [f"once-{part}-{number}" for number in range(4)]
    for name in names:
        mesh.apply(agent_pod(name, "once"))
        if chance.random() < 0.5:
            mesh.replace(part)
    for name in names:
        pod = mesh.phase(name, "Running", seconds=60)
        uid = pod["metadata"]["uid"]
        starts = pod_dir(mesh, uid) / "home" / "starts"
        until(lambda starts=starts: starts.exists(), what=f"the agent of {name} has begun")
        until(lambda name=name: "up" in mesh.logs_when_back(name), what=f"{name} has printed")
        assert starts.read_text(encoding="utf-8") == "started\n"
    for name in names:
        mesh.delete(name)


def test_killing_everything_and_starting_again_keeps_agents_and_objects(mesh: Mesh):
    mesh.apply(agent_pod("survivor", "idle"))
    uid = mesh.ready("survivor")["metadata"]["uid"]
    pid = _pid(mesh, "survivor")
    born = _start_time(pid)
    mesh.kill_all()
    assert _start_time(pid) == born
    mesh.up()
    pod = mesh.ready("survivor", 60)
    assert pod["metadata"]["uid"] == uid
    assert _pid(mesh, "survivor") == pid
    assert _start_time(pid) == born
    mesh.delete("survivor")
    until(lambda: not processes_of(uid))


def test_a_pod_deleted_while_the_runner_is_down_goes_when_it_is_back(mesh: Mesh):
    mesh.apply(agent_pod("gone-meanwhile", "idle"))
    uid = mesh.ready("gone-meanwhile")["metadata"]["uid"]
    mesh.kill("runner")
    mesh.kubectl("delete", "agentpod", "gone-meanwhile", "-n", "default", "--wait=false")
    until(lambda: not mesh.exists("gone-meanwhile"), seconds=60, what="the pod has gone")
    until(lambda: not processes_of(uid), what="its processes have gone")
