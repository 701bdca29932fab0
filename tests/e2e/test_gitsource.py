"""A folder of a git branch as the fleet: pushed to, broken, mended, with kubectl beside it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import Mesh, agent_class, repository, run, until

GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.invalid")
WAIT = 60
ALLOW = "agentsmesh.io/allow-prune"


def ticket(name: str, title: str, state: str = "todo") -> str:
    return f"---\nid: {name}\ntitle: {title}\nstate: {state}\n---\nDo it.\n"


def many(count: int, prefix: str = "tk") -> dict[str, str | None]:
    return {
        f"fleet/tickets/{prefix}-{number:04}.md": ticket(f"{prefix}-{number:04}", f"No {number}")
        for number in range(count)
    }


class Fleet:
    """A GitSource of its own in the shared mesh, and a clone of its repository."""

    def __init__(self, mesh: Mesh, name: str) -> None:
        self.mesh, self.name = mesh, name
        self.bare = mesh.folder / "git" / f"{name}.git"
        self.clone = mesh.folder / "clones" / name
        self.clone.mkdir(parents=True)
        run("git", "init", "-q", "--bare", "-b", "main", str(self.bare))
        run("git", "init", "-q", "-b", "main", str(self.clone))

    def make(self, **spec: Any) -> None:
        """Make the Repository and the GitSource; the interval never comes round."""
        self.mesh.apply(
            repository(self.name, f"file://{self.bare}"),
            {
                "apiVersion": "agentsmesh.io/v1alpha1",
                "kind": "GitSource",
                "metadata": {"name": self.name, "namespace": "default"},
                "spec": {
                    "repositoryRef": {"name": self.name},
                    "path": "fleet",
                    "interval": "1h",
                    **spec,
                },
            },
        )

    def push(self, files: dict[str, str | None], *extra: str) -> str:
        """Commit the files (None deletes) and push; return the commit."""
        for name, text in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text, encoding="utf-8")
        run(*GIT, "add", "-A", cwd=self.clone)
        run(*GIT, "commit", "-q", "--allow-empty", "-m", "Work", cwd=self.clone)
        run("git", "push", "-q", *extra, str(self.bare), "HEAD:refs/heads/main", cwd=self.clone)
        return run("git", "rev-parse", "HEAD", cwd=self.clone).strip()

    def applied(self, commit: str) -> None:
        """Wait as a pipeline does."""
        self.mesh.kubectl(
            *("wait", "-n", "default", f"gitsource/{self.name}", f"--timeout={WAIT}s"),
            f"--for=jsonpath={{.status.appliedCommit}}={commit}",
        )

    def tickets(self) -> dict[str, dict[str, Any]]:
        """Return the source's tickets by name."""
        found = self.mesh.kubectl(
            *("get", "tickets", "-n", "default", "-o", "json"),
            *("-l", f"agentsmesh.io/source={self.name}"),
        )
        return {item["metadata"]["name"]: item for item in json.loads(found)["items"]}

    def status(self) -> dict[str, Any]:
        return dict(self.mesh.get(self.name, "gitsource").get("status") or {})

    def condition(self, kind: str) -> dict[str, Any]:
        return self.mesh.condition(self.name, kind, "gitsource")

    def patch(self, name: str, patch: dict[str, Any], kind: str = "ticket") -> None:
        argv = ("patch", kind, name, "-n", "default", "--type=merge", "-p", json.dumps(patch))
        self.mesh.kubectl(*argv)


@pytest.fixture
def fleet(mesh: Mesh, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Give a repository below the allowed folder; what it made goes with its source."""
    digest = sum(map(ord, request.node.name))
    made = Fleet(mesh, f"plan-{digest}")
    yield made
    mesh.kubectl(
        *("patch", "gitsource", made.name, "-n", "default", "--type=merge"),
        *("-p", '{"spec":{"deletionPolicy":"Delete","suspend":false}}'),
    )
    mesh.kubectl("delete", "gitsource", made.name, "-n", "default", f"--timeout={WAIT}s")
    assert made.tickets() == {}


def test_a_commit_becomes_tickets_and_drift_is_put_back(fleet: Fleet) -> None:
    files = many(30, "am")
    files["fleet/channel.yaml"] = (
        "apiVersion: agentsmesh.io/v1alpha1\nkind: Channel\n"
        f"metadata: {{name: {fleet.name}}}\nspec: {{description: Designs}}\n"
    )
    commit = fleet.push(files)
    fleet.make()
    fleet.applied(commit)
    status = fleet.status()
    assert status["files"] == {
        "total": 31, "synced": 31, "invalid": 0, "duplicate": 0, "pending": 0,
    }  # fmt: skip
    assert status["inventory"]["count"] == 31
    assert fleet.condition("Ready")["status"] == "True"
    assert fleet.tickets()["am-0007"]["spec"]["title"] == "No 7"
    until(
        lambda: fleet.tickets()["am-0007"]["status"].get("source", {}).get("commit") == commit,
        what="the ticket says where it is from",
    )
    fleet.patch("am-0007", {"spec": {"title": "Mine"}})
    until(lambda: fleet.tickets()["am-0007"]["spec"]["title"] == "No 7", what="it is put back")
    said = until(
        lambda: fleet.mesh.kubectl(
            *("get", "events", "-n", "default", "-o", "jsonpath={.items[*].message}"),
            "--field-selector=reason=DriftReverted",
        ),
        what="an event",
    )
    assert "fleet/tickets/am-0007.md" in said
    fleet.patch(fleet.name, {"spec": {"suspend": True}}, "gitsource")
    until(lambda: fleet.condition("Ready")["reason"] == "Suspended", what="it is suspended")
    fleet.patch("am-0007", {"spec": {"title": "Mine"}})
    later = fleet.push({"fleet/tickets/am-0008.md": ticket("am-0008", "New words")})
    fleet.patch(fleet.name, {"spec": {"suspend": False}}, "gitsource")
    fleet.applied(later)
    found = fleet.tickets()
    assert (found["am-0007"]["spec"]["title"], found["am-0008"]["spec"]["title"]) == (
        "No 7",
        "New words",
    )


def test_a_bad_file_and_a_second_one_of_an_id_harm_themselves_alone(fleet: Fleet) -> None:
    files = many(20, "bm")
    files["fleet/tickets/bm-0003.md"] = "---\nid: bm-0003\ntitle: [\n---\n"
    commit = fleet.push(files)
    fleet.make()
    fleet.applied(commit)
    assert len(fleet.tickets()) == 19
    (error,) = fleet.status()["errors"]
    assert error["path"] == "fleet/tickets/bm-0003.md"
    assert error["line"] >= 3
    # a good one breaks: what it said stays
    commit = fleet.push(
        {
            "fleet/tickets/bm-0003.md": ticket("bm-0003", "Mended"),
            "fleet/tickets/bm-0004.md": "---\nid: bm-0004\nstate: nonsense\n---\n",
            "fleet/other.md": ticket("bm-0005", "Usurper"),
        }
    )
    fleet.applied(commit)
    found = fleet.tickets()
    assert found["bm-0003"]["spec"]["title"] == "Mended"
    assert found["bm-0004"]["spec"]["title"] == "No 4"
    assert found["bm-0005"]["spec"]["title"] == "No 5"
    errors = {error["path"]: error for error in fleet.status()["errors"]}
    assert errors["fleet/other.md"]["reason"] == "DuplicateId"
    assert "fleet/tickets/bm-0005.md" in errors["fleet/other.md"]["message"]
    assert "fleet/tickets/bm-0004.md" in errors
    until(
        lambda: fleet.mesh.condition("bm-0004", "Synced", "ticket").get("reason") == "InvalidFile",
        what="the ticket says that its file cannot be used",
    )


def test_a_renamed_file_keeps_its_ticket_and_a_forced_branch_is_followed(fleet: Fleet) -> None:
    first = fleet.push(many(3, "cm"))
    fleet.make()
    fleet.applied(first)
    uid = fleet.tickets()["cm-0001"]["metadata"]["uid"]
    second = fleet.push(
        {
            "fleet/tickets/cm-0001.md": None,
            "fleet/tickets/cm-0001-words.md": ticket("cm-0001", "Renamed"),
        }
    )
    fleet.applied(second)
    found = fleet.tickets()["cm-0001"]
    assert (found["metadata"]["uid"], found["spec"]["title"]) == (uid, "Renamed")
    run("git", "push", "-q", "-f", str(fleet.bare), f"{first}:refs/heads/main", cwd=fleet.clone)
    fleet.applied(first)
    found = fleet.tickets()["cm-0001"]
    assert (found["metadata"]["uid"], found["spec"]["title"]) == (uid, "No 1")


@pytest.mark.faults
def test_many_deletions_are_held_and_a_missing_folder_deletes_nothing(fleet: Fleet) -> None:
    files = many(30, "dm")
    fleet.push({"README.md": "hello\n", **files})
    fleet.make()
    fleet.applied(fleet.push({}))
    commit = fleet.push(dict.fromkeys(list(files)[:20]))
    fleet.applied(commit)
    said = until(lambda: fleet.condition("PruneHeld"), what="it is held")
    assert f"{ALLOW}={commit}" in said["message"]
    assert len(fleet.tickets()) == 30
    fleet.mesh.kubectl(
        *("annotate", "gitsource", fleet.name, "-n", "default", "--overwrite"),
        f"{ALLOW}={commit}",
    )
    until(lambda: len(fleet.tickets()) == 10, what="the deletions that were allowed")
    fleet.push(dict.fromkeys(list(files)[20:]))
    until(
        lambda: fleet.condition("Fetched").get("reason") == "PathNotFound",
        what="the folder is missed",
    )
    assert fleet.condition("Stalled")["status"] == "True"
    assert len(fleet.tickets()) == 10
    run("git", "update-ref", "-d", "refs/heads/main", cwd=fleet.bare)
    until(
        lambda: fleet.condition("Fetched").get("reason") in {"BranchNotFound", "EmptyRepository"},
        what="the branch is missed",
    )
    assert len(fleet.tickets()) == 10


def pod(name: str, agent: str, more: str = "") -> str:
    return (
        "apiVersion: agentsmesh.io/v1alpha1\nkind: AgentPod\n"
        f"metadata: {{name: {name}}}\n"
        f"spec: {{agentClassName: {agent}, terminationGracePeriodSeconds: 1{more}}}\n"
    )


@pytest.mark.faults
def test_pods_of_files_run_come_back_and_are_not_run_twice(fleet: Fleet) -> None:
    fleet.mesh.apply(agent_class("brief", "true"))
    steady, brief = f"{fleet.name}-steady", f"{fleet.name}-brief"
    first = fleet.push(
        {
            "fleet/steady.yaml": pod(steady, "idle"),
            "fleet/brief.yaml": pod(brief, "brief", ", ttlSecondsAfterFinished: 0"),
        }
    )
    fleet.make()
    fleet.applied(first)
    uid = fleet.mesh.ready(steady, WAIT)["metadata"]["uid"]
    until(lambda: not fleet.mesh.exists(brief), seconds=WAIT, what="the other one is gone")
    # what cannot be changed in a pod is the file's problem
    changed = fleet.push({"fleet/steady.yaml": pod(steady, "idle", ", prompt: Other")})
    fleet.applied(changed)
    (error,) = fleet.status()["errors"]
    assert (error["path"], error["reason"]) == ("fleet/steady.yaml", "Immutable")
    back = fleet.push({"fleet/steady.yaml": pod(steady, "idle")})
    fleet.applied(back)
    assert fleet.mesh.get(steady)["metadata"]["uid"] == uid
    fleet.mesh.delete(steady)
    until(
        lambda: fleet.mesh.exists(steady) and fleet.mesh.get(steady)["metadata"]["uid"] != uid,
        seconds=WAIT,
        what="the pod that a person deleted is there again",
    )
    fleet.applied(fleet.push({"README.md": "later\n"}))
    assert not fleet.mesh.exists(brief)
    gone = fleet.push({"fleet/steady.yaml": None})
    fleet.applied(gone)
    until(lambda: not fleet.mesh.exists(steady), seconds=WAIT, what="it goes with its file")


@pytest.mark.faults
def test_a_killed_controller_comes_back_and_nothing_is_written_without_news(fleet: Fleet) -> None:
    commit = fleet.push(many(30, "em"))
    fleet.make()
    fleet.applied(commit)
    until(
        lambda: all("source" in one.get("status", {}) for one in fleet.tickets().values()),
        what="every ticket says where it is from",
    )

    def versions() -> dict[str, str]:
        found = fleet.tickets() | {fleet.name: fleet.mesh.get(fleet.name, "gitsource")}
        return {name: item["metadata"]["resourceVersion"] for name, item in found.items()}

    before = versions()
    fleet.mesh.replace("controller")
    later = fleet.push({"fleet/tickets/em-0002.md": ticket("em-0002", "After")})
    fleet.applied(later)
    until(
        lambda: fleet.tickets()["em-0002"]["status"]["source"]["commit"] == later,
        what="the ticket says where it is from",
    )
    after = versions()
    changed = {name for name, version in after.items() if before[name] != version}
    assert changed == {"em-0002", fleet.name}


@pytest.mark.faults
def test_a_controller_that_is_killed_in_the_middle_loses_nothing_and_doubles_nothing(
    fleet: Fleet,
) -> None:
    first = fleet.push(many(600, "fm"))
    fleet.make()
    before = until(
        lambda: found if len(found := fleet.tickets()) >= 20 else None,
        seconds=WAIT,
        what="the first tickets are there",
    )
    fleet.mesh.replace("controller")
    fleet.applied(first)
    after = fleet.tickets()
    assert len(after) == 600
    assert fleet.status()["files"]["synced"] == 600
    kept = {name: item["metadata"]["uid"] for name, item in before.items()}
    assert kept.items() <= {name: item["metadata"]["uid"] for name, item in after.items()}.items()
    assert {item["metadata"]["generation"] for item in after.values()} == {1}
