"""How a message is written on a screen or for a script: nothing in it moves the cursor. Pure."""

import json
from typing import Any, Final

from meshwire.v1 import link_pb2

_INDENT: Final = "    "
_JOINER: Final = "\N{ZERO WIDTH JOINER}"
"""Part of many pictures."""
_ODD: Final = "\N{REPLACEMENT CHARACTER}"
_ESCAPED: Final = {number: f"\\u{number:04x}" for number in range(0x7F, 0xA0)}
"""DEL and C1: JSON leaves them as they are, a terminal does not."""


def text(message: link_pb2.ChannelMessage) -> str:
    """Return the message for people: a line that says who and when, then what."""
    kind, name = ("pod", message.sender_pod) if message.sender_pod else ("", message.sender_user)
    who = f"{kind} {printable(name)}".strip()
    mentioned = ", ".join(map(printable, message.mentions))
    to = f" to {mentioned}" if mentioned else ""
    note = " (system)" if message.message_type == "system" else ""
    head = f"#{message.sequence} {printable(message.created_at)} {who}{to}{note}"
    lines = message.content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join((head, *(f"{_INDENT}{printable(line)}".rstrip() for line in lines)))


def document(message: link_pb2.ChannelMessage) -> str:
    """Return the message for scripts: one JSON object on one line, as the tools name its fields."""
    values: dict[str, Any] = {
        "message_id": message.message_id,
        "sequence": message.sequence,
        "sender_pod": message.sender_pod or None,
        "sender_user": message.sender_user or None,
        "content": message.content,
        "message_type": message.message_type,
        "mentions": list(message.mentions),
        "reply_to": message.reply_to or None,
        "created_at": message.created_at,
    }
    given = {key: value for key, value in values.items() if value is not None}
    return json.dumps(given, ensure_ascii=False).translate(_ESCAPED)


def printable(line: str) -> str:
    """Return the line with every character visible; any white space is a space."""
    return "".join(
        letter if letter.isprintable() or letter == _JOINER else " " if letter.isspace() else _ODD
        for letter in line
    )
