"""Tells an agent of its pod's MCP server, in the configuration that the agent reads.

Pure: from the format and what class and pod gave come arguments, variables and files of the
private home. Nothing is written into a worktree, and what a repository brings stays as it is. The
token itself is in the environment alone: every format refers to it there.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, Final

from runner.drivers.agents import InvalidAgentError

SERVER: Final = "agentsmesh"
"""The server's name in every agent's configuration."""

URL: Final = "AGENTSMESH_MCP_URL"
TOKEN: Final = "AGENTSMESH_MCP_TOKEN"  # noqa: S105  the name of a variable

_CLAUDE_FILE: Final = ".agentsmesh/mcp.json"
_CLAUDE_USER_FILE: Final = ".claude.json"
"""What `claude mcp list` goes by: it does not look at the file that a session was started with."""
_CLAUDE_HOME: Final = "CLAUDE_CONFIG_DIR"
_CLAUDE_KEY: Final = "ANTHROPIC_API_KEY"
_CLAUDE_ANSWERS: Final = "customApiKeyResponses"
_CLAUDE_TAIL: Final = 20
"""So many characters of a key it remembers."""
_CLAUDE_SHORTEST_KEY: Final = 60
"""Of which these are no more than a third."""
_GEMINI_FILE: Final = ".gemini/settings.json"
_GEMINI_HOME: Final = "GEMINI_CLI_HOME"
_GEMINI_TRUST: Final = "GEMINI_CLI_TRUST_WORKSPACE"
"""Without it Gemini leaves out every MCP server in a folder that it does not know."""
_OPENCODE: Final = "OPENCODE_CONFIG_CONTENT"

_TIMEOUT_MS: Final = 600_000
"""Of a call: longer than any of ours takes, as OpenCode gives up after 60 s by itself."""


class Format(StrEnum):
    """Whose configuration an agent reads."""

    NONE = "none"
    CLAUDE = "claude"
    CODEX = "codex"
    GEMINI = "gemini"
    OPENCODE = "opencode"


@dataclass(frozen=True, slots=True)
class Given:
    """What is there already."""

    url: str
    home: Path
    """The private home."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The agent's whole environment, but for the MCP server."""
    home_files: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Class and pod's files by their paths below the home."""


@dataclass(frozen=True, slots=True)
class Configured:
    """What is to be added."""

    args: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    home_files: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Written after those of the class, whose content they keep."""


def settings_paths(given: Given, wanted: Format) -> tuple[str, ...]:
    """Return the files below the home that the format changes.

    Raises:
        InvalidAgentError: The class has the agent read a file elsewhere.
    """
    match wanted:
        case Format.CLAUDE:
            return _claude_files(given)
        case Format.GEMINI:
            return (_gemini_file(given),)
        case Format.NONE | Format.CODEX | Format.OPENCODE:
            return ()


def configure(wanted: Format, given: Given) -> Configured:
    """Return what an agent that reads that format needs to find the server.

    Raises:
        InvalidAgentError: What class or pod gave cannot be added to; names the field.
    """
    match wanted:
        case Format.NONE:
            return Configured()
        case Format.CLAUDE:
            return _claude(given)
        case Format.CODEX:
            return Configured(args=("-c", f"mcp_servers.{SERVER}={_toml(_codex(given))}"))
        case Format.GEMINI:
            return _gemini(given)
        case Format.OPENCODE:
            return _opencode(given)


def _claude(given: Given) -> Configured:
    server = {
        "type": "http",
        "url": given.url,
        "headers": {"Authorization": f"Bearer ${{{TOKEN}}}"},
        "alwaysLoad": True,  # else its tools are hidden behind a search
    }
    texts = {
        path: _added(_file(given, path), "mcpServers", server, f"homeFiles: {path}")
        for path in _claude_files(given)
    }
    for path in set(texts) - {_CLAUDE_FILE}:
        texts[path] = _approved(texts[path], given.environment.get(_CLAUDE_KEY, ""))
    # The flag takes any number of values: another flag has to follow it, not the prompt.
    args = ("--mcp-config", str(given.home / _CLAUDE_FILE), "--strict-mcp-config")
    return Configured(args=args, home_files=texts)


def _approved(text: str, key: str) -> str:
    """Return the user's configuration *text* with the *key* of the environment approved.

    Otherwise it asks a person whether to use it, and takes Enter for a no. It is told apart by its
    last characters, as it writes them itself; of a key that is not much longer they would be too
    much: such a one is asked about.
    """
    config = json.loads(text)
    said = config.get(_CLAUDE_ANSWERS, {})
    approved = said.get("approved", []) if isinstance(said, dict) else None
    if len(key) < _CLAUDE_SHORTEST_KEY or not isinstance(approved, list):
        return text
    tail = key[-_CLAUDE_TAIL:]
    answers = {"rejected": [], **said, "approved": [*(t for t in approved if t != tail), tail]}
    return json.dumps({**config, _CLAUDE_ANSWERS: answers}, indent=2)


def _claude_files(given: Given) -> tuple[str, ...]:
    folder = _below_home(given, _CLAUDE_HOME)
    user = () if folder is None else (str(folder / _CLAUDE_USER_FILE),)
    return (_CLAUDE_FILE, *user)


def _codex(given: Given) -> dict[str, str]:
    return {"url": given.url, "bearer_token_env_var": TOKEN}


def _gemini(given: Given) -> Configured:
    path = _gemini_file(given)
    server = {
        "httpUrl": given.url,
        "headers": {"Authorization": f"Bearer ${TOKEN}"},
        "trust": True,
        "timeout": _TIMEOUT_MS,
    }
    text = _added(_file(given, path), "mcpServers", server, f"homeFiles: {path}")
    trusted = {} if given.environment.get(_GEMINI_TRUST) else {_GEMINI_TRUST: "true"}
    return Configured(environment=trusted, home_files={path: text})


def _gemini_file(given: Given) -> str:
    """Return the user's settings below the home, where the agent's environment has it look."""
    folder = _below_home(given, _GEMINI_HOME)
    if folder is None:
        name = _GEMINI_HOME if given.environment.get(_GEMINI_HOME) else "HOME"
        raise InvalidAgentError(
            f"environment: {name} lies outside of the pod's home, where its MCP server cannot be "
            "configured: put it below $(HOME)."
        )
    return str(folder / _GEMINI_FILE)


def _below_home(given: Given, name: str) -> PurePosixPath | None:
    """Return where the variable, else HOME, points to, from the private home; None: elsewhere."""
    found = given.environment.get(name) or given.environment.get("HOME") or given.home
    folder = Path(os.path.normpath(found))
    if not folder.is_relative_to(given.home):
        return None
    return PurePosixPath(folder.relative_to(given.home))


def _opencode(given: Given) -> Configured:
    server = {
        "type": "remote",
        "url": given.url,
        "enabled": True,
        "oauth": False,
        "timeout": _TIMEOUT_MS,
        "headers": {"Authorization": f"Bearer {{env:{TOKEN}}}"},
    }
    text = _added(given.environment.get(_OPENCODE), "mcp", server, f"environment: {_OPENCODE}")
    return Configured(environment={_OPENCODE: text})


def _file(given: Given, path: str) -> str | None:
    """Return the last content that was given for the path."""
    same = (t for p, t in given.home_files.items() if PurePosixPath(p) == PurePosixPath(path))
    return next(reversed(list(same)), None)


def _added(text: str | None, group: str, server: Mapping[str, Any], field_name: str) -> str:
    """Return the JSON *text* with our server added to its *group*; all else stays."""
    try:
        config = json.loads(text) if text and text.strip() else {}
    except (ValueError, RecursionError) as exc:
        raise InvalidAgentError(
            f"{field_name} is not JSON, so the MCP server cannot be added: {_short(exc)}."
        ) from exc
    if not isinstance(config, dict) or not isinstance(config.get(group, {}), dict):
        where = "it" if not isinstance(config, dict) else repr(group)
        raise InvalidAgentError(
            f"{field_name}: {where} has to be a JSON object, so that the MCP server can be added."
        )
    servers = {**config.get(group, {}), SERVER: server}
    return json.dumps({**config, group: servers}, indent=2)


def _short(exc: Exception) -> str:
    """Return what is wrong without the content, which may be secret."""
    if isinstance(exc, json.JSONDecodeError):
        return f"{exc.msg} in line {exc.lineno}"
    return "it cannot be read"


def _toml(table: Mapping[str, str]) -> str:
    """Return an inline table. Source: TOML 1.0, inline table, basic string."""
    return "{" + ", ".join(f"{name} = {_toml_string(value)}" for name, value in table.items()) + "}"


def _toml_string(value: str) -> str:
    def written(char: str) -> str:
        if char in '"\\':
            return "\\" + char
        return f"\\u{ord(char):04x}" if ord(char) < 0x20 or ord(char) == 0x7F else char

    return '"' + "".join(map(written, value)) + '"'
