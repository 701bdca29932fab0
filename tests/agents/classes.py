"""The built-in AgentClasses, with a model on loopback in place of their providers."""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.builtin.catalog import builtin
from controller.placement import options
from schemas.agentclass import AgentClassSpec

_PROGRAMS = Path(__file__).resolve().parents[2] / ".agents"
"""Where scripts/agents puts them."""

INSTALLED = _PROGRAMS / "node_modules" / ".bin"
"""What npm installs."""
SEARCH_PATH = (INSTALLED, _PROGRAMS / "aider" / "bin")


@dataclass(frozen=True)
class Provider:
    """How an agent is led to the model on loopback: by the options of its class, and a key."""

    agent_class: str
    key: str
    """The variable of its key."""
    model: str
    base: str
    """The option that says where its provider is."""
    path: str = ""
    """Of the provider's address."""
    config: dict[str, str] = field(default_factory=dict)

    def pod(self, url: str) -> dict[str, Any]:
        """Return what a pod of the built-in class says."""
        return {
            "model": self.model,
            "permissionMode": "bypassPermissions",
            "config": {self.base: f"{url}{self.path}", **self.config},
            "environment": [{"name": self.key, "value": KEY}],
        }


KEY = "sk-ant-api03-" + "k" * 80
"""No key of anybody's. As long as Anthropic's are."""

PROVIDERS = {
    "claude": Provider("claude-code", "ANTHROPIC_API_KEY", "claude-sonnet-4-5", "apiBase"),
    "codex": Provider("codex", "OPENAI_API_KEY", "gpt-5", "apiBase", "/v1"),
    "gemini": Provider("gemini", "GEMINI_API_KEY", "gemini-2.5-pro", "apiBase"),
    "opencode": Provider(
        *("opencode", "ANTHROPIC_API_KEY", "anthropic/claude-sonnet-4-5"),
        *("anthropicApiBase", "/v1"),
    ),
    "aider": Provider(
        *("aider", "OPENAI_API_KEY", "openai/gpt-4o", "apiBase", "/v1"), {"editFormat": "whole"}
    ),
}
"""By the name of the program."""

AGENTS = tuple(PROVIDERS)
WITH_MCP = tuple(name for name in AGENTS if name != "aider")

READY = {
    name: str(builtin(each.agent_class).spec["readiness"]["regex"])
    for name, each in PROVIDERS.items()
}
"""What each agent's screen shows when it takes a prompt."""


def agent_class(agent: str, model_url: str) -> dict[str, Any]:
    """Return a class for programs that start agents without a runner: all of it in the class."""
    provider = PROVIDERS[agent]
    made = copy.deepcopy(builtin(provider.agent_class).manifest)
    made["metadata"] = {"name": agent}
    spec = made["spec"]
    parsed = AgentClassSpec.model_validate(spec)
    config = provider.pod(model_url)["config"]
    bypass = spec["permissionModes"]["bypassPermissions"]
    chosen = options.arguments(parsed, config)
    model = (spec["model"]["flag"], provider.model)
    spec["args"] = [*spec.get("args", ()), *bypass, *model, *chosen]
    variables = {provider.key: KEY, **options.variables(parsed, config)}
    for file in spec["homeFiles"]:
        if agent == "claude":  # what the runner adds
            file["content"] = json.dumps(
                json.loads(file["content"])
                | {"customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []}}
            )
        if agent == "codex":
            base = f'base_url = "{model_url}/v1"'
            file["content"] = file["content"].replace(_CODEX_BASE, base)
    if agent == "opencode":
        variables["OPENCODE_CONFIG_CONTENT"] = "{}"
    spec["environment"] = [
        *spec.get("environment", ()),
        *({"name": name, "value": value} for name, value in variables.items()),
    ]
    return made


_CODEX_BASE = 'base_url = "https://api.openai.com/v1"'
