"""Stopped, frozen, started again: by a user's words, over kills of every part."""

import json
import subprocess
from typing import Any

import pytest

from tests.e2e.harness import (
    PROGRAM,
    Mesh,
    agent_class,
    agent_pod,
    pod_dir,
    processes_of,
    until,
)

pytestmark = pytest.mark.timeout(300)

_PARTS = ("apiserver", "controller", "runner")
_SCRIPT = """
trap 'echo saved >> "$AGENTSMESH_HOME/saved"; exit 0' TERM
echo "$*" >> "$AGENTSMESH_HOME/starts"
echo "$*" >> "$AGENTSMESH_WORKTREE/work"
[ -e "$AGENTSMESH_HOME/fail" ] && { rm -f "$AGENTSMESH_HOME/fail"; exit 3; }
while :; do echo . >> "$AGENTSMESH_HOME/beats"; sleep 0.05; done
"""


def _want(mesh: Mesh, name: str, **spec: Any) -> None:
    patch = json.dumps({"spec": spec})
    mesh.kubectl("patch", "agentpod", name, "-n", "default", "--type=merge", "-p", patch)


class Pod:
    """A pod that notes how it is started and that it is alive."""

    def __init__(self, mesh: Mesh, name: str, **spec: Any) -> None:
        self.mesh, self.name = mesh, name
        agent = agent_class("enduring", _SCRIPT, prompt="argument")
        agent["spec"]["resume"] = {"args": ["--again"]}
        repository = {"name": "origin", "worktree": {"branch": name}}
        spec = {"prompt": "do it", "repositoryRef": repository, **spec}
        spec.setdefault("terminationGracePeriodSeconds", 20)
        mesh.apply(agent, agent_pod(name, "enduring", **spec))
        self.uid = mesh.get(name)["metadata"]["uid"]

    def want(self, **spec: Any) -> None:
        _want(self.mesh, self.name, **spec)

    def note(self, name: str) -> str:
        file = pod_dir(self.mesh, self.uid) / "home" / name
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def starts(self, *expected: str) -> None:
        lines = "".join(f"{line}\n" for line in expected)
        until(lambda: self.note("starts") == lines, seconds=60, what=f"{self.name}: {expected}")

    def beats(self) -> None:
        """See that it is alive."""
        before = len(self.note("beats"))
        until(lambda: len(self.note("beats")) > before, seconds=60, what=f"{self.name} lives")

    def says(self, kind: str, status: str, reason: str = "") -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            said = self.mesh.condition(self.name, kind)
            right = said.get("status") == status and reason in {"", said.get("reason")}
            return said if right else None

        return dict(until(found, seconds=90, what=f"{self.name}: {kind} {status} {reason}"))

    def is_gone(self) -> None:
        self.mesh.kubectl("delete", "agentpod", self.name, "-n", "default", "--wait=false")
        until(lambda: not self.mesh.exists(self.name), seconds=60, what="the pod has gone")
        assert processes_of(self.uid) == []
        here = f"*/pods/{self.uid}"  # no search: other directories vanish under its hands
        until(lambda: not [*self.mesh.data.glob(here)], what="its directory has gone")


def test_a_stopped_pod_goes_on_in_its_worktree_as_its_class_resumes(mesh: Mesh) -> None:
    pod = Pod(mesh, "goes-on")
    mesh.ready("goes-on")
    pod.starts("do it")
    tree = mesh.get("goes-on")["status"]["worktree"]["branch"]
    pod.want(desiredState="Stopped")
    assert "SIGTERM" in pod.says("Ready", "False", "Stopped")["message"]
    pod.says("Stopped", "True")
    assert pod.note("saved") == "saved\n"
    assert processes_of(pod.uid) == []
    pod.want(desiredState="Running")
    mesh.ready("goes-on")
    pod.starts("do it", "--again")
    status = mesh.get("goes-on")["status"]
    assert status["observed"]["restarts"] == 1
    assert (status["worktree"]["branch"], status["placement"]["epoch"]) == (tree, 1)
    work = next(pod_dir(mesh, pod.uid).rglob("work"))
    assert work.read_text(encoding="utf-8") == "do it\n--again\n"
    pod.is_gone()


def test_a_failure_is_restarted_without_its_prompt(mesh: Mesh) -> None:
    pod = Pod(mesh, "stumbles", restartPolicy="OnFailure", desiredState="Stopped")
    pod.says("Ready", "False", "Stopped")
    pod.want(desiredState="Running")
    mesh.ready("stumbles")
    pod.starts("do it")
    (pod_dir(mesh, pod.uid) / "home" / "fail").touch()
    pod.want(desiredState="Stopped")
    pod.says("Stopped", "True")
    pod.want(desiredState="Running")  # it fails once, and is restarted by its policy
    pod.starts("do it", "--again", "--again")
    mesh.ready("stumbles")
    pod.is_gone()


def test_a_suspended_pod_does_nothing_until_it_goes_on(mesh: Mesh) -> None:
    pod = Pod(mesh, "suspended")
    mesh.ready("suspended")
    pod.beats()
    pod.want(suspend=True)
    pod.says("Suspended", "True")
    pod.says("Ready", "False", "Suspended")
    assert mesh.get("suspended")["status"]["phase"] == "Running"
    still = pod.note("beats")
    assert mesh.get("suspended")["status"]["observed"]["pid"] in processes_of(pod.uid)
    assert pod.note("beats") == still
    pod.want(suspend=False)
    mesh.ready("suspended")
    pod.beats()
    pod.starts("do it")
    pod.want(suspend=True)
    pod.says("Suspended", "True")
    pod.want(desiredState="Stopped", suspend=False)
    pod.says("Stopped", "True")
    assert pod.note("saved") == "saved\n"  # it heard that it is to end
    pod.is_gone()


def test_a_frozen_pod_can_be_deleted(mesh: Mesh) -> None:
    pod = Pod(mesh, "frozen-gone")
    mesh.ready("frozen-gone")
    pod.want(suspend=True)
    pod.says("Suspended", "True")
    pod.is_gone()


def test_who_looks_at_a_suspended_pod_is_told_so(mesh: Mesh) -> None:
    pod = Pod(mesh, "looked-at")
    mesh.ready("looked-at")
    pod.want(suspend=True)
    pod.says("Suspended", "True")
    where = ["looked-at", "-n", "default", "--kubeconfig", str(mesh.kubeconfig)]
    for words in (["attach"], ["attach", "--read-only"], ["record", "-o", "-"]):
        viewer = subprocess.Popen(
            [PROGRAM, *words, *where],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        line = viewer.stderr.readline() if viewer.stderr else b""
        assert line.startswith(b"[agentsmesh] looked-at is suspended: it is frozen"), line
        viewer.terminate()
        viewer.communicate(timeout=30)
    pod.is_gone()


@pytest.mark.faults  # long: ten seconds are the least that can be asked for
def test_a_pod_that_is_idle_for_too_long_is_stopped_and_can_go_on(mesh: Mesh) -> None:
    agent = agent_class("sits", "printf 'ready> '; read line; exec sleep 100000")
    agent["spec"]["activity"] = {"idle": ["^ready>"]}
    mesh.apply(agent, agent_pod("sits", "sits", idleTimeoutSeconds=10))
    uid = mesh.ready("sits")["metadata"]["uid"]
    until(lambda: mesh.condition("sits", "Ready").get("reason") == "IdleTimeout", seconds=90)
    assert mesh.condition("sits", "Stopped") == {}  # nobody wished it
    assert processes_of(uid) == []
    _want(mesh, "sits", desiredState="Stopped")
    until(lambda: mesh.condition("sits", "Stopped").get("status") == "True", what="it is Stopped")
    _want(mesh, "sits", desiredState="Running")
    assert mesh.ready("sits", seconds=60)["status"]["observed"]["restarts"] == 1
    mesh.delete("sits")


def _kill(mesh: Mesh, victims: tuple[str, ...]) -> None:
    if len(victims) == len(_PARTS):
        mesh.kill_all()
        mesh.up()
    else:
        mesh.replace(*victims)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("victims", [_PARTS[:2], _PARTS[2:], _PARTS], ids="-".join)
def test_killed_at_every_step_a_pod_stops_freezes_and_goes_on(
    mesh: Mesh, victims: tuple[str, ...]
) -> None:
    pod = Pod(mesh, f"wishes-{'-'.join(victims)}")
    mesh.ready(pod.name, seconds=60)
    pod.want(suspend=True)
    _kill(mesh, victims)  # freezing, or just before
    pod.says("Suspended", "True")
    still = pod.note("beats")
    _kill(mesh, victims)
    pod.says("RunnerReachable", "True")
    assert pod.note("beats") == still
    pod.want(suspend=False)
    _kill(mesh, victims)  # thawing, or just before
    pod.beats()
    pod.want(desiredState="Stopped")
    _kill(mesh, victims)  # stopping, or just before
    pod.says("Stopped", "True")
    assert processes_of(pod.uid) == []
    pod.want(desiredState="Running")
    _kill(mesh, victims)  # given its place, preparing, starting, or just before
    pod.starts("do it", "--again")
    pod.beats()
    pod.says("Ready", "True")
    pod.starts("do it", "--again")
    pod.is_gone()
