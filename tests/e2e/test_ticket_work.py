"""Tickets and pods: a ticket starts an agent, hears what became of it, and is one pod's at a time.

The agent is a shell script that reads its ticket as any agent would, commits, and ends.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Mesh, agent_class, agent_pod, pod_dir, run, until
from tests.e2e.test_gitsource import Fleet

pytestmark = pytest.mark.timeout(300)

_WAITS = 'until [ -e "$AGENTSMESH_HOME/go" ]; do sleep 0.05; done'
_READS = """
cp "$AGENTSMESH_TICKET_FILE" "$AGENTSMESH_HOME/read"
stat -c %a "$AGENTSMESH_TICKET_FILE" > "$AGENTSMESH_HOME/mode"
printf '%s' "$1" > "$AGENTSMESH_HOME/prompt"
echo started >> "$AGENTSMESH_HOME/starts"
"""
_COMMITS = 'cd "$AGENTSMESH_WORKTREE" && echo done > done && git add done && git commit -qm Done'
_BODY = 'Two  spaces,\ttabs, "quotes", $HOME, $(id)\r\nand the end of a line: no more.\n\n'


def ticket(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "Ticket",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"title": f"Do {name}", "state": "todo", **spec},
    }


class Work:
    """A ticket that starts an agent, and what became of it."""

    def __init__(self, mesh: Mesh, name: str, script: str, **spec: Any) -> None:
        self.mesh, self.name = mesh, name
        mesh.apply(agent_class(f"{name}-class", _READS + script, prompt="argument"))
        run = {
            "agentClassName": f"{name}-class",
            "repositoryRef": {"name": "origin"},
            "prompt": "Begin now.",
            **spec.pop("run", {}),
        }
        mesh.apply(ticket(name, autoRun=run, body=_BODY, **spec))

    def found(self) -> dict[str, Any]:
        return self.mesh.get(self.name, "ticket")

    @property
    def state(self) -> str:
        return str(self.found()["spec"]["state"])

    def becomes(self, state: str) -> None:
        until(lambda: self.state == state, seconds=90, what=f"{self.name} is {state}")

    def is_free(self) -> dict[str, Any]:
        """Wait until nobody has the ticket; return its status."""

        def free() -> dict[str, Any] | None:
            status = self.found().get("status", {})
            return status if "outcome" in status and "claim" not in status else None

        return dict(until(free, seconds=90, what=f"{self.name} is nobody's"))

    def says(self, kind: str) -> dict[str, Any]:
        return dict(
            until(
                lambda: self.mesh.condition(self.name, kind, of="ticket"),
                seconds=60,
                what=f"{self.name} says {kind}",
            )
        )

    def move(self, state: str) -> None:
        patch = json.dumps({"spec": {"state": state}})
        self.mesh.kubectl(
            "patch", "ticket", self.name, "-n", "default", "--type=merge", "-p", patch
        )

    def pods(self) -> list[str]:
        listed = ("get", "agentpods", "-n", "default", "-l", f"agentsmesh.io/ticket={self.name}")
        out = self.mesh.kubectl(*listed, "-o", "jsonpath={.items[*].metadata.name}")
        return sorted(out.split())

    def home(self, pod: str) -> Path:
        def there() -> Path | None:
            uid = self.mesh.get(pod)["metadata"]["uid"]
            found = [*self.mesh.data.rglob(f"pods/{uid}")]
            return found[0] / "home" if found and (found[0] / "home").exists() else None

        return Path(until(there, seconds=60, what=f"{pod} has a home"))

    def starts(self, pod: str) -> str:
        file = self.home(pod) / "starts"
        until(file.exists, seconds=60, what=f"{pod} has begun")
        return file.read_text(encoding="utf-8")

    def go(self, pod: str) -> None:
        (self.home(pod) / "go").touch()

    def is_gone(self) -> None:
        self.mesh.kubectl("delete", "ticket", self.name, "-n", "default")
        for pod in self.pods():
            self.mesh.delete(pod)


def test_a_ticket_starts_an_agent_that_commits_and_goes_to_review(mesh: Mesh) -> None:
    acceptance = [{"id": "a1", "text": "a file named done"}]
    work = Work(mesh, "tk-commits", f"{_WAITS}\n{_COMMITS}", acceptance=acceptance)
    work.becomes("in_progress")
    assert work.pods() == ["tk-commits-run-1"]
    assert work.found()["status"]["claim"]["podName"] == "tk-commits-run-1"
    assert work.starts("tk-commits-run-1") == "started\n"
    home = work.home("tk-commits-run-1")
    read = (home / "read").read_bytes().decode()
    assert f"## Description\n\n{_BODY}\n\n## Acceptance" in read
    assert "- [ ] a1: a file named done" in read
    assert (home / "prompt").read_bytes().decode() == f"{read}\nBegin now."
    assert (home / "mode").read_text() == "600\n"
    work.go("tk-commits-run-1")
    work.becomes("in_review")
    status = work.is_free()
    tree = mesh.get("tk-commits-run-1")["status"]["worktree"]
    assert tree["commit"] != tree["baseCommit"]
    assert status["outcome"]["reason"] == "Committed"
    assert [pod["commit"] for pod in status["agentPods"]] == [tree["commit"]]
    assert work.says("Worked")["status"] == "True"
    work.is_gone()


def test_an_agent_that_commits_nothing_gives_the_ticket_back_and_is_not_started_again(
    mesh: Mesh,
) -> None:
    work = Work(mesh, "tk-idles", f"{_WAITS}\nexit 3")
    work.becomes("in_progress")
    work.go("tk-idles-run-1")
    work.becomes("todo")
    status = work.is_free()
    assert status["outcome"]["reason"] == "NoCommits"
    assert "exit code 3" in status["outcome"]["message"]
    assert status["runs"]["attempts"] == 1
    until(lambda: work.says("AutoRun")["reason"] == "AttemptsUsed", what="it is said")
    assert work.pods() == ["tk-idles-run-1"]
    work.move("backlog")  # a person's word gives it new attempts
    until(lambda: work.found()["status"]["runs"]["attempts"] == 0, what="attempts count anew")
    work.move("todo")
    work.becomes("in_progress")
    assert work.pods() == ["tk-idles-run-1", "tk-idles-run-2"]
    work.go("tk-idles-run-2")
    work.becomes("todo")
    work.is_free()
    work.is_gone()


def test_what_a_person_says_meanwhile_stands(mesh: Mesh) -> None:
    work = Work(mesh, "tk-stands", f"{_WAITS}\n{_COMMITS}")
    work.becomes("in_progress")
    work.move("backlog")
    work.go("tk-stands-run-1")
    status = work.is_free()
    assert status["outcome"]["reason"] == "Committed"
    assert work.state == "backlog"
    assert work.pods() == ["tk-stands-run-1"]
    work.is_gone()


def test_a_ticket_waits_for_those_it_depends_on(mesh: Mesh) -> None:
    mesh.apply(ticket("tk-first"))
    work = Work(mesh, "tk-second", _COMMITS, dependsOn=["tk-first"])
    assert "tk-first" in work.says("Blocked")["message"]
    until(lambda: work.says("AutoRun")["reason"] == "Blocked", what="it is said")
    assert work.pods() == []
    patch = json.dumps({"spec": {"state": "done"}})
    mesh.kubectl("patch", "ticket", "tk-first", "-n", "default", "--type=merge", "-p", patch)
    work.becomes("in_review")
    work.is_free()
    until(lambda: not mesh.condition("tk-second", "Blocked", of="ticket"), what="it waits no more")
    mesh.kubectl("delete", "ticket", "tk-first", "-n", "default")
    work.is_gone()


def test_a_pod_that_insists_on_its_ticket_waits_for_it(mesh: Mesh) -> None:
    mesh.apply(ticket("tk-shared"))
    mesh.apply(agent_pod("first-come", "idle", ticketRef={"name": "tk-shared"}))
    mesh.ready("first-come")
    reference = {"name": "tk-shared", "claim": "Required"}
    mesh.apply(agent_pod("second-come", "idle", ticketRef=reference))
    mesh.apply(agent_pod("helper", "idle", ticketRef={"name": "tk-shared", "claim": "Never"}))
    mesh.ready("helper")

    def waits() -> bool:
        said = mesh.condition("second-come", "Scheduled")
        return said.get("reason") == "TicketClaimed" and "first-come" in said["message"]

    until(waits, what="the second waits for the first")
    assert "placement" not in mesh.get("second-come")["status"]
    mesh.delete("first-come")
    mesh.ready("second-come")
    assert mesh.get("tk-shared", "ticket")["status"]["claim"]["podName"] == "second-come"
    for name in ("second-come", "helper"):
        mesh.delete(name)
    until(lambda: "claim" not in mesh.get("tk-shared", "ticket")["status"], what="it is free")
    mesh.kubectl("delete", "ticket", "tk-shared", "-n", "default")


@pytest.mark.faults
def test_tickets_that_lie_in_git_follow_by_commits_and_a_persons_commit_stands(mesh: Mesh) -> None:
    fleet = Fleet(mesh, "auto-runs")
    mesh.apply(agent_class("gitworker", f"{_READS}\n{_WAITS}\n{_COMMITS}", prompt="argument"))
    rule = {"name": "small", "labels": ["auto"], "agentClassName": "gitworker"}
    rule |= {"repositoryRef": {"name": "origin"}}
    fleet.make(writeBack={"enabled": True}, autoRun=[rule], deletionPolicy="Delete")
    head = "---\nid: {}\ntitle: Do it   # by all means\nstate: todo\n"
    text = f"{head}labels: [auto]\npriority: {{}}\n---\nGo.\n"
    files = {
        "fleet/tickets/tk-later.md": text.format("tk-later", "low"),
        "fleet/tickets/tk-sooner.md": text.format("tk-sooner", "urgent"),
    }
    begin = fleet.push(dict(files))
    fleet.applied(begin)

    def in_git(name: str) -> str:
        run("git", "fetch", "-q", str(fleet.bare), "main", cwd=fleet.clone)
        return run("git", "show", f"FETCH_HEAD:fleet/tickets/{name}.md", cwd=fleet.clone)

    def says(name: str, state: str) -> None:
        until(lambda: f"\nstate: {state}\n" in in_git(name), seconds=90, what=f"{name}: {state}")

    def pods() -> str:
        listed = ("get", "agentpods", "-n", "default", "-l", "agentsmesh.io/auto-run=small")
        return mesh.kubectl(*listed, "-o", "jsonpath={.items[*].metadata.name}")

    def home(pod: str) -> Path:
        return pod_dir(mesh, mesh.get(pod)["metadata"]["uid"]) / "home"

    says("tk-sooner", "in_progress")
    assert pods() == "tk-sooner-run-1"  # maxConcurrent is 1
    assert "title: Do it   # by all means\n" in in_git("tk-sooner")
    assert "fleet/tickets/tk-sooner.md" in (home("tk-sooner-run-1") / "read").read_text()
    (home("tk-sooner-run-1") / "go").touch()
    says("tk-sooner", "in_review")
    says("tk-later", "in_progress")
    assert pods() == "tk-later-run-1 tk-sooner-run-1"
    run("git", "reset", "-q", "--hard", "FETCH_HEAD", cwd=fleet.clone)
    mine = in_git("tk-later").replace("state: in_progress", "state: backlog")
    fleet.applied(fleet.push({"fleet/tickets/tk-later.md": mine}))
    (home("tk-later-run-1") / "go").touch()
    until(
        lambda: "outcome" in mesh.get("tk-later", "ticket")["status"],
        seconds=90,
        what="its pod has ended",
    )
    says("tk-later", "backlog")
    log = run("git", "log", "--format=%an: %s", f"{begin}..FETCH_HEAD", cwd=fleet.clone)
    assert "AgentsMesh: In progress: pod tk-sooner-run-1 works on it" in log
    assert "AgentsMesh: In review: pod tk-sooner-run-1 ended with commits" in log
    assert pods() == "tk-later-run-1 tk-sooner-run-1"
    mesh.kubectl("delete", "gitsource", fleet.name, "-n", "default", "--timeout=60s")
    mesh.delete("tk-later-run-1")
    mesh.delete("tk-sooner-run-1")


@pytest.mark.faults
def test_a_controller_that_is_killed_starts_no_second_pod_and_loses_no_claim(mesh: Mesh) -> None:
    moments = ("at once", "started", "in progress", "ended")
    for number, moment in enumerate(moments):
        name = f"tk-killed-{number}"
        work = Work(mesh, name, f"{_WAITS}\n{_COMMITS}")
        if moment == "at once":
            mesh.replace("controller")
        until(work.pods, seconds=90, what="a pod is there")
        if moment == "started":
            mesh.replace("controller")
        work.becomes("in_progress")
        owner = work.found()["status"]["claim"]["podUID"]
        if moment == "in progress":
            mesh.replace("controller")
        assert work.found()["status"]["claim"]["podUID"] == owner
        work.go(f"{name}-run-1")
        if moment == "ended":
            mesh.replace("controller")
        work.becomes("in_review")
        status = work.is_free()
        assert status["outcome"]["podUID"] == owner
        assert work.pods() == [f"{name}-run-1"]
        assert work.starts(f"{name}-run-1") == "started\n"
        assert status["runs"]["total"] == 1
        work.is_gone()


@pytest.mark.faults
def test_fifty_pods_race_for_twenty_tickets_over_kills_and_each_has_one_owner(mesh: Mesh) -> None:
    names = [f"tk-race-{number}" for number in range(20)]
    mesh.apply(*(ticket(name) for name in names))
    held = agent_class("racer", "exec sleep 100000")
    absent = {"matchLabels": {"nowhere": "true"}}  # no runner: only the claims are of interest
    mesh.apply(
        held,
        *(
            agent_pod(
                f"racer-{number}",
                "racer",
                ticketRef={"name": names[number % 20], "claim": "Required"},
                runnerSelector=absent,
            )
            for number in range(50)
        ),
    )

    def owners() -> dict[str, str]:
        listed = json.loads(mesh.kubectl("get", "tickets", "-n", "default", "-o", "json"))
        return {
            item["metadata"]["name"]: item["status"]["claim"]["podName"]
            for item in listed["items"]
            if item["metadata"]["name"] in names and item.get("status", {}).get("claim")
        }

    until(lambda: len(owners()) == 20, seconds=90, what="each ticket has an owner")
    first = owners()
    assert len(set(first.values())) == 20
    mesh.replace("controller")
    assert owners() == first
    mesh.kubectl("delete", "agentpod", "-n", "default", *first.values(), "--timeout=90s")
    until(
        lambda: len(owners()) == 20 and not set(owners().values()) & set(first.values()),
        seconds=90,
        what="each ticket has another owner",
    )
    assert len(set(owners().values())) == 20
    left = [f"racer-{number}" for number in range(50) if f"racer-{number}" not in first.values()]
    mesh.kubectl("delete", "agentpod", "-n", "default", *left, "--timeout=90s")
    until(lambda: not owners(), seconds=90, what="no ticket is anybody's")
    mesh.kubectl("delete", "tickets", "-n", "default", *names)
