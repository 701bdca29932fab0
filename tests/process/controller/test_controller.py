"""The controller as a process, against a real API server process and a real runner."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process.controller.conftest import Trap

CHATTY = """
apiVersion: agentsmesh.io/v1alpha1
kind: AgentClass
metadata: {name: chatty}
spec: {executable: sh, args: ["-c", "echo begun; sleep 1000"], prompt: {position: none}}
"""
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.timeout(120)


def eventually(true: Any, what: str, seconds: float = 20.0) -> Any:
    """Return what *true* returns once it is something, or fail saying *what* was awaited."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := true():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not in {seconds:g} s: {what}")


def gone(mesh: Any, name: str = "fix") -> bool:
    return mesh.get("agentpod", name, "{.metadata.uid}") == ""


def test_a_pod_lives_and_dies_within_nine_writes_and_none_while_nothing_changes(
    any_mesh: Any,
) -> None:
    """KOPF-02, CRD-03."""
    mesh = any_mesh
    mesh.base()
    mesh.runner()
    mesh.pod(agent="sleeper")
    mesh.kubectl("-n", "acme", "wait", "--for=condition=Ready", "agentpod/fix", "--timeout=20s")
    settled = len(mesh.door.writes(about="fix"))
    quiet = len(mesh.door.requests)
    time.sleep(8)  # nothing happens: that is what is measured
    assert len(mesh.door.writes(about="fix")) == settled
    idle = [r for r in mesh.door.requests[quiet:] if r[0] != "GET" and "/leases" not in r[1]]
    assert [r[:2] for r in idle if "organizations" not in r[1] and "runners" not in r[1]] == []
    mesh.kubectl("-n", "acme", "delete", "agentpod", "fix", "--timeout=20s")
    assert gone(mesh)
    total = 2 + len(mesh.door.writes(about="fix"))  # creation and deletion are the user's
    assert total <= 9, mesh.door.writes(about="fix")


def test_a_pod_that_ends_says_how(any_mesh: Any) -> None:
    mesh = any_mesh
    mesh.base()
    mesh.runner()
    mesh.pod(agent="quick")
    waited = ["wait", "--for=condition=Completed", "agentpod/fix", "--timeout=20s"]
    mesh.kubectl("-n", "acme", *waited)
    assert mesh.get("agentpod", "fix", "{.status.phase}") == "Succeeded"
    assert mesh.get("agentpod", "fix", "{.status.observed.exitCode}") == "0"
    assert len(mesh.door.writes(about="fix")) <= 4


def test_an_object_that_is_deleted_while_the_watch_is_broken_is_noticed(any_mesh: Any) -> None:
    """KOPF-03."""
    mesh = any_mesh
    mesh.base()
    mesh.pod("stays")
    mesh.pod("goes")
    pods = "{.status.usage.agentPods}"
    eventually(lambda: mesh.get("org", "acme", pods) == "2", "both pods are counted")
    mesh.door.blind = "agentpods"
    mesh.kubectl("-n", "acme", "delete", "agentpod", "goes")
    mesh.door.expire()
    eventually(lambda: mesh.get("org", "acme", pods) == "1", "the loss is noticed", seconds=60)


def test_an_api_server_that_is_away_costs_nobody_anything(mesh: Any) -> None:
    """KOPF-09: longer than the lease's deadline."""
    mesh.base()
    runner = mesh.runner()
    mesh.pod("before")
    ready = ["-n", "acme", "wait", "--for=condition=Ready", "--timeout=30s"]
    mesh.kubectl(*ready, "agentpod/before")
    connected = len(mesh.controller.said("runner connected"))
    mesh.door.close()
    time.sleep(16)
    assert mesh.controller.alive
    assert mesh.controller.said("no key is worked on until the lease is renewed")
    mesh.pod("after")
    mesh.door.shut = False
    mesh.kubectl(*ready, "agentpod/after")
    assert mesh.controller.alive
    assert runner.alive
    assert len(mesh.controller.said("runner connected")) == connected
    assert mesh.controller.said("runner disconnected") == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_controller_that_is_ended_and_started_again_starts_nothing_twice(
    mesh: Any, number: signal.Signals
) -> None:
    """KOPF-07 in its plainest form."""
    mesh.base()
    mesh.runner()
    mesh.pod()
    mesh.kubectl("-n", "acme", "wait", "--for=condition=Ready", "agentpod/fix", "--timeout=20s")
    before = (mesh.get("agentpod", "fix", "{.status.observed.pid}"), mesh.door.writes(about="fix"))
    mesh.restart(number)
    eventually(lambda: len(mesh.controller.said("runner connected")) >= 4, "it is connected again")
    mesh.pod("next")
    mesh.kubectl("-n", "acme", "wait", "--for=condition=Ready", "agentpod/next", "--timeout=20s")
    after = (mesh.get("agentpod", "fix", "{.status.observed.pid}"), mesh.door.writes(about="fix"))
    assert after == before
    assert psutil.pid_exists(int(before[0]))


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(True, id="after the API server has acknowledged it"),
        pytest.param(False, id="before the API server has got it"),
    ],
)
def test_a_controller_that_is_killed_at_the_placement_has_the_pod_started_exactly_once(
    any_mesh: Any, *, written: bool
) -> None:
    """KOPF-07: between the placement's write and the word to the runner."""
    mesh = any_mesh
    mesh.base()
    mesh.apply(CHATTY)
    mesh.runner()

    def places(method: str, path: str, body: bytes) -> bool:
        pod = "/agentpods/fix/status" in path
        return method == "PATCH" and pod and b'"placement"' in body

    trap = Trap(places, mesh.controller.pid, forward=written)
    mesh.door.trap = trap
    mesh.pod(agent="chatty")
    assert trap.sprung.wait(20)
    assert mesh.controller.end(signal.SIGKILL) == -signal.SIGKILL
    uid = mesh.get("agentpod", "fix", "{.metadata.uid}")
    assert mesh.get("agentpod", "fix", "{.status.placement.epoch}") == ("1" if written else "")
    home = mesh.folder / "r1" / "pods" / uid
    assert not home.exists(), "its runner was never told"
    mesh.restart()
    mesh.kubectl("-n", "acme", "wait", "--for=condition=Ready", "agentpod/fix", "--timeout=25s")
    assert mesh.get("agentpod", "fix", "{.status.placement.epoch}") == "1"
    eventually(lambda: b"begun" in _transcript(home), "the agent has said that it has begun")
    mesh.restart()  # and another one, that finds it running
    eventually(lambda: len(mesh.controller.said("runner connected")) >= 3, "connected again")
    mesh.pod("next")
    mesh.kubectl("-n", "acme", "wait", "--for=condition=Ready", "agentpod/next", "--timeout=30s")
    assert [run.name for run in (home / "runs").iterdir()] == ["1-0"]
    assert _transcript(home).count(b"begun") == 1


def _transcript(home: Path) -> bytes:
    files = sorted(file for file in (home / "transcript").rglob("*") if file.is_file())
    return b"".join(file.read_bytes() for file in files)


def test_a_pod_whose_runner_is_dead_is_released_by_annotation(mesh: Any) -> None:
    mesh.base()
    runner = mesh.runner()
    mesh.pod()
    mesh.kubectl("-n", "acme", "wait", "--for=condition=Ready", "agentpod/fix", "--timeout=20s")
    runner.end(signal.SIGKILL)
    mesh.kubectl("-n", "acme", "delete", "agentpod", "fix", "--wait=false")
    blocked = ["wait", "--for=condition=TeardownBlocked", "agentpod/fix", "--timeout=40s"]
    mesh.kubectl("-n", "acme", *blocked)
    uid = mesh.get("agentpod", "fix", "{.metadata.uid}")
    mesh.kubectl("-n", "acme", "annotate", "apod", "fix", f"agentsmesh.io/force-teardown={uid}")
    eventually(lambda: gone(mesh), "the pod is released")
    runner.start()  # and what it left goes as soon as its runner is back
    pods = mesh.folder / "r1" / "pods"
    eventually(lambda: not pods.exists() or not any(pods.iterdir()), "nothing is left of it")


def test_deleting_an_organization_takes_its_pods_and_its_namespace_with_it(mesh: Any) -> None:
    mesh.base()
    mesh.runner()
    mesh.pod()
    mesh.kubectl("-n", "acme", "wait", "--for=condition=Ready", "agentpod/fix", "--timeout=20s")
    pid = int(mesh.get("agentpod", "fix", "{.status.observed.pid}"))
    mesh.kubectl("delete", "org", "acme", "--timeout=40s")
    assert mesh.kubectl("get", "ns", "acme", "--ignore-not-found") == ""
    assert not psutil.pid_exists(pid)


def test_members_get_and_lose_their_rights(any_mesh: Any) -> None:
    """CRD-07."""
    mesh = any_mesh
    mesh.base()

    def may(user: str, *what: str) -> bool:
        argv = ["-n", "acme", "auth", "can-i", *what, f"--as={user}"]
        return mesh.kubectl(*argv, check=False).strip() == "yes"

    assert may("ada", "delete", "runners.agentsmesh.io")
    assert not may("bob", "get", "agentpods.agentsmesh.io")
    for verb in ("get", "list", "watch"):
        eventually(lambda v=verb: may("ada", v, "agentclasses.agentsmesh.io"), "ada sees classes")
        assert not may("bob", verb, "agentclasses.agentsmesh.io")
    assert may("ada", "get", "organizations.agentsmesh.io/acme")
    assert not may("ada", "get", "organizations.agentsmesh.io/other")
    for verb in ("update", "patch", "delete", "create"):
        assert not may("ada", verb, "organizations.agentsmesh.io/acme")
        assert not may("ada", verb, "agentclasses.agentsmesh.io/sleeper")
        for kind in ("agentpods", "runners", "runnerenrollments"):
            assert not may("ada", verb, f"{kind}.agentsmesh.io", "--subresource=status")
    members = [
        {"subject": {"kind": "User", "name": "ada"}, "role": "owner"},
        {"subject": {"kind": "User", "name": "bob"}, "role": "viewer"},
    ]
    patch = json.dumps({"spec": {"members": members}})
    mesh.kubectl("patch", "org", "acme", "--type=merge", "-p", patch)
    eventually(lambda: may("bob", "get", "agentpods.agentsmesh.io"), "bob may look")
    assert not may("bob", "create", "agentpods.agentsmesh.io", "--subresource=attach")
    patch = json.dumps({"spec": {"members": members[:1]}})
    mesh.kubectl("patch", "org", "acme", "--type=merge", "-p", patch)
    eventually(lambda: not may("bob", "get", "agentpods.agentsmesh.io"), "bob may not any more")
    eventually(lambda: not may("bob", "list", "agentclasses.agentsmesh.io"), "nowhere")
    mesh.kubectl("-n", "acme", "auth", "can-i", "list", "agentclasses.agentsmesh.io", "--as=ada")


def test_an_idle_controller_needs_less_than_150_megabytes(mesh: Any) -> None:
    mesh.base()
    used = psutil.Process(mesh.controller.pid).memory_info().rss
    assert used < 150 * 1024 * 1024


def test_a_controller_that_cannot_start_says_why_in_one_sentence(mesh: Any, tmp_path: Any) -> None:
    second = mesh._controller()
    second.log = tmp_path / "second.log"
    second.argv[second.argv.index("--kubeconfig") + 1] = str(tmp_path / "nothing")
    second.argv[second.argv.index("--data-dir") + 1] = str(tmp_path / "second")
    second.start()
    assert second.process is not None
    assert second.process.wait(20) == 1
    lines = [line for line in second.log.read_text().splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    assert lines[0].startswith("controller: the kubeconfig ")


def test_two_controllers_do_not_work_in_one_directory(mesh: Any, tmp_path: Any) -> None:
    second = mesh._controller()
    second.log = tmp_path / "second.log"
    second.start()
    assert second.process is not None
    assert second.process.wait(20) == 1
    assert "another controller works in" in second.log.read_text()
    assert mesh.controller.alive


def _documented_rights() -> list[dict[str, Any]]:
    """Return the rules of the table in docs/access.md that says what the controller needs."""
    text = (ROOT / "docs" / "access.md").read_text().partition("## The controller")[2]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [
        {
            "apiGroups": ["" if group == "(core)" else group.strip("`")],
            "resources": [name.strip("` ") for name in resources.split(",")],
            "verbs": [verb.strip("` ") for verb in verbs.split(",")],
        }
        for group, resources, verbs in rows[1:]
    ]


def test_the_controller_needs_no_more_rights_than_its_documentation_says(any_mesh: Any) -> None:
    mesh = any_mesh
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": "enough"}}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "enough"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "enough"},
        "subjects": [{"kind": "ServiceAccount", "name": "controller", "namespace": "default"}],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    account["metadata"] = {"name": "controller", "namespace": "default"}  # type: ignore[assignment]
    for manifest in (account, role | {"rules": _documented_rights()}, binding):
        mesh.apply(json.dumps(manifest))
    token = mesh.kubectl("-n", "default", "create", "token", "controller").strip()
    mesh.controller.end(signal.SIGTERM)
    config = mesh.kubeconfig.read_text()
    mesh.kubeconfig.write_text(config.replace(mesh.server.token, token))
    mesh.start()
    mesh.base()
    mesh.runner()
    mesh.pod()
    mesh.kubectl("-n", "acme", "wait", "--for=condition=Ready", "agentpod/fix", "--timeout=20s")
    mesh.kubectl("-n", "acme", "delete", "agentpod", "fix", "--timeout=20s")
    mesh.kubectl("delete", "org", "acme", "--wait=false")
    what = "jsonpath={.metadata.deletionTimestamp}/{.metadata.name}"
    look = ("get", "ns", "acme", "--ignore-not-found", "-o", what)
    eventually(lambda: not mesh.kubectl(*look).startswith("/"), "it is gone, or on its way")
    lines = mesh.controller.log.read_text().splitlines()
    assert [line for line in lines if "orbidden" in line] == []
