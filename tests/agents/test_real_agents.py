"""Claude Code, Codex, Gemini CLI and OpenCode as published, with the tools of the mesh."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pyte
import pytest

from tests.agents.classes import AGENTS, INSTALLED
from tests.agents.fakemodel import FakeModel
from tests.e2e.harness import PROGRAM, Mesh, agent_pod, pod_dir, run, until

pytestmark = [pytest.mark.agents, pytest.mark.timeout(240)]


def channel(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "Channel",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"description": "Where the test speaks to the agent"},
    }


def drawn(output: str) -> list[str]:
    """Return the rows that the output leaves on a terminal."""
    screen = pyte.Screen(120, 40)
    pyte.Stream(screen).feed(output)
    return list(screen.display)


def prompts(model: FakeModel, marker: str) -> int:
    """Return how often a prompt with *marker* reached the model, without helpers' questions."""
    return sum(
        marker in turn.text and turn.answer is None and len(turn.tools) > 1 for turn in model.turns
    )


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_calls_its_tools_also_after_its_runner_was_killed(
    mesh: Mesh, model: FakeModel, agent: str
) -> None:
    pod, room = f"real-{agent}", f"room-{agent}"
    mesh.apply(channel(room), agent_pod(pod, agent, prompt="CALL list_available_pods"))
    mesh.ready(pod, seconds=60)
    until(
        lambda: any(pod in answer for answer in model.answers()),
        seconds=90,
        what=f"{agent} called list_available_pods",
    )
    until(lambda: mesh.condition(pod, "ToolsListed").get("status") == "True", what="tools listed")
    before = mesh.get(pod)["status"]["observed"]["pid"]

    mesh.replace("runner")
    text = f"Please CALL get_channel channel_id={room}"
    run(
        *(PROGRAM, "channel", "send", room, text, "--mention", pod, "-n", "default"),
        *("--kubeconfig", str(mesh.kubeconfig)),
    )
    until(
        lambda: any(f'"channel_id":"{room}"' in _plain(answer) for answer in model.answers()),
        seconds=90,
        what=f"{agent} called get_channel after its runner was killed",
    )
    assert prompts(model, f"channel_id={room}") == 1, "the mention arrived once"
    assert mesh.get(pod)["status"]["observed"]["pid"] == before, "it is the same process"
    mesh.delete(pod)


def _plain(answer: str) -> str:
    """Return JSON as the tool gave it, whatever wraps it."""
    return answer.replace("\\", "").replace('": "', '":"')


@pytest.mark.parametrize(
    ("agent", "says"),
    [("claude", "✔ Connected"), ("gemini", "Connected"), ("opencode", "connected")],
)
def test_mcp_list_shows_the_server_as_connected(mesh: Mesh, agent: str, says: str) -> None:
    shown = json.loads(mesh.kubectl("get", "agentclass", agent, "-o", "json"))["spec"]
    lister = INSTALLED / f"list-{agent}"  # beside the agent: what is there a pod may read
    lister.write_text(f'#!/bin/sh\n"$(dirname "$0")/{agent}" mcp list\necho END\nexec sleep 1000\n')
    lister.chmod(0o755)
    spec = {**shown, "executable": str(lister), "args": [], "prompt": {"position": "none"}}
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
    mesh.ready(name, seconds=60)
    until(lambda: "END" in mesh.logs(name), seconds=60, what="mcp list ended")
    text = drawn(mesh.logs(name, "--raw"))
    mine = "ntsmesh"  # what a terminal has not drawn it leaves out: Claude skips an "e"
    assert any(mine in each and says in each for each in text), text
    mesh.delete(name)
    lister.unlink()


@pytest.mark.parametrize("agent", AGENTS)
def test_a_repository_keeps_its_own_mcp_settings(mesh: Mesh, model: FakeModel, agent: str) -> None:
    pod = f"theirs-{agent}"
    mesh.apply(
        agent_pod(pod, agent, prompt="CALL list_repositories", repositoryRef={"name": "origin"})
    )
    uid = mesh.ready(pod, seconds=60)["metadata"]["uid"]
    until(
        lambda: (
            prompts(model, "list_repositories")
            and any('"repository_id"' in _plain(a) for a in model.answers()[-3:])
        ),
        seconds=90,
        what=f"{agent} called list_repositories",
    )
    worktree = _worktree(pod_dir(mesh, uid))
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "status", "--porcelain", "--ignored"],
        cwd=worktree,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "", "nothing was written into the worktree"
    mesh.delete(pod)


def _worktree(folder: Path) -> Path:
    return next(path.parent for path in folder.rglob(".mcp.json"))
