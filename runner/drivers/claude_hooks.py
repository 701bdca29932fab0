"""Has Claude Code tell what it does: adds our HTTP hooks to the settings on its command line. Pure.

They come on top of what class and pod give, and change none of the agent's decisions: our answers
are empty. While no runner answers, the agent waits for each hook as long as it says here.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from runner.drivers.mcp_formats import TOKEN

FORMAT: Final = "claude"
"""The word of AgentClass.spec.activity.hooks."""

PATH: Final = "/hooks"
"""Beside the MCP server, on its port."""

_FLAG: Final = "--settings"
_PLAIN: Final = ("UserPromptSubmit", "Notification", "Stop", "StopFailure")
_OF_TOOLS: Final = ("PreToolUse", "PermissionRequest")
_TIMEOUT_SECONDS: Final = 2


def with_hooks(args: Sequence[str], mcp_url: str) -> tuple[str, ...]:
    """Return the arguments with our hooks in the settings.

    Inline settings that are there are added to; where they are in a file, or no JSON object, the
    arguments stay as they are, and the agent's screen has to tell.
    """
    words = list(args)
    end = words.index("--") if "--" in words else len(words)
    for at, word in enumerate(words[:end]):
        if word == _FLAG and at + 1 < end:
            words[at + 1] = _added(words[at + 1], mcp_url)
            return tuple(words)
        if word.startswith(f"{_FLAG}="):
            words[at] = f"{_FLAG}={_added(word.partition('=')[2], mcp_url)}"
            return tuple(words)
    return (*words[:end], _FLAG, _added("{}", mcp_url), *words[end:])


def _added(text: str, mcp_url: str) -> str:
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(settings, dict) or not isinstance(settings.get("hooks", {}), dict):
        return text
    hooks: dict[str, Any] = dict(settings.get("hooks", {}))
    for event in (*_PLAIN, *_OF_TOOLS):
        theirs = hooks.get(event, [])
        if not isinstance(theirs, list):
            return text
        hooks[event] = [*theirs, _group(mcp_url, of_tools=event in _OF_TOOLS)]
    return json.dumps({**settings, "hooks": hooks}, separators=(",", ":"))


def _group(mcp_url: str, *, of_tools: bool) -> dict[str, Any]:
    hook = {
        "type": "http",
        "url": mcp_url.removesuffix("/mcp") + PATH,
        "headers": {"Authorization": f"Bearer ${TOKEN}"},
        "allowedEnvVars": [TOKEN],
        "timeout": _TIMEOUT_SECONDS,
    }
    return {"matcher": "*", "hooks": [hook]} if of_tools else {"hooks": [hook]}
