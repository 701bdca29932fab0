"""The programs take the arguments of their built-in classes: without a runner and a terminal."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.builtin.catalog import builtin
from controller.placement.resolve import resolve
from runner.drivers import agents
from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod
from schemas.quoting import TextFormat
from tests.agents.classes import AGENTS, PROVIDERS, SEARCH_PATH
from tests.agents.fakemodel import FakeModel

pytestmark = [pytest.mark.agents, pytest.mark.timeout(3000)]

MODES = ("plan", "default", "acceptEdits", "bypassPermissions")
PATIENCE = 600
"""Seconds; how long a program takes is for the machine to say."""


@dataclass(frozen=True)
class Room:
    """A home and a worktree, where a program is started by hand."""

    home: Path
    tree: Path

    def run(self, agent: str, pod: dict[str, Any], before: str = "", *after: str) -> str:
        """Start *agent* as *pod* asks; return what it printed. It may not fail."""
        done = self.tried(agent, pod, before, *after)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def tried(
        self, agent: str, pod: dict[str, Any], before: str = "", *after: str
    ) -> "subprocess.CompletedProcess[str]":
        """Start *agent* with *before* ahead of its class's arguments, and *after* behind them."""
        about = {"name": "fix", "namespace": "default"}
        name = PROVIDERS[agent].agent_class
        spec = resolve(
            AgentPod.model_validate({"metadata": about, "spec": {"agentClassName": name, **pod}}),
            AgentClass.model_validate(builtin(name).manifest),
            None,
        ).spec
        names = {"HOME": str(self.home), "WORKTREE": str(self.tree)}
        files = [
            (file.path, agents.expand(file.content, names, TextFormat(file.format or "text")))
            for file in spec.home_files
        ]
        agents.write_home(self.home, files)
        given = {each.name: agents.expand(each.value, names) for each in spec.environment}
        program = agents.resolve(agent, SEARCH_PATH)
        args = [*([before] if before else []), *(agents.expand(arg, names) for arg in spec.args)]
        return subprocess.run(
            [str(program), *args, *after],
            cwd=self.tree,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = Room(tmp_path / "home", tmp_path / "tree")
    made.home.mkdir(mode=0o700)
    made.tree.mkdir()
    return made


ENDS = {
    "claude": ("--version",),
    "codex": ("--version",),
    "gemini": ("--list-sessions",),
    "aider": ("--exit", "--no-git"),
}
"""With these a program looks at all its arguments, and ends. OpenCode has nothing like it."""


def modes_of(agent: str) -> dict[str, list[str]]:
    """Return the arguments of each mode, those that are the same for two of them once."""
    found: dict[str, list[str]] = builtin(PROVIDERS[agent].agent_class).spec["permissionModes"]
    assert set(found) == set(MODES)
    return {
        mode: args
        for mode, args in found.items()
        if args not in list(found.values())[: list(found).index(mode)]
    }


@pytest.mark.parametrize("agent", ENDS)
def test_a_program_knows_each_permission_mode(room: Room, agent: str) -> None:
    provider = PROVIDERS[agent]
    asked = {
        "model": provider.model,
        "config": {provider.base: "http://127.0.0.1:9", "keyless": "true"},
    }
    for mode in modes_of(agent):
        said = room.run(agent, {**asked, "permissionMode": mode}, "", *ENDS[agent])
        assert "overridden" not in said, said
    wrong = {"claude": "--permission-mode", "gemini": "--approval-mode", "aider": "--chat-mode"}
    refused = room.tried(agent, asked, "", wrong.get(agent, "--sandbox"), "bogus", *ENDS[agent])
    assert refused.returncode != 0, "else this test finds nothing"


def test_opencode_has_the_agents_and_the_flags_of_its_modes(room: Room) -> None:
    modes = modes_of("opencode")
    listed = {line.split(" ")[0] for line in _rows(room.tried("opencode", {}, "agent", "list"))}
    flags = {line.split(" ")[0] for line in _rows(room.tried("opencode", {}, "", "--help"))}
    for flag, *names in (args for args in modes.values() if args):
        assert flag in flags, flags
        assert listed.issuperset(names), listed


def _rows(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert done.returncode == 0, done.stdout
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


HEADLESS = {
    "claude": ("", ("-p",)),
    "codex": ("", ("exec", "--skip-git-repo-check")),
    "gemini": ("", ("-p",)),
    "opencode": ("run", ()),
    "aider": ("", ("--no-git", "--message")),
}
"""What a program is given before and behind its class's arguments, to answer one prompt."""


@pytest.mark.parametrize("agent", AGENTS)
def test_a_gateway_that_asks_for_no_key_is_asked_without_one(
    room: Room, model: FakeModel, agent: str
) -> None:
    asked = PROVIDERS[agent].pod(model.url)
    asked |= {"environment": [], "permissionMode": "plan"}
    asked["config"] = {**asked["config"], "keyless": "true"}
    if agent == "opencode":  # the option is for models of that provider
        asked |= {"model": "openai/gpt-5", "config": {"openaiApiBase": f"{model.url}/v1"}}
        asked["config"]["keyless"] = "true"
    before, after = HEADLESS[agent]
    prompt = f"Tell {agent} that no key is needed"
    said = room.run(agent, asked, before, *after, prompt)
    assert any(prompt in turn.text for turn in model.turns), said
    assert "SAID" in said
