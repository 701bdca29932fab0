"""Claude Code, Codex, Gemini CLI, OpenCode and Aider as published, with the built-in classes."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyte
import pytest

from tests.agents.classes import AGENTS, INSTALLED, KEY, PROVIDERS, WITH_MCP
from tests.agents.fakemodel import FakeModel, Turn
from tests.e2e.harness import PROGRAM, Mesh, agent_pod, pod_dir, processes_of, run, until

pytestmark = [pytest.mark.agents, pytest.mark.timeout(3000)]

PATIENCE = 600
"""Seconds for what an agent does: some take fifteen of a processor's, and it may have others."""

_PRIVATE_STYLES = re.compile(r"\x1b\[[<=>?][\d;:]*m")
"""Asks a terminal how it reports keys, say; pyte takes them for colours, and fails."""

COMMIT = "printf made > made.txt && git add made.txt && git commit -qm Made"


def first_prompt(agent: str) -> str:
    """Return a prompt that is easily spoiled, and has the agent make a file and commit it."""
    does = "WRITE made.txt made" if agent == "aider" else f"SHELL {COMMIT}"
    return f'- Mark {agent}: say "hi", don\'t $(HOME)\n\tünïcode 🙂 \\n\n{does}'


def drawn(output: str) -> list[str]:
    """Return the rows that the output leaves on a terminal."""
    screen = pyte.Screen(120, 40)
    pyte.Stream(screen).feed(_PRIVATE_STYLES.sub("", output))
    return list(screen.display)


def prompted(model: FakeModel, agent: str, text: str) -> list[Turn]:
    """Return how the prompt reached the model, without helpers' questions about it."""
    least = 0 if agent == "aider" else 2  # tools that are offered
    return [
        turn
        for turn in model.turns
        if _flat(text) in _flat(turn.text) and turn.answer is None and len(turn.tools) >= least
        if not (agent == "aider" and "commit message" in turn.history)
    ]


def git(tree: Path, *args: str) -> str:
    argv = ["git", "-c", "safe.directory=*", *args]
    return subprocess.run(argv, cwd=tree, capture_output=True, text=True, check=True).stdout


@pytest.fixture(autouse=True)
def _shown(mesh: Mesh) -> Iterator[None]:
    """Print, for a report of failure, what the agents' screens and conditions say at the end."""
    yield
    for pod in mesh.kubectl("get", "agentpods", "-n", "default", "-o", "name").split():
        name = pod.rpartition("/")[2]
        print(name, json.dumps(mesh.get(name)["status"], indent=1))  # noqa: T201 - for the report
        print(*(row for row in drawn(mesh.logs(name, "--raw")) if row.strip()), sep="\n")  # noqa: T201
        mesh.delete(name)


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_does_its_work_and_goes_on_with_it(
    mesh: Mesh, model: FakeModel, agent: str
) -> None:
    pod, provider = f"real-{agent}", PROVIDERS[agent]
    mesh.apply(
        agent_pod(
            *(pod, provider.agent_class),
            prompt=first_prompt(agent),
            repositoryRef={"name": "origin"},
            **provider.pod(model.url),
        )
    )
    uid = mesh.ready(pod, seconds=PATIENCE)["metadata"]["uid"]
    tree = _worktree(pod_dir(mesh, uid))
    commits = ("rev-list", "--count", "HEAD")
    until(lambda: git(tree, *commits).strip() == "2", seconds=PATIENCE, what=f"{agent} committed")
    _is_as_it_should_be(mesh, pod, uid, tree)
    whole = prompted(model, agent, first_prompt(agent))
    seen = [turn.text[-300:] for turn in model.turns if "Mark" in turn.text]
    assert len(whole) == 1, f"it was given once, and whole: {seen}"

    before = mesh.get(pod)["status"]["observed"]["pid"]
    mesh.replace("runner")
    asks = "CALL list_available_pods" if agent in WITH_MCP else "Say that you are well"
    _prompt(mesh, pod, f"Second {agent}: {asks}")
    if agent in WITH_MCP:
        _until_answered(model, pod, f"{agent} called a tool after its runner was killed")
    until(
        lambda: prompted(model, agent, f"Second {agent}"),
        seconds=PATIENCE,
        what="the second prompt",
    )
    assert mesh.get(pod)["status"]["observed"]["pid"] == before, "it is the same process"

    _desired(mesh, pod, "Stopped")
    until(lambda: not processes_of(uid), seconds=PATIENCE, what="nothing of it is left")
    _desired(mesh, pod, "Running")
    mesh.ready(pod, seconds=PATIENCE)
    _prompt(mesh, pod, f"Third {agent}: go on")
    found = until(
        lambda: prompted(model, agent, f"Third {agent}"), seconds=PATIENCE, what="the third"
    )
    assert f"Second {agent}" in found[-1].history, "it is the session that it had"
    for mark in ("Mark", "Second", "Third"):
        assert len(prompted(model, agent, f"{mark} {agent}:")) == 1, f"{mark} was given once"
    mesh.delete(pod)


def _is_as_it_should_be(mesh: Mesh, pod: str, uid: str, tree: Path) -> None:
    assert (tree / "made.txt").read_text().strip() == "made"
    assert git(tree, "log", "-1", "--format=%ae").strip() == f"{pod}@default.agentsmesh"
    assert git(tree, "status", "--porcelain", "--ignored") == "", "nothing else is in the worktree"
    until(
        lambda: mesh.condition(pod, "AgentFound").get("status") == "True",
        seconds=PATIENCE,
        what="AgentFound",
    )
    assert ", version " in mesh.condition(pod, "AgentFound")["message"]
    for pid in processes_of(uid):
        try:
            argv = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue  # it has ended
        assert KEY.encode() not in argv, argv
    assert KEY not in json.dumps(mesh.get(pod)["status"])
    for path in (path for path in pod_dir(mesh, uid).joinpath("home").rglob("*") if path.is_file()):
        assert KEY.encode() not in path.read_bytes(), path


def _prompt(mesh: Mesh, pod: str, text: str) -> None:
    run(PROGRAM, "prompt", pod, text, "-n", "default", "--kubeconfig", str(mesh.kubeconfig))


def _desired(mesh: Mesh, pod: str, state: str) -> None:
    patch = json.dumps({"spec": {"desiredState": state}})
    mesh.kubectl("patch", "agentpod", pod, "-n", "default", "--type=merge", "-p", patch)


def _until_answered(model: FakeModel, text: str, what: str) -> None:
    until(lambda: any(text in answer for answer in model.answers()), seconds=PATIENCE, what=what)


@pytest.mark.parametrize(
    ("agent", "says"),
    [("claude", "✔ Connected"), ("gemini", "Connected"), ("opencode", "connected")],
)
def test_mcp_list_shows_the_server_as_connected(mesh: Mesh, agent: str, says: str) -> None:
    found = mesh.kubectl("get", "agentclass", PROVIDERS[agent].agent_class, "-o", "json")
    lister = INSTALLED / f"list-{agent}"  # beside the agent: what is there a pod may read
    lister.write_text(f'#!/bin/sh\n"$(dirname "$0")/{agent}" mcp list\necho END\nexec sleep 1000\n')
    lister.chmod(0o755)
    spec = {**json.loads(found)["spec"], "executable": str(lister), "args": []}
    spec |= {"prompt": {"position": "none"}, "minimumVersion": None}
    name = f"list-{agent}"
    mesh.apply(
        {
            "apiVersion": "agentsmesh.io/v1alpha1",
            "kind": "AgentClass",
            "metadata": {"name": name},
            "spec": spec,
        },
        agent_pod(name, name),
    )
    mesh.ready(name, seconds=PATIENCE)
    until(lambda: "END" in mesh.logs(name), seconds=PATIENCE, what="mcp list ended")
    text = drawn(mesh.logs(name, "--raw"))
    mine = "ntsmesh"  # what a terminal has not drawn it leaves out: Claude skips an "e"
    assert any(mine in each and says in each for each in text), text
    mesh.delete(name)
    lister.unlink()


def _flat(text: Any) -> str:
    return " ".join(str(text).split())


def _worktree(folder: Path) -> Path:
    return next(path.parent for path in folder.rglob(".mcp.json"))
