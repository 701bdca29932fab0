"""What a person gives a pod to do: taken once, told how it ended, whatever happens meanwhile."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import PROGRAM, Mesh, agent_class, agent_pod, pod_dir, until

pytestmark = pytest.mark.timeout(240)

_READ = """
echo ready
while IFS= read -r line; do echo "$line" >> "$AGENTSMESH_HOME/said"; echo ok; done
"""


@pytest.fixture
def reader(mesh: Mesh) -> Iterator[str]:
    """Give the name of a pod whose agent writes down what it is given."""
    mesh.apply(agent_class("reads", _READ, "typed"))
    mesh.apply(agent_pod("reader", "reads", prompt="begin"))
    mesh.ready("reader")
    yield "reader"
    mesh.delete("reader")


def prompt(mesh: Mesh, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    argv = [PROGRAM, "prompt", *words, "-n", "default", "--kubeconfig", str(mesh.kubeconfig)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, input=stdin)


def said(mesh: Mesh, name: str) -> list[str]:
    """Return what the pod's agent was given."""
    file = pod_dir(mesh, mesh.get(name)["metadata"]["uid"]) / "home" / "said"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def desire(mesh: Mesh, name: str, **spec: Any) -> None:
    patch = json.dumps({"spec": spec})
    mesh.kubectl("patch", "agentpod", name, "-n", "default", "--type=merge", "-p", patch)


def test_a_prompt_is_typed_once_and_its_end_is_told(mesh: Mesh, reader: str):
    done = prompt(mesh, reader, "mend the tests", "--key", "a")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("prompt prompt-")
    again = prompt(mesh, reader, "mend the tests", "--key", "a", "-o", "json")
    assert json.loads(again.stdout)["state"] == "submitted"
    quick = prompt(mesh, reader, "-", "--no-wait", "--key", "b", stdin="and the docs\n")
    assert quick.returncode == 0
    ended = prompt(mesh, reader, "and the docs\n", "--key", "b", "-o", "json")
    assert json.loads(ended.stdout)["prompt_id"] == quick.stdout.strip()
    assert said(mesh, reader) == ["begin", "mend the tests", "and the docs"]


def test_what_cannot_be_taken_is_refused_at_once_with_its_exit_code(mesh: Mesh, reader: str):
    mesh.apply(agent_class("deaf", "exec sleep 100000"), agent_pod("deaf", "deaf"))
    mesh.apply(agent_class("brief", "exit 0"), agent_pod("brief", "brief"))
    mesh.phase("brief", "Succeeded")
    answers = {
        "nobody": (3, "there is no AgentPod nobody"),
        "deaf": (1, "takes no prompts"),
        "brief": (1, "pod brief has ended"),
    }
    for name, (code, why) in answers.items():
        done = prompt(mesh, name, "go on")
        assert (done.returncode, why in done.stderr) == (code, True), done.stderr
    assert prompt(mesh, reader, "x" * 40000).returncode == 1
    assert prompt(mesh, reader, " ").returncode == 2
    for name in ("deaf", "brief"):
        mesh.delete(name)


def test_a_prompt_waits_for_a_suspended_pod_while_the_controller_is_killed(mesh: Mesh, reader: str):
    until(lambda: said(mesh, reader) == ["begin"], what="the first prompt has come")
    desire(mesh, reader, suspend=True)
    until(
        lambda: mesh.condition(reader, "Suspended").get("status") == "True", what="it is suspended"
    )
    argv = [PROGRAM, "prompt", reader, "when you wake", "-n", "default"]
    with subprocess.Popen(
        [*argv, "--kubeconfig", str(mesh.kubeconfig)], text=True, stderr=subprocess.PIPE
    ) as waiting:
        assert waiting.stderr is not None
        assert "is taken and waits for the agent" in waiting.stderr.readline()
        mesh.replace("controller")
        assert said(mesh, reader) == ["begin"]
        desire(mesh, reader, suspend=False)
        assert waiting.wait(timeout=120) == 0
    assert said(mesh, reader) == ["begin", "when you wake"]


def test_the_first_prompt_is_not_given_again_to_an_agent_that_goes_on(mesh: Mesh, reader: str):
    until(lambda: said(mesh, reader) == ["begin"], what="the first prompt has come")
    desire(mesh, reader, desiredState="Stopped")
    until(lambda: mesh.get(reader)["status"]["phase"] in {"Succeeded", "Failed"}, what="it ended")
    refused = prompt(mesh, reader, "anybody?")
    assert (refused.returncode, "has ended" in refused.stderr) == (1, True)
    desire(mesh, reader, desiredState="Running")
    mesh.phase(reader, "Running")
    assert prompt(mesh, reader, "go on").returncode == 0
    assert said(mesh, reader) == ["begin", "go on"]
