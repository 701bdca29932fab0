"""A commit before and after its push: planned, told of by webhook, asked for by command."""

import hashlib
import hmac
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import PROGRAM, Mesh, agent_class, repository, run, until

KEY = "s3cr3t-of-the-hook"


class Team:
    """A person's clone, and the mesh that reads what is pushed from it once in an hour."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.work = mesh.folder / "git" / "plan-work"
        self.bare = mesh.folder / "git" / "plan.git"
        run("git", "init", "-q", "-b", "main", "--bare", str(self.bare))
        run("git", "init", "-q", "-b", "main", str(self.work))
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.invalid")
        self.git("remote", "add", "origin", str(self.bare))

    def git(self, *arguments: str) -> str:
        return run("git", "-C", str(self.work), *arguments).strip()

    def commit(self, files: dict[str, str]) -> str:
        for path, text in files.items():
            file = self.work / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "-q", "-m", "Change")
        return self.git("rev-parse", "HEAD")

    def push(self) -> None:
        self.git("push", "-q", "origin", "main")

    def agentsmesh(self, *words: str) -> "subprocess.CompletedProcess[str]":
        where = ["--kubeconfig", str(self.mesh.kubeconfig), "-n", "default"]
        argv = [PROGRAM, *where, *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    def plan(self, source: str) -> dict[str, Any]:
        done = self.agentsmesh("plan", "--source", source, "-o", "json")
        assert done.returncode in {0, 1}, done.stderr
        return {**json.loads(done.stdout), "exit": done.returncode}

    def applied(self) -> str:
        status = self.mesh.get("team", "gitsource").get("status", {})
        return str(status.get("appliedCommit") or "")


def ticket(name: str, title: str, state: str = "todo") -> str:
    return f"---\nid: {name}\ntitle: {title}\nstate: {state}\n---\nWhat there is to do.\n"


def pod(name: str, agent: str) -> str:
    manifest = {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "AgentPod",
        "metadata": {"name": name},
        "spec": {"agentClassName": agent, "terminationGracePeriodSeconds": 1},
    }
    return json.dumps(manifest)


@pytest.fixture
def team(mesh: Mesh) -> Iterator[Team]:
    team = Team(mesh)
    mesh.kubectl(
        "create", "secret", "generic", "hook", "-n", "default", f"--from-literal=token={KEY}"
    )
    mesh.apply(
        agent_class("idler", "exec sleep 100000"),
        repository("team", str(team.bare)),
        {
            "apiVersion": "agentsmesh.io/v1alpha1",
            "kind": "GitSource",
            "metadata": {"name": "team", "namespace": "default"},
            "spec": {
                "repositoryRef": {"name": "team"},
                "path": "fleet",
                "interval": "1h",
                "webhook": {"secretRef": {"name": "hook"}},
            },
        },
    )
    yield team
    mesh.kubectl("delete", "gitsource", "team", "-n", "default", "--timeout=30s")
    for name in ("walker", "sitter"):
        mesh.kubectl("delete", "agentpod", name, "-n", "default", "--ignore-not-found")


def _ready(team: Team) -> str:
    said = team.mesh.get("team", "gitsource")["status"]["conditions"]
    return next(str(one["reason"]) for one in said if one["type"] == "WebhookReady")


def call(port: int, body: bytes, key: str = KEY, delivery: str = "") -> int:
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/webhooks/git/default/team",
        data=body,
        headers={"X-Hub-Signature-256": f"sha256={signature}"}
        | ({"X-GitHub-Delivery": delivery} if delivery else {}),
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - http, as above
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        return exc.code


def test_a_commit_is_planned_pushed_told_of_and_is_what_was_planned(team: Team) -> None:
    mesh = team.mesh
    first = team.commit(
        {"fleet/a.md": ticket("tk-aaaa", "First"), "fleet/w.yaml": pod("walker", "idler")}
    )
    plan = team.plan(str(team.work))
    assert (plan["source"], plan["commit"], plan["exit"]) == ("team", first, 0)
    assert {(each["name"], each["action"]) for each in plan["resources"]} == {
        ("tk-aaaa", "create"),
        ("walker", "create"),
    }
    assert [(each["name"], each["fate"]) for each in plan["pods"]] == [("walker", "starts")]
    team.push()
    asked = team.agentsmesh("reconcile", "source", "team", "--timeout", "60s")
    assert asked.returncode == 0, asked.stderr
    assert first in asked.stdout
    mesh.ready("walker")

    second = team.commit(
        {
            "fleet/a.md": ticket("tk-aaaa", "First", "done"),
            "fleet/s.yaml": pod("sitter", "nobody"),
            "fleet/broken.yaml": "kind: [",
        }
    )
    plan = team.plan(f"{team.work}@main")
    assert plan["exit"] == 1  # a file is refused
    assert [each["path"] for each in plan["files"]] == ["fleet/broken.yaml"]
    changed = {each["name"]: each for each in plan["resources"]}
    state = {"name": "state", "before": "todo", "after": "done"}
    assert changed["tk-aaaa"]["fields"] == [state]
    assert [(each["name"], each["reason"]) for each in plan["pods"]] == [
        ("sitter", "AgentClassNotFound")
    ]
    team.git("push", "-q", "origin", "main:next")
    asked_far = team.plan(f"file://{team.bare}@next")
    assert (asked_far["resources"], asked_far["pods"]) == (plan["resources"], plan["pods"])
    team.push()

    said = run(PROGRAM, "status", "--data-dir", str(mesh.data), "-o", "json")
    port = json.loads(said)["ports"]["webhooks"]
    assert call(port, b"push", key="wrong") == 401
    assert call(port, b"push") == 202
    until(lambda: team.applied() == second, what="the push is applied")
    assert mesh.get("tk-aaaa", "ticket")["spec"]["state"] == "done"
    assert call(port, b"push") == 202  # without an id it is another call
    assert call(port, b"push", delivery="d-1") == 202
    assert call(port, b"push", delivery="d-1") == 200
    nowhere = team.agentsmesh("plan", "-n", "defualt", "--source", str(team.work))
    assert nowhere.returncode == 3
    assert "there is no namespace 'defualt'" in nowhere.stderr
    mesh.kubectl("delete", "secret", "hook", "-n", "default")
    until(lambda: call(port, b"push") == 401, what="the secret that is gone counts")
    until(lambda: _ready(team) == "SecretNotFound", what="the status says so")
    left = team.plan(str(team.work))
    assert (left["changes"], left["resources"], left["pods"]) == (False, [], [])
    assert KEY not in "".join(f.read_text("utf-8", "replace") for f in mesh.data.rglob("*.log"))
