"""The built-in classes through the whole product, with a program that records for the agents."""

import copy
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from controller.builtin.catalog import builtin
from tests.e2e.harness import Mesh, agent_pod, pod_dir, processes_of, until

pytestmark = pytest.mark.timeout(300)

RECORDER = Path(__file__).with_name("agents") / "recorder.py"
SECRET = "sk-" + "s" * 90
BASE = 'http://127.0.0.1:9/v1?a="b"\\c'
TOLD = "- \"two\"  'kinds' of quotes, $(HOME) $HOME `x` ünïcode 🙂\n\tand a tab\n-- end\n"
PROMPT = TOLD + "".join(f"line {n:04}\n" for n in range((32_000 - len(TOLD.encode())) // 10)) + "."

READY = {
    "claude-code": "? for shortcuts",
    "codex": "Ask Codex to do anything",
    "gemini": "Type your message",
    "opencode": "ctrl+p commands",
    "aider": "whole> ",
}
"""What the programs show; the recorder does in their place."""

ASKED: dict[str, dict[str, Any]] = {
    "claude-code": {"option": "apiBase", "key": "ANTHROPIC_API_KEY", "mode": "plan"},
    "codex": {"option": "apiBase", "key": "OPENAI_API_KEY", "mode": "acceptEdits"},
    "gemini": {"option": "apiBase", "key": "GEMINI_API_KEY", "mode": "bypassPermissions"},
    "opencode": {"option": "openaiApiBase", "key": "OPENAI_API_KEY", "mode": "acceptEdits"},
    "aider": {"option": "apiBase", "key": "OPENAI_API_KEY", "mode": "plan"},
}
ENVIRONMENT = {
    "claude-code": "ANTHROPIC_BASE_URL",
    "gemini": "GOOGLE_GEMINI_BASE_URL",
    "opencode": "OPENAI_BASE_URL",
    "aider": "OPENAI_API_BASE",
}
"""Variables of the option, where it is one."""


def recording(name: str) -> dict[str, Any]:
    """Return the built-in class with the recorder for its program."""
    made = copy.deepcopy(builtin(name).manifest)
    made["metadata"] = {"name": f"recorded-{name}"}
    spec = made["spec"]
    spec["executable"] = sys.executable
    spec.pop("minimumVersion", None)
    spec["args"] = ["-u", "$(HOME)/recorder.py", *spec.get("args", ())]
    source = RECORDER.read_text(encoding="utf-8").replace("$", "$$")
    spec["homeFiles"] = [*spec["homeFiles"], {"path": "recorder.py", "content": source}]
    return made


def pod(name: str) -> dict[str, Any]:
    asked = ASKED[name]
    return agent_pod(
        *(f"recorded-{name}", f"recorded-{name}"),
        prompt=PROMPT,
        model="a-model",
        permissionMode=asked["mode"],
        config={asked["option"]: BASE},
        repositoryRef={"name": "origin"},
        environment=[
            {"name": asked["key"], "value": SECRET},
            {"name": "RECORDER_READY", "value": READY[name]},
        ],
    )


def test_every_class_starts_its_agent_as_it_says(mesh: Mesh) -> None:
    mesh.apply(*(recording(name) for name in READY), *(pod(name) for name in READY))
    for name in READY:
        uid = mesh.ready(f"recorded-{name}", seconds=90)["metadata"]["uid"]
        home = pod_dir(mesh, uid) / "home"
        until((home / "prompts.json").exists, seconds=90, what=f"{name} was given its prompt")
        seen = json.loads((home / "seen.json").read_text())
        _is_told_what_the_pod_asks_for(name, seen, home)
        _finds_its_tools(name, seen)
        _keeps_the_key(seen, uid)
        assert [Path(path).name for path in seen["worktree"] if "/.git" not in path] == ["README"]
    for name in READY:
        uid = mesh.get(f"recorded-{name}")["metadata"]["uid"]
        given = json.loads((pod_dir(mesh, uid) / "home" / "prompts.json").read_text())
        assert [text.replace("\r\n", "\n").replace("\r", "\n") for text in given] == [PROMPT]
        mesh.delete(f"recorded-{name}")


def _is_told_what_the_pod_asks_for(name: str, seen: dict[str, Any], home: Path) -> None:
    argv, spec = seen["argv"], builtin(name).spec
    mode = spec["permissionModes"][ASKED[name]["mode"]]
    assert mode == [] or " ".join(mode) in " ".join(argv)
    assert argv[argv.index(spec["model"]["flag"]) + 1] == "a-model"
    if name == "codex":
        settings = [tomllib.loads(arg) for arg in argv if arg.startswith("model_providers")]
        assert settings == [{"model_providers": {"api": {"base_url": BASE}}}]
        config = tomllib.loads(seen["home"][".codex/config.toml"])
        assert str(home) in config["projects"]
        assert config["model_providers"]["api"]["env_key"] == "OPENAI_API_KEY"
    else:
        assert seen["environment"][ENVIRONMENT[name]] == BASE
    assert not any(PROMPT[:20] in arg for arg in argv)


def _finds_its_tools(name: str, seen: dict[str, Any]) -> None:
    home, argv, variables = seen["home"], seen["argv"], seen["environment"]
    url, token = variables["AGENTSMESH_MCP_URL"], variables["AGENTSMESH_MCP_TOKEN"]
    match name:
        case "claude-code":
            server = json.loads(home[".agentsmesh/mcp.json"])["mcpServers"]["agentsmesh"]
            user = json.loads(home[".claude/.claude.json"])
            assert user["hasCompletedOnboarding"]
            settings = json.loads(argv[argv.index("--settings") + 1])
            assert settings["skipDangerousModePermissionPrompt"]
        case "codex":
            told = next(arg for arg in argv if arg.startswith("mcp_servers."))
            server = tomllib.loads(told)["mcp_servers"]["agentsmesh"]
        case "gemini":
            settings = json.loads(home[".gemini/settings.json"])
            server = settings["mcpServers"]["agentsmesh"]
            server = {"url": server["httpUrl"]}
            assert settings["security"]["auth"]["selectedType"] == "gemini-api-key"
        case "opencode":
            server = json.loads(variables["OPENCODE_CONFIG_CONTENT"])["mcp"]["agentsmesh"]
            assert json.loads(home[".config/opencode/opencode.json"])["autoupdate"] is False
        case _:
            server = {"url": url}
    assert server["url"] == url
    assert not any(token in text for text in [*argv, *home.values()])


def _keeps_the_key(seen: dict[str, Any], uid: str) -> None:
    assert SECRET in seen["environment"].values()
    assert not any(SECRET in text for text in [*seen["argv"], *seen["home"].values()])
    for pid in processes_of(uid):
        try:
            assert SECRET.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        except FileNotFoundError:
            continue  # it has ended
