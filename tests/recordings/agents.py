"""Scenarios with the agents' own programs, against a model on loopback that does as it is told."""

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from runner.drivers.claude_hooks import with_hooks
from tests.agents import fakemodel
from tests.agents.classes import READY, SEARCH_PATH, agent_class
from tests.recordings.recorder import Hooks, Recorder

_PAUSE = re.compile(r"PAUSE (\d+)")
_TOOL = re.compile(r"TOOL (\w+) (\{.*\})")


class _FailureError(Exception):
    """The model's server has an error for an answer."""

    def __init__(self, code: int, kind: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.body = {"type": kind, "message": text, "code": code, "status": "FAILED"}


class _Handler(fakemodel._Handler):
    """A model that takes its time, fails, or calls any tool with any arguments."""

    @override
    def _decide(self, turn: fakemodel.Turn) -> tuple[str, dict[str, Any]] | str:
        if turn.answer is None and (pause := _PAUSE.search(turn.text)):
            time.sleep(float(pause[1]))
        elif turn.answer is not None:
            time.sleep(6)
        if "FAIL" in turn.text and turn.tools and turn.answer is None:
            raise _FailureError(529, "overloaded_error", "Overloaded")
        if "REFUSE" in turn.text and "RELENT" not in turn.text and turn.answer is None:
            raise _FailureError(400, "invalid_request_error", "Not that, it says.")
        found = _TOOL.findall(turn.text) if turn.answer is None else None
        if found and turn.tools:
            name, arguments = found[-1]
            offered = sorted((tool for tool in turn.tools if tool.endswith(name)), key=len)
            return next(iter(offered), name), json.loads(arguments)
        return super()._decide(turn)

    @override
    def do_POST(self) -> None:
        try:
            super().do_POST()
        except _FailureError as exc:
            self._json({"type": "error", "error": exc.body}, exc.code)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was interrupted


setattr(fakemodel, "_Handler", _Handler)  # noqa: B010  this program's model is this one


def _turn(r: Recorder, text: str, until: str) -> None:
    """Have it do something, until the screen shows what is said then."""
    r.paste(text)
    r.label("executing")
    r.see(until, 90)
    r.pause(0.5)


def turns(r: Recorder, agent: str) -> None:
    """At rest, at work, at rest, interrupted, at rest."""
    r.see(READY[agent], 90)
    r.pause(4)
    r.label("idle")
    r.pause(15)
    _turn(r, "PAUSE 15 first", "SAID|first")
    r.see(r"SAID", 90)
    r.label("idle")
    r.pause(15)
    r.paste("PAUSE 25 second")
    r.label("executing")
    r.pause(12)
    r.label("")
    for _ in range(2 if agent == "opencode" else 1):
        r.type("\x1b")
        r.pause(1)
    r.pause(1)
    r.label("idle")
    r.pause(15)


SHELL_CALLS = {
    "claude": 'TOOL Bash {"command": "touch made-here", "description": "Make a file"}',
    "codex": 'TOOL exec_command {"cmd": "touch made-here", "justification": "Make it", '
    '"sandbox_permissions": "require_escalated"}',
    "gemini": 'TOOL run_shell_command {"command": "touch made-here"}',
    "opencode": 'TOOL bash {"command": "touch made-here", "description": "Make a file"}',
}
DIALOGS = {
    "claude": r"Do you want to|proceed\?",
    "codex": r"Would you like|Yes, proceed|Allow",
    "gemini": r"Allow execution|Allow once|Yes, allow",
    "opencode": r"Permission required|Allow once|Allow",
}


def permission(r: Recorder, agent: str) -> None:
    """It asks before it runs a command; allowed, it goes on."""
    r.see(READY[agent], 90)
    r.pause(4)
    r.label("idle")
    r.pause(6)
    r.paste(f"PAUSE 6 then {SHELL_CALLS[agent]}")
    r.label("executing")
    r.see(DIALOGS[agent], 180)
    r.label("waiting")
    r.pause(15)
    r.type("\r")
    r.label("executing")
    r.see("ANSWER", 60)
    r.label("idle")
    r.pause(15)


QUESTION = json.dumps(
    {
        "questions": [
            {
                "question": "Which colour shall it be?",
                "header": "Colour",
                "options": [
                    {"label": "Red", "description": "Loud"},
                    {"label": "Blue", "description": "Calm"},
                ],
                "multiSelect": False,
            }
        ]
    }
)


def question(r: Recorder, agent: str) -> None:
    """It asks the person something by a tool that is for that."""
    tool = {"claude": "AskUserQuestion", "opencode": "question", "gemini": "ask_user"}[agent]
    text = (
        QUESTION
        if agent != "gemini"
        else QUESTION.replace('"question":', '"type": "choice", "question":')
    )
    r.see(READY[agent], 90)
    r.pause(4)
    r.paste(f"PAUSE 6 then TOOL {tool} {text}")
    r.label("executing")
    r.see(r"1\. +Red", 180)
    r.label("waiting")
    r.pause(15)
    r.type("\r")
    r.label("executing")
    if agent == "opencode":
        r.pause(1)
        r.type("\r")  # once more, to send it
    r.see("ANSWER", 60)
    r.label("idle")
    r.pause(15)


def failing(r: Recorder, agent: str) -> None:
    """Its model fails: it tries again and again."""
    r.see(READY[agent], 90)
    r.pause(4)
    r.label("idle")
    r.pause(8)
    r.paste("FAIL please")
    r.label("executing")
    r.pause(20)


def stalling(r: Recorder, agent: str) -> None:
    """Its model answers nothing."""
    r.see(READY[agent], 90)
    r.pause(4)
    r.label("idle")
    r.pause(8)
    r.paste("PAUSE 300 long")
    r.label("executing")
    r.pause(40)


def makes_a_file(r: Recorder, agent: str) -> None:
    """Aider: at rest, at work, asks before it makes a file; allowed, it goes on, and rests."""
    r.see(READY[agent], 120)
    r.pause(4)
    r.label("idle")
    r.pause(15)
    r.paste("PAUSE 12 first")
    r.label("executing")
    r.see("SAID", 60)
    r.see(READY[agent], 60)
    r.label("idle")
    r.pause(15)
    r.paste("PAUSE 10 then\nWRITE made.txt hello")
    r.label("executing")
    r.see(r"\(Y\)es/\(N\)o", 60)
    r.label("waiting")
    r.pause(15)
    r.type("\r")  # the answer that it offers
    r.label("")
    r.see(r"^Commit [0-9a-f]+", 60)
    r.pause(2)
    r.label("idle")
    r.pause(15)


_ALL: dict[str, Callable[[Recorder, str], None]] = {
    "turns": turns,
    "permission": permission,
    "question": question,
    "failing": failing,
    "stalling": stalling,
}


@dataclass(frozen=True)
class Plan:
    """What is recorded of which agent, and how."""

    agent: str
    scenario: Callable[[Recorder, str], None]
    mode: str = "default"
    """Its permission mode."""
    size: tuple[int, int] = (120, 40)


SCENARIOS: dict[str, Plan] = {
    f"{agent}-{name}": Plan(agent, scenario)
    for agent in ("claude", "codex", "gemini", "opencode")
    for name, scenario in _ALL.items()
    if (agent, name) not in {("codex", "question")}
} | {"aider-makes-a-file": Plan("aider", makes_a_file)}


def record(folder: Path, name: str, plan: Plan) -> dict[str, Any]:
    """Record one scenario; return its entry among the labels."""
    with tempfile.TemporaryDirectory(prefix="recording-", ignore_cleanup_errors=True) as text:
        home, worktree = Path(text) / "home", Path(text) / "work"
        home.mkdir()
        worktree.mkdir()
        (worktree / "main.py").write_text("print('hello')\n")
        subprocess.run(["git", "init", "-q", "."], cwd=worktree, check=True)
        with fakemodel.FakeModel() as model:
            recorder = _played(plan, (home, worktree), model.url)
        return recorder.save(folder, name, plan.agent)


def _in_mode(args: list[str], modes: dict[str, list[str]], mode: str) -> list[str]:
    """Return the arguments of an agent in that permission mode."""
    bypass = modes["bypassPermissions"]
    starts = (at for at in range(len(args)) if args[at : at + len(bypass)] == bypass)
    at = next(starts)
    return [*args[:at], *modes[mode], *args[at + len(bypass) :]]


def _played(plan: Plan, folders: tuple[Path, Path], url: str) -> Recorder:
    home, worktree = folders
    spec = agent_class(plan.agent, url)["spec"]

    def expanded(text: str) -> str:
        return text.replace("$(HOME)", str(home)).replace("$(WORKTREE)", str(worktree))

    for file in spec.get("homeFiles", ()):
        path = home / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(expanded(file["content"]))
    search = os.pathsep.join(str(each) for each in SEARCH_PATH)
    environment = {
        "PATH": f"{search}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        "AGENTSMESH_MCP_TOKEN": "x",
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
        **{each["name"]: expanded(each["value"]) for each in spec.get("environment", ())},
    }
    args = [expanded(arg) for arg in spec.get("args", ())]
    args = _in_mode(args, spec["permissionModes"], plan.mode)
    hooks = None
    recorders: list[Recorder] = []
    if plan.agent == "claude":
        hooks = Hooks(lambda body: recorders[0].hook(body))  # noqa: PLW0108  made below
        args = list(with_hooks(args, f"http://127.0.0.1:{hooks.port}/mcp"))
    if plan.agent == "opencode" and plan.mode == "default":
        config = json.loads(environment["OPENCODE_CONFIG_CONTENT"])
        config["permission"] = {"bash": "ask", "edit": "ask"}
        environment["OPENCODE_CONFIG_CONTENT"] = json.dumps(config)
    program = next(each / plan.agent for each in SEARCH_PATH if (each / plan.agent).exists())
    recorder = Recorder([str(program), *args], environment, worktree, plan.size)
    recorders.append(recorder)
    try:
        with recorder:
            plan.scenario(recorder, plan.agent)
    finally:
        if hooks is not None:
            hooks.close()
    return recorder
