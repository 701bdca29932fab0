"""What an agent's own hooks say of it. Pure.

Source: Claude Code, hooks reference. Measured with 2.1.330: UserPromptSubmit, PreToolUse,
PermissionRequest and SessionEnd come over HTTP.
"""

from collections.abc import Mapping
from typing import Any, Final

from runner.converge.activity import EXECUTING, IDLE, WAITING, Sign

EVENTS: Final = (
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PermissionRequest",
    "Notification",
    "Stop",
    "StopFailure",
)
"""Asked for. What else there is says nothing that these do not."""

_WORDS: Final = {
    "UserPromptSubmit": EXECUTING,
    "PreToolUse": EXECUTING,
    "PostToolUse": EXECUTING,
    "PermissionRequest": WAITING,
    "Stop": IDLE,
    "StopFailure": IDLE,
}
_ASKING_TOOLS: Final = frozenset({"AskUserQuestion", "ExitPlanMode"})
"""Tools that do nothing but ask the person at the terminal."""

_NOTIFICATIONS: Final = {
    "permission_prompt": WAITING,
    "elicitation_dialog": WAITING,
    "idle_prompt": IDLE,
}


def sign(body: Mapping[str, Any], now: float) -> Sign | None:
    """Return what a hook's request says; None: nothing."""
    event = body.get("hook_event_name")
    if not isinstance(event, str):
        return None
    if event == "Notification":
        kind = body.get("notification_type")
        word = _NOTIFICATIONS.get(kind) if isinstance(kind, str) else None
        return Sign(word, f"its hook Notification ({kind})", now) if word else None
    word = _WORDS.get(event)
    if word is None:
        return None
    if event == "PreToolUse" and body.get("tool_name") in _ASKING_TOOLS:
        word = WAITING
    return Sign(word, f"its hook {event}", now)
