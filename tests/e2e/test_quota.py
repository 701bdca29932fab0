"""An organization's quota on a laptop: kubectl, the plan, git and tickets see the same one."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import PROGRAM, Mesh, agent_pod, run, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

ORG = "crowd"
COUNT = "count/agentpods.agentsmesh.io"
GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.invalid")


def named(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": ORG}
    return {"apiVersion": "agentsmesh.io/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


class Crowd:
    """An organization that may have two pods, and a branch that asks for four."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.bare, self.work = mesh.folder / "git" / "crowd.git", mesh.folder / "crowd"
        self.allow(2)
        mesh.kubectl("wait", f"org/{ORG}", "--for=condition=Ready", "--timeout=30s")
        until(lambda: self.used() == "0/2", what="the quota is counted")
        run("git", "init", "-q", "--bare", "-b", "main", str(self.bare))
        run("git", "init", "-q", "-b", "main", str(self.work))
        run("git", "remote", "add", "origin", str(self.bare), cwd=self.work)

    def allow(self, pods: int) -> None:
        members = [{"subject": {"kind": "User", "name": "ada"}, "role": "owner"}]
        home = named("Organization", ORG, members=members, quota={"agentPods": pods})
        del home["metadata"]["namespace"]
        self.mesh.apply(home)

    def get(self, *what: str) -> Any:
        return json.loads(self.mesh.kubectl("get", "-n", ORG, "-o", "json", *what))

    def used(self) -> str:
        """Return what `kubectl describe quota` would show, as used/hard."""
        items = self.get("resourcequota", "--ignore-not-found", "--all-namespaces")["items"]
        found = [each["status"] for each in items if each["metadata"]["namespace"] == ORG]
        return "".join(f"{s['used'][COUNT]}/{s['hard'][COUNT]}" for s in found if s.get("used"))

    def pods(self) -> int:
        return len(self.get("agentpods")["items"])

    def commit(self, *names: str) -> None:
        for name in names:
            body = json.dumps(named("AgentPod", name, agentClassName="idle"))
            (self.work / f"{name}.yaml").write_text(body, encoding="utf-8")
        run(*GIT, "add", "-A", cwd=self.work)
        run(*GIT, "commit", "-q", "-m", "Pods", cwd=self.work)

    def plan(self) -> dict[str, Any]:
        where = ["--kubeconfig", str(self.mesh.kubeconfig), "-n", ORG]
        argv = [PROGRAM, *where, "plan", "--source", str(self.work), "-o", "json"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode in {0, 1}, done.stderr
        return dict(json.loads(done.stdout))

    def errors(self) -> list[str]:
        status = self.get("gitsource", "crowd").get("status", {})
        return [each["reason"] for each in status.get("errors", [])]


@pytest.fixture
def crowd(mesh: Mesh) -> Iterator[Crowd]:
    made = Crowd(mesh)
    yield made
    mesh.kubectl("delete", "org", ORG, "--timeout=90s")


def test_a_quota_means_the_same_for_kubectl_the_plan_git_and_tickets(crowd: Crowd) -> None:
    mesh = crowd.mesh
    crowd.commit("a", "b", "c", "d")
    run("git", "push", "-q", "origin", "main", cwd=crowd.work)
    mesh.apply(
        named("Repository", "crowd", url=f"file://{crowd.bare}"),
        named("GitSource", "crowd", repositoryRef={"name": "crowd"}, interval="1h"),
    )
    until(lambda: crowd.errors() == ["QuotaExceeded"] * 2, what="two of four have no room")
    assert crowd.pods() == 2
    until(lambda: crowd.used() == "2/2", what="the quota is used up")
    assert f"{COUNT}  2     2" in mesh.kubectl("describe", "quota", "-n", ORG)

    crowd.commit("e")
    refused = [each for each in crowd.plan()["resources"] if each["action"] == "create"]
    assert {each["refused"]["reason"] for each in refused} == {"QuotaExceeded"}
    assert all(each["refused"]["certain"] for each in refused)
    assert len(refused) == 3

    by_hand = {**agent_pod("mine", "idle"), "metadata": {"name": "mine", "namespace": ORG}}
    for dry in ("none", "server"):
        said = mesh.refused("create", f"--dry-run={dry}", "-f", "-", stdin=json.dumps(by_hand))
        assert "exceeded quota: agentsmesh-quota, requested: " in said
        assert f"{COUNT}=1, used: {COUNT}=2, limited: {COUNT}=2" in said

    auto = {"agentClassName": "idle"}
    mesh.apply(named("Ticket", "tk-auto", title="Do it", state="todo", autoRun=auto))

    def waits() -> str:
        conditions = crowd.get("ticket", "tk-auto").get("status", {}).get("conditions", [])
        return "".join(c["reason"] for c in conditions if c["type"] == "AutoRun")

    until(lambda: waits() == "QuotaExceeded", what="no pod is started for the ticket")
    assert crowd.pods() == 2

    mesh.kubectl("delete", "ticket", "tk-auto", "-n", ORG)
    crowd.allow(5)  # nobody pushes, and nobody asks
    until(lambda: crowd.pods() == 4, seconds=90, what="what had no room is made")
    until(lambda: crowd.errors() == [], what="nothing is wrong any more")
    until(lambda: crowd.used() == "4/5", what="it is counted")
    assert not crowd.plan()["refused"]
