"""AgentClasses of the real agents, with a model on loopback in place of their providers."""

import json
from pathlib import Path
from typing import Any

INSTALLED = Path(__file__).resolve().parents[2] / ".agents" / "node_modules" / ".bin"
"""Where scripts/agents puts them."""

AGENTS = ("claude", "codex", "gemini", "opencode")

READY = {
    "claude": r"shift\+tab to cycle|for agents|for shortcuts",
    "codex": r"Ask Codex to do anything",
    "gemini": r"Type your message",
    "opencode": r"ctrl\+p commands",
}
"""What each agent's screen shows when it takes a prompt."""


def agent_class(agent: str, model_url: str) -> dict[str, Any]:
    """Return the class of *agent*, with ``model_url`` as its provider."""
    spec = {
        "claude": _claude,
        "codex": _codex,
        "gemini": _gemini,
        "opencode": _opencode,
    }[agent](model_url)
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "AgentClass",
        "metadata": {"name": agent},
        "spec": {
            "executable": agent,
            "versionCommand": ["--version"],
            "prompt": {"position": "typed"},
            "readiness": {"regex": READY[agent], "timeoutSeconds": 120},
            "mcp": {"format": agent},
            **spec,
        },
    }


def _environment(**variables: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in variables.items()]


def _claude(url: str) -> dict[str, Any]:
    settings = {"skipDangerousModePermissionPrompt": True}
    home = {"hasCompletedOnboarding": True}
    return {
        "args": [
            *("--permission-mode", "bypassPermissions"),
            *("--settings", json.dumps(settings)),
        ],
        "environment": _environment(
            ANTHROPIC_BASE_URL=url,
            ANTHROPIC_AUTH_TOKEN="x",
            CLAUDE_CODE_SANDBOXED="1",
            IS_SANDBOX="1",
            DISABLE_AUTOUPDATER="1",
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
            CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL="1",
        ),
        "homeFiles": [{"path": ".claude.json", "content": json.dumps(home)}],
    }


def _codex(url: str) -> dict[str, Any]:
    settings = f"""
model = "gpt-5"
model_provider = "fake"
check_for_update_on_startup = false

[model_providers.fake]
name = "fake"
base_url = "{url}/v1"
env_key = "FAKE_KEY"
wire_api = "responses"

[analytics]
enabled = false

[features]
plugins = false
apps = false
daemon_auto_start = false

[projects."$(HOME)"]
trust_level = "trusted"

[projects."$(WORKTREE)"]
trust_level = "trusted"
"""
    return {
        "args": ["--dangerously-bypass-approvals-and-sandbox"],
        "environment": _environment(FAKE_KEY="x"),
        "homeFiles": [{"path": ".codex/config.toml", "content": settings}],
    }


def _gemini(url: str) -> dict[str, Any]:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False},
    }
    return {
        "args": ["-m", "gemini-2.5-pro"],
        "environment": _environment(
            GOOGLE_GEMINI_BASE_URL=url,
            GEMINI_API_KEY="x",
            GEMINI_CLI_HOME="$(HOME)",
        ),
        "homeFiles": [{"path": ".gemini/settings.json", "content": json.dumps(settings)}],
    }


def _opencode(url: str) -> dict[str, Any]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{url}/v1", "apiKey": "x"},
        "models": {"fake-model": {"tool_call": True}},
    }
    settings = {
        "autoupdate": False,
        "share": "disabled",
        "permission": "allow",
        "provider": {"fake": provider},
        "model": "fake/fake-model",
        "small_model": "fake/fake-model",
    }
    return {
        "environment": _environment(
            OPENCODE_DISABLE_AUTOUPDATE="1",
            OPENCODE_DISABLE_MODELS_FETCH="1",
            OPENCODE_DISABLE_LSP_DOWNLOAD="1",
            OPENCODE_CONFIG_CONTENT=json.dumps(settings),
        ),
    }
