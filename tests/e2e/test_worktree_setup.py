"""Scripts of Repository and class make a new worktree ready before the agent starts."""

import pytest

from tests.e2e.harness import Mesh, agent_class, agent_pod, repository, until

pytestmark = pytest.mark.timeout(120)


def with_setup(mesh: Mesh, name: str, script: str) -> None:
    klass = agent_class(name, "cat made-by; sleep 1000")
    klass["spec"]["worktree"] = {"setup": {"script": script, "timeoutSeconds": 30}}
    mesh.apply(klass)


def test_both_scripts_run_in_the_pods_terminal_before_its_agent(mesh: Mesh):
    origin = f"file://{mesh.folder / 'git/origin.git'}"
    shop = repository("shop-setup", origin)
    shop["spec"]["worktree"] = {"setup": {"script": "echo repository >> made-by; echo first"}}
    shop["spec"]["warmWorktrees"] = 1
    mesh.apply(shop)
    with_setup(mesh, "set-up", "echo class >> made-by; test -z ${AGENTSMESH_MCP_TOKEN-}")
    for pod in ("set-up-1", "set-up-2"):
        mesh.apply(agent_pod(pod, "set-up", repositoryRef={"name": "shop-setup"}))
        mesh.ready(pod)
        until(lambda pod=pod: "class" in mesh.logs(pod), what="the agent has begun")
        shown = mesh.logs(pod)
        assert shown.index("first") < shown.index("repository") < shown.index("class")


def test_a_setup_that_fails_fails_the_pod_with_its_last_line(mesh: Mesh):
    with_setup(mesh, "set-up-badly", "echo no such package; exit 7")
    mesh.apply(agent_pod("badly", "set-up-badly", repositoryRef={"name": "origin"}))
    until(lambda: mesh.get("badly")["status"].get("phase") == "Failed", what="it has failed")
    initialized = mesh.condition("badly", "Initialized")
    observed = mesh.get("badly")["status"]["observed"]
    assert observed["reason"] == "SetupFailed"
    assert "exit code 7" in observed["message"]
    assert "no such package" in observed["message"]
    assert initialized["status"] == "False"
