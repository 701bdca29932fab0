"""Deleting takes everything with it, whatever is under way at that moment."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import (
    PROGRAM,
    Mesh,
    agent_class,
    agent_pod,
    is_clear,
    pod_dir,
    processes_of,
    repository,
    run,
    until,
)

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def silent_remote() -> Iterator[str]:
    """Give the address of a git server that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/x.git"


def test_a_pod_that_is_deleted_while_it_is_prepared_is_gone_at_once(mesh: Mesh, silent_remote: str):
    mesh.apply(repository("silent", silent_remote))
    mesh.apply(agent_pod("preparing", "idle", repositoryRef={"name": "silent"}))
    uid = mesh.get("preparing")["metadata"]["uid"]
    mesh.phase("preparing", "Starting")  # git is waiting for its answer
    mesh.delete("preparing")
    is_clear(mesh, uid)


def test_pods_deleted_at_any_moment_of_their_start_leave_nothing(mesh: Mesh):
    names = [f"brief-{number}" for number in range(8)]
    uids = []
    for name in names:
        mesh.apply(agent_pod(name, "idle", repositoryRef={"name": "origin"}))
        uids.append(mesh.get(name)["metadata"]["uid"])
        mesh.kubectl("delete", "agentpod", name, "-n", "default", "--wait=false")
    for name in names:
        until(lambda name=name: not mesh.exists(name), seconds=60, what=f"{name} has gone")
    for uid in uids:
        is_clear(mesh, uid)


def test_two_hundred_processes_are_cleared_away(mesh: Mesh):
    script = """
trap '' TERM HUP
for i in $(seq 200); do (trap '' TERM HUP; exec setsid sleep 100000 </dev/null >/dev/null 2>&1) &
done; echo the-end; wait; sleep 100000
"""
    mesh.apply(agent_class("forks", script))
    mesh.apply(agent_pod("many", "forks"))
    uid = mesh.ready("many")["metadata"]["uid"]
    until(lambda: len(processes_of(uid)) > 200, what="they are there")
    mesh.delete("many")
    is_clear(mesh, uid)


def test_a_branch_that_is_to_be_new_is_one_pods_until_that_is_deleted(mesh: Mesh):
    mesh.apply(agent_class("resting", "exec sleep 100000"))
    use = {"name": "origin", "worktree": {"branch": "mine-alone"}}
    names = {"left", "right"}
    mesh.apply(*(agent_pod(name, "resting", repositoryRef=use) for name in names))

    def refused() -> set[str]:
        return {n for n in names if mesh.condition(n, "Ready").get("reason") == "BranchInUse"}

    until(refused, what="one is refused")
    (second,) = refused()
    (first,) = names - {second}
    mesh.ready(first)
    assert f"pod {first}" in mesh.condition(second, "Initialized")["message"]
    mesh.delete(first)
    assert mesh.ready(second, 60)["status"]["worktree"]["branch"] == "mine-alone"
    mesh.delete(second)


def test_two_pods_may_go_on_with_branches_of_the_same_name(mesh: Mesh):
    """Each has a repository of its own; who pushes second is told so by git, as people are."""
    script = """
echo "$AGENTSMESH_POD" > mine.txt; git add mine.txt; git commit -qm "By $AGENTSMESH_POD"
echo the-end; exec sleep 100000
"""
    mesh.apply(agent_class("commits", script))
    use = {"name": "origin", "worktree": {"branch": "same", "continueBranch": True}}
    names = ("one", "two")
    mesh.apply(*(agent_pod(name, "commits", repositoryRef=use) for name in names))
    for name in names:
        pod = mesh.ready(name)
        assert pod["status"]["worktree"]["branch"] == "same"
        until(lambda name=name: "the-end" in mesh.logs(name), what=f"{name} has committed")
        worktree = pod_dir(mesh, pod["metadata"]["uid"]) / "worktree"
        assert (worktree / "mine.txt").read_text(encoding="utf-8") == f"{name}\n"
        ours = f"safe.directory={worktree}"  # as root: the files are the pod's own account's
        log = run("git", "-c", ours, "-C", str(worktree), "log", "--format=%s", "same")
        assert log.splitlines() == [f"By {name}", "Begin"]
    for name in names:
        mesh.delete(name)


_ORGANIZATION = {
    "apiVersion": "agentsmesh.io/v1alpha1",
    "kind": "Organization",
    "metadata": {"name": "acme"},
    "spec": {"members": [{"subject": {"kind": "User", "name": "ada"}, "role": "owner"}]},
}


class _Runner:
    """A second runner, in the organization acme, started by hand."""

    def __init__(self, mesh: Mesh) -> None:
        self.data = mesh.folder / "second"
        argv = [PROGRAM, "enroll", "create", "--org", "acme", "--name", "second"]
        said = run(*argv, "--kubeconfig", str(mesh.kubeconfig))
        token = said.split("token: ")[1].splitlines()[0]
        file = mesh.private("second.token", token)
        how = next(line for line in said.splitlines() if "-m runner" in line)
        words = how.replace("DIR", str(self.data)).replace("FILE", str(file)).split()
        self.log = (mesh.folder / "second.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, *words[1:]], stdout=self.log, stderr=self.log
        )

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


@pytest.mark.parametrize("kind", ["organization", "namespace"])
def test_an_organization_with_running_pods_goes_with_all_of_them(mesh: Mesh, kind: str):
    mesh.apply(_ORGANIZATION)
    mesh.kubectl("wait", "org/acme", "--for=condition=Ready", "--timeout=30s")
    runner = _Runner(mesh)
    try:
        claim = "--for=condition=Ready"
        until(lambda: _there(mesh, "runner", "second"), what="the runner has enrolled")
        mesh.kubectl("wait", "runner/second", "-n", "acme", claim, "--timeout=30s")
        pods = [agent_pod(name, "idle") for name in ("a", "b")]
        for pod in pods:
            pod["metadata"]["namespace"] = "acme"
        mesh.apply(*pods)
        mesh.kubectl("wait", "agentpods", "--all", "-n", "acme", claim, "--timeout=30s")
        listed = mesh.kubectl("get", "agentpods", "-n", "acme", "-o", "jsonpath={..uid}").split()
        uids = [uid for uid in listed if len(uid) == 36]
        assert all(processes_of(uid) for uid in uids)
        assert len(set(uids)) >= 2
        mesh.kubectl("delete", kind, "acme", "--timeout=60s")
        for uid in uids:
            assert not processes_of(uid)
        assert not _there(mesh, "agentpod", "a")
        _gone_for_good(mesh, kind)
        assert not list(_named(runner.data, uids))
    finally:
        runner.end()


def _there(mesh: Mesh, kind: str, name: str) -> bool:
    out = mesh.kubectl("get", kind, name, "-n", "acme", "--ignore-not-found", "-o", "name")
    return bool(out.strip())


def _gone_for_good(mesh: Mesh, kind: str) -> None:
    """A namespace alone comes back, as its organization is still wanted; empty it is, though."""
    if kind == "namespace":
        mesh.kubectl("delete", "organization", "acme", "--timeout=60s")

    def gone() -> bool:
        out = mesh.kubectl("get", "namespace", "acme", "--ignore-not-found", "-o", "name")
        return not out.strip()

    until(gone, what="the namespace has gone")


def _named(data: Path, uids: list[str]) -> Iterator[Any]:
    for at, folders, files in os.walk(data):
        yield from (f"{at}/{name}" for name in folders + files if name in uids)
