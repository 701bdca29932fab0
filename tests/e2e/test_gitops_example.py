"""The repository of examples/gitops: made, pushed, changed, broken, repaired, as its page says."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import PROGRAM, Mesh, run, until

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "gitops"


class Garden:
    """A person's clone of the repository, and what the mesh makes of it."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.work = mesh.folder / "git" / "garden"
        self.bare = mesh.folder / "git" / "garden.git"
        shutil.copytree(EXAMPLE / "repository", self.work)
        run("git", "init", "-q", "-b", "main", str(self.work))
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.invalid")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "Begin")
        run("git", "clone", "-q", "--bare", str(self.work), str(self.bare))
        self.git("remote", "add", "origin", str(self.bare))
        self.git("fetch", "-q")
        self.git("branch", "-q", "-u", "origin/main")

    def git(self, *arguments: str) -> str:
        return run("git", "-C", str(self.work), *arguments).strip()

    def file(self, path: str) -> Path:
        return self.work / "fleet" / path

    def push(self, subject: str) -> str:
        """Commit everything, put it on top of what the mesh has pushed meanwhile, push it."""
        self.git("add", "--all")
        self.git("commit", "-q", "-m", subject)

        def pushed() -> bool:
            self.git("pull", "-q", "--rebase")
            try:
                self.git("push", "-q")
            except AssertionError:  # the mesh was faster: as a person would, again
                return False
            return True

        until(pushed, what=f"{subject!r} is pushed")
        return self.git("rev-parse", "HEAD")

    def applied(self, commit: str) -> None:
        """Wait until the files of *commit*, or of one after it, are applied."""

        def there() -> bool:
            now = self.source()["status"].get("appliedCommit")
            return bool(now) and self.holds(now, commit)

        until(there, seconds=60, what=f"{commit} is applied: {self.source().get('status')}")

    def holds(self, descendant: str, commit: str) -> bool:
        """Whether *commit* is *descendant* or lies below it."""
        self.git("fetch", "-q")
        return commit in self.git("rev-list", descendant).split()

    def source(self) -> dict[str, Any]:
        return self.mesh.get("plan", "gitsource")

    def ticket(self, name: str) -> dict[str, Any]:
        return self.mesh.get(name, "ticket")

    def state(self, name: str) -> str:
        return str(self.ticket(name)["spec"]["state"])

    def reaches(self, name: str, state: str) -> None:
        until(lambda: self.state(name) == state, seconds=60, what=f"{name} is {state}")

    def said(self, path: str) -> str:
        """Return the file as upstream has it now."""
        return run("git", "-C", str(self.bare), "show", f"main:fleet/{path}")

    def history(self, path: str) -> list[str]:
        """Return author and subject of each commit of the file, the newest first."""
        shown = ("log", "--format=%an: %s", "main", "--", f"fleet/{path}")
        return run("git", "-C", str(self.bare), *shown).splitlines()


@pytest.fixture
def garden(mesh: Mesh) -> Any:
    made = Garden(mesh)
    mesh.kubectl("apply", "-f", str(EXAMPLE / "agentclass.yaml"))
    source = run("sed", f"s|/srv/git|{mesh.folder / 'git'}|", str(EXAMPLE / "gitsource.yaml"))
    mesh.kubectl("apply", "-f", "-", stdin=source)
    yield made
    gone = {"spec": {"deletionPolicy": "Delete"}}
    where = ("gitsource", "plan", "-n", "default")
    mesh.kubectl("patch", *where, "--type=merge", "-p", json.dumps(gone))
    mesh.kubectl("delete", *where, "--timeout=60s")
    assert not mesh.exists("garden", "channel"), "deletionPolicy Delete takes what it made along"


GREETING = "tickets/tk-greeting-write-the-greeting.md"
WELCOME = "tickets/tk-welcome-write-the-welcome.md"
FAREWELL = "tickets/tk-farewell-write-the-farewell.md"


@pytest.mark.timeout(300)
def test_a_repository_is_pushed_changed_broken_and_repaired(garden: Garden) -> None:
    garden.applied(garden.git("rev-parse", "HEAD"))
    _everything_is_there(garden)
    _agents_work_and_say_so_in_git(garden)
    _a_person_goes_on(garden)
    _a_bad_file_harms_itself_alone(garden)
    _what_is_changed_behind_gits_back_is_put_back(garden)
    _a_file_gets_another_name(garden)
    _files_go(garden)


def _everything_is_there(garden: Garden) -> None:
    mesh = garden.mesh
    for pod in ("lookout", "welcome"):
        assert mesh.exists(pod)
    assert mesh.exists("garden", "channel")
    assert mesh.exists("lookout-sees-welcome", "podbinding")
    assert garden.ticket("tk-greeting")["spec"]["title"] == "Write the greeting: 'Grüß Gott' 🌱"
    assert garden.ticket("tk-greeting")["status"]["source"]["path"] == f"fleet/{GREETING}"
    assert garden.source()["status"]["files"]["invalid"] == 0


def _agents_work_and_say_so_in_git(garden: Garden) -> None:
    mesh = garden.mesh
    mesh.phase("welcome", "Succeeded", seconds=60)
    mesh.phase("tk-greeting-run-1", "Succeeded", seconds=60)
    assert "it is polite" in mesh.logs("tk-greeting-run-1"), "acceptance is in the first prompt"
    assert "Do this ticket, and nothing else." in mesh.logs("tk-greeting-run-1")
    for name in ("tk-welcome", "tk-greeting"):
        garden.reaches(name, "in_review")
    until(lambda: "state: in_review" in garden.said(GREETING), seconds=60, what="git says it, too")

    before = (EXAMPLE / "repository" / "fleet" / GREETING).read_text(encoding="utf-8")
    after = garden.said(GREETING)
    kept = [line for line in before.splitlines() if not line.startswith("state:")]
    assert [line for line in after.splitlines() if line in kept] == kept, after
    assert "# the label below starts a pod for it" in after, "comments of touched lines, too"

    left = [name for name in _tickets(garden) if name.startswith("tk-") and name not in KNOWN]
    made = garden.ticket(left[0])
    assert (len(left), made["spec"]["parent"]) == (1, "tk-welcome")
    assert made["spec"]["title"] == "What tk-welcome left over"
    path = made["status"]["source"]["path"].removeprefix("fleet/")
    assert garden.history(path)[-1].startswith("gardener (welcome): ")
    assert not mesh.exists("tk-farewell-run-1"), "it waits for the greeting"


KNOWN = {"tk-garden", "tk-welcome", "tk-greeting", "tk-farewell"}


def _tickets(garden: Garden) -> list[str]:
    """Return the names of the garden's tickets: the mesh has others."""
    ours = ("-l", "agentsmesh.io/source=plan")
    listed = json.loads(garden.mesh.kubectl("get", "tickets", "-n", "default", *ours, "-o", "json"))
    return [item["metadata"]["name"] for item in listed["items"]]


def _a_person_goes_on(garden: Garden) -> None:
    mine = ("-n", "default", "--kubeconfig", str(garden.mesh.kubeconfig))
    done = ("--done", "g1", "--done", "g2", "--state", "done")
    run(PROGRAM, "ticket", "update", "tk-greeting", *done, *mine)
    garden.reaches("tk-greeting", "done")
    assert "{id: g1, text: it is polite, done: true}" in garden.said(GREETING)
    assert garden.ticket("tk-greeting")["status"]["progress"] == {"done": 2, "total": 2}
    garden.mesh.phase("tk-farewell-run-1", "Succeeded", seconds=60)
    garden.reaches("tk-farewell", "in_review")


def _a_bad_file_harms_itself_alone(garden: Garden) -> None:
    garden.git("pull", "-q", "--rebase")
    good = garden.file(WELCOME).read_text(encoding="utf-8")
    garden.file(WELCOME).write_text(good.replace("type: task", "type: [task"), encoding="utf-8")
    text = garden.file(FAREWELL).read_text(encoding="utf-8")
    garden.file(FAREWELL).write_text(
        text.replace("Write the farewell", "Say goodbye"), encoding="utf-8"
    )
    (garden.file("tickets") / "copy.md").write_text(
        "---\nid: tk-garden\ntitle: Another one\n---\n", encoding="utf-8"
    )
    commit = garden.push("Break two files, change a third")
    garden.applied(commit)
    status = garden.source()["status"]
    errors = {error["path"]: error for error in status["errors"]}
    assert set(errors) == {f"fleet/{WELCOME}", "fleet/tickets/copy.md"}
    assert errors[f"fleet/{WELCOME}"].get("line"), errors
    assert "fleet/tickets/tk-garden-a-garden.md" in errors["fleet/tickets/copy.md"]["message"]
    assert garden.mesh.condition("plan", "FilesValid", "gitsource")["status"] == "False"
    assert garden.ticket("tk-welcome")["spec"]["title"] == "Write the welcome", "the last good one"
    assert garden.ticket("tk-garden")["spec"]["title"] == "A garden with a gate"
    assert garden.ticket("tk-farewell")["spec"]["title"] == "Say goodbye", "it is not held up"

    garden.file(WELCOME).write_text(good, encoding="utf-8")
    garden.file("tickets/copy.md").unlink()
    garden.applied(garden.push("Repair them"))
    until(
        lambda: garden.mesh.condition("plan", "Ready", "gitsource").get("status") == "True",
        what="all is well again",
    )


def _what_is_changed_behind_gits_back_is_put_back(garden: Garden) -> None:
    change = json.dumps({"spec": {"description": "By hand"}})
    garden.mesh.kubectl("patch", "channel", "garden", "-n", "default", "--type=merge", "-p", change)
    until(
        lambda: garden.mesh.get("garden", "channel")["spec"]["description"].startswith(
            "What grows"
        ),
        what="the description is what the file says",
    )
    events = garden.mesh.kubectl("get", "events", "-n", "default", "-o", "json")
    said = [e["message"] for e in json.loads(events)["items"] if e["reason"] == "DriftReverted"]
    assert any("fleet/team/channel.yaml" in message for message in said), said


def _a_file_gets_another_name(garden: Garden) -> None:
    garden.git("pull", "-q", "--rebase")
    uid = garden.ticket("tk-farewell")["metadata"]["uid"]
    garden.git("mv", f"fleet/{FAREWELL}", "fleet/tickets/tk-farewell-say-goodbye.md")
    garden.applied(garden.push("Rename a file"))
    ticket = garden.ticket("tk-farewell")
    assert ticket["metadata"]["uid"] == uid
    until(
        lambda: (
            garden.ticket("tk-farewell")["status"]["source"]["path"]
            == "fleet/tickets/tk-farewell-say-goodbye.md"
        ),
        what="the status names the new file",
    )


def _files_go(garden: Garden) -> None:
    mesh = garden.mesh
    garden.git("rm", "-q", "fleet/team/binding.yaml")
    garden.applied(garden.push("Let the lookout look elsewhere"))
    until(lambda: not mesh.exists("lookout-sees-welcome", "podbinding"), what="it is pruned")

    limits = json.dumps({"spec": {"pruneLimits": {"maxCount": 1, "maxPercent": 0}}})
    where = ("gitsource", "plan", "-n", "default")
    mesh.kubectl("patch", *where, "--type=merge", "-p", limits)
    garden.git("rm", "-q", "-r", "fleet/pods")
    commit = garden.push("Send all pods home")
    until(
        lambda: mesh.condition("plan", "PruneHeld", "gitsource").get("status") == "True",
        what="that is too much at once",
    )
    assert mesh.exists("lookout")
    assert mesh.exists("welcome")
    tip = garden.source()["status"]["observedCommit"]
    assert garden.holds(tip, commit)
    mesh.kubectl("annotate", *where, f"agentsmesh.io/allow-prune={tip}")
    until(lambda: not mesh.exists("lookout"), seconds=60, what="the pods are gone")
