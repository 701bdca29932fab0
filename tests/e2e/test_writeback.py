"""People change tickets that lie in git, with a whole mesh and real repositories.

A server over https tells us of each push before it is answered: so a controller can be killed
between the two.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import PROGRAM, Mesh, make_origin, repository, run, until
from tests.unit.controller.gitops.git_scene import PASSWORD, Team, served

TICKET = """\
---
id: {name}            # never change
title: About {name}   # a line of our own
state: todo
priority: high
acceptance:
  - {{id: a1, text: it is done, done: false}}
  - {{id: a2, text: it is seen, done: false}}
---
Do it.
"""
FIRST = "fleet/tickets/tk-aaaa-first.md"
SECOND = "fleet/tickets/tk-bbbb-second.md"
FILES = {FIRST: TICKET.format(name="tk-aaaa"), SECOND: TICKET.format(name="tk-bbbb")}


class World:
    """A mesh, a team with a repository, and a GitSource between them."""

    def __init__(self, mesh: Mesh, team: Team, url: str, name: str, **more: Any) -> None:
        self.mesh = mesh
        self.team = team
        self.name = name
        self.begin = team.push(FILES, "begin")
        mesh.apply(repository(name, url, **more), self.source("60s"))
        self.applied(self.begin)

    def source(self, interval: str) -> dict[str, Any]:
        return {
            "apiVersion": "agentsmesh.io/v1alpha1",
            "kind": "GitSource",
            "metadata": {"name": self.name, "namespace": "default"},
            "spec": {
                "repositoryRef": {"name": self.name},
                "path": "fleet",
                "interval": interval,
                "deletionPolicy": "Delete",
                "writeBack": {"enabled": True},
            },
        }

    def applied(self, commit: str) -> None:
        def there() -> bool:
            status = self.mesh.get(self.name, "gitsource").get("status") or {}
            return bool(status.get("appliedCommit") == commit)

        until(there, seconds=90, what=f"{commit} is applied")

    def ticket(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``agentsmesh ticket``."""
        where = ("--kubeconfig", str(self.mesh.kubeconfig), "-n", "default")
        argv = [PROGRAM, "ticket", *arguments, *where]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    def says(self, *arguments: str) -> Any:
        done = self.ticket(*arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def log(self, form: str) -> list[str]:
        said = run(
            *("git", "-C", str(self.team.bare), "log", f"--format={form}"),
            *("main", "--not", self.begin),
        )
        return [line for line in said.splitlines() if line]

    def operations(self) -> list[str]:
        return self.log("%(trailers:key=Operation-Id,valueonly)")

    def close(self) -> None:
        self.mesh.kubectl("delete", "gitsource", self.name, "-n", "default", "--timeout=60s")
        assert not self.mesh.exists("tk-aaaa", "ticket")


@pytest.fixture
def local(mesh: Mesh) -> Iterator[World]:
    """A repository that the shared mesh opens by its path."""
    with tempfile.TemporaryDirectory(dir=mesh.folder / "git") as folder:
        team = Team(Path(folder))
        made = World(mesh, team, f"file://{team.bare}", "written")
        yield made
        made.close()


def test_people_change_tickets_in_git_and_lose_nothing_of_each_other(local: World) -> None:
    made = local.says("create", "Find the leak", "--label", "flaky", "--accept", "it is found")
    name = made["name"]
    assert (made["pending"], made["commit"]) == (False, local.team.tip())
    path = f"fleet/tickets/{name}-find-the-leak.md"
    assert f"id: {name}" in local.team.show(path)

    done = local.ticket("update", "tk-aaaa", "--state", "in_progress", "--done", "a1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ticket tk-aaaa updated (commit ")
    changed = FILES[FIRST].replace("todo", "in_progress").replace("false", "true", 1)
    assert local.team.show(FIRST) == changed.strip()

    git = ("git", "-C", str(local.team.clone))
    run(*git, "pull", "-q", "--rebase", str(local.team.bare), "main")
    theirs = changed.replace("priority: high", "priority: urgent  # customer")
    ours = subprocess.Popen(
        [
            *(PROGRAM, "ticket", "update", "tk-aaaa", "--state", "in_review", "-n", "default"),
            *("--kubeconfig", str(local.mesh.kubeconfig)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    (local.team.clone / FIRST).write_text(theirs)
    run(*git, "commit", "-q", "-am", "by hand")

    def pushed() -> bool:
        run(*git, "pull", "-q", "--rebase", str(local.team.bare), "main")
        there = subprocess.run(
            [*git, "push", "-q", str(local.team.bare), "HEAD:main"], check=False, stderr=-1
        )
        return there.returncode == 0

    until(pushed, what="the person has pushed")
    out, err = ours.communicate(timeout=60)
    assert ours.returncode == 0, out + err
    both = theirs.replace("state: in_progress", "state: in_review")
    until(lambda: local.team.show(FIRST) == both.strip(), what="both changes are there")
    where = ("--kubeconfig", str(local.mesh.kubeconfig), "-n", "default")
    run(PROGRAM, "reconcile", "source", local.name, *where)
    assert local.says("show", "tk-aaaa")["spec"]["priority"] == "urgent"
    assert "by hand" in local.log("%s")
    assert len(local.operations()) == len(set(local.operations())) == 3
    listed = local.ticket("list", "--state", "in_review").stdout
    assert "tk-aaaa" in listed
    assert "tk-bbbb" not in listed
    assert f"{FIRST} (GitSource written" in local.ticket("show", "tk-aaaa").stdout


def test_what_the_api_refuses_is_not_committed_and_is_told(local: World) -> None:
    rule = "a ticket cannot depend on its own parent"
    done = local.ticket("update", "tk-bbbb", "--parent", "tk-aaaa", "--depends-on", "tk-aaaa")
    assert done.returncode != 0, done.stdout
    assert rule in done.stderr
    done = local.ticket("update", "tk-bbbb", "--parent", "tk-bbbb")
    assert "a ticket cannot be its own parent" in done.stderr
    done = local.ticket("create", "New", "--parent", "tk-aaaa", "--depends-on", "tk-aaaa")
    assert rule in done.stderr
    assert local.team.tip() == local.begin
    said = local.ticket("update", "tk-bbbb", "--state", "todo").stdout
    assert said == "ticket tk-bbbb: nothing to change\n"

    bad = FILES[SECOND].replace("state:", "parent: tk-aaaa\ndependsOn: [tk-aaaa]\nstate:")
    tip = local.team.push({SECOND: bad}, "by hand")
    local.applied(tip)
    done = local.ticket("update", "tk-bbbb", "--no-depends-on", "tk-aaaa")
    assert done.returncode == 1, done.stdout
    for word in ("nothing was changed", f"{SECOND}:", "(Refused)", rule):
        assert word in done.stderr
    assert local.team.tip() == tip


@pytest.fixture(scope="module")
def remote_mesh() -> Iterator[Mesh]:
    """A mesh of its own, which may open repositories on loopback."""
    with tempfile.TemporaryDirectory(prefix="mesh-e2e-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        made = Mesh(folder, folder / "data")
        make_origin(folder / "git")
        made.up("--git-allow", "127.0.0.1")
        try:
            yield made
        finally:
            made.down()


@pytest.fixture
def remote(remote_mesh: Mesh, tmp_path: Path) -> Iterator[World]:
    """A repository behind a server over https."""
    with served(tmp_path, tmp_path) as (server, credentials):
        team = Team(tmp_path)
        run("git", "-C", str(team.bare), "config", "http.receivepack", "true")
        until(remote_mesh.all_ready, seconds=60, what="the mesh is ready")
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "team", "namespace": "default"},
            "stringData": {
                "username": "ada",
                "password": PASSWORD,
                "ca.crt": credentials.ca_certificates,
            },
        }
        remote_mesh.apply(secret)
        url = f"{server.url}/team.git"
        made = World(remote_mesh, team, url, "team", authSecretRef={"name": "team"})
        yield made
        made.close()


@pytest.mark.faults
@pytest.mark.timeout(180)
@pytest.mark.parametrize("moment", ["pre-receive", "post-receive"])
def test_a_controller_that_is_killed_around_a_push_makes_no_commit_twice(
    remote: World, moment: str
) -> None:
    """GIT-10: ``post-receive`` runs when the push has landed and nobody was told."""
    mesh, bare = remote.mesh, remote.team.bare
    victim = bare / "victim"
    victim.write_text(f"{mesh.pid('controller')}\n")
    hook = bare / "hooks" / moment
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        "#!/bin/sh\nif [ -e victim ]; then kill -9 $(cat victim); mv victim killed; fi\n"
    )
    hook.chmod(0o755)
    where = ("--kubeconfig", str(mesh.kubeconfig), "-n", "default")
    asked = [
        subprocess.Popen([PROGRAM, "ticket", *words, *where], stdout=-1, stderr=-1, text=True)
        for words in (
            ("update", "tk-aaaa", "--state", "in_review"),
            ("update", "tk-bbbb", "--state", "done"),
            ("create", "Find the leak", "--name", "tk-cccc"),
        )
    ]
    until((bare / "killed").exists, seconds=60, what="the controller was killed")
    for one in asked:
        one.communicate(timeout=90)  # it may have been told nothing: what counts lies in git
    until(mesh.all_ready, seconds=60, what="the controller is back")
    again = remote.ticket("update", "tk-bbbb", "--priority", "low")
    assert again.returncode == 0, again.stderr
    until(
        lambda: remote.mesh.get("team", "gitsource")["status"]["writeBack"]["pending"] == 0,
        seconds=60,
        what="nothing waits",
    )
    assert "state: in_review" in remote.team.show(FIRST)
    assert "state: done" in remote.team.show(SECOND)
    landed = remote.operations()
    assert len(landed) == len(set(landed))
    for subject in (
        "Update tk-aaaa: state in_review",
        "Update tk-bbbb: state done",
        "Create tk-cccc: Find the leak",
    ):
        said = "\n".join(remote.log("%B")).count(subject)
        assert said == 1, (subject, said)
    files = run("git", "-C", str(bare), "ls-tree", "-r", "--name-only", "main").splitlines()
    assert len([path for path in files if "tk-cccc" in path]) == 1
    assert run("git", "-C", str(bare), "log", "--merges", "--format=%h", "main") == ""
    log = next(mesh.data.rglob("controller.log"))
    assert PASSWORD not in log.read_text(errors="replace")


@pytest.mark.faults
@pytest.mark.timeout(180)
def test_ten_idle_intervals_make_no_commit_and_no_write(remote: World) -> None:
    """GIT-11."""
    assert remote.ticket("update", "tk-aaaa", "--state", "done").returncode == 0
    remote.mesh.apply(remote.source("5s"))
    remote.applied(remote.team.tip())

    def everything() -> dict[str, str]:
        out = remote.mesh.kubectl("get", "tickets,gitsources,repositories", "-A", "-o", "json")
        return {
            f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for item in json.loads(out)["items"]
        }

    seen: list[Any] = []

    def settled() -> bool:
        seen.append((everything(), remote.team.tip()))
        time.sleep(2)
        return len(seen) > 3 and seen[-1] == seen[-3]

    until(settled, seconds=60, what="nothing changes any more")
    time.sleep(52)  # ten intervals of five seconds: the claim itself
    assert (everything(), remote.team.tip()) == seen[-1]
