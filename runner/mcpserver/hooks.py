"""Takes what the hooks of a pod's own agent send, on the port of its MCP server and by its token.

Only a few words of a request are kept: what an agent is doing, never what it was told, says or
has written. The answer is empty: it decides nothing for the agent.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.types import Send

_KEPT: Final = ("hook_event_name", "tool_name", "notification_type")
_LONGEST: Final = 64
_ANSWER: Final = b"{}"


def kept(body: bytes) -> Mapping[str, Any]:
    """Return what counts of a hook's request; nothing of one that is malformed."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    found = {name: said.get(name) for name in _KEPT}
    return {name: text[:_LONGEST] for name, text in found.items() if isinstance(text, str)}


async def acknowledge(send: Send) -> None:
    """Answer that nothing is to be changed."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _ANSWER})
