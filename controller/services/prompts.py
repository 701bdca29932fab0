"""What a pod is told when a message mentions it: the text of the prompt. Pure.

The text is typed into a terminal: a message must not be able to press keys there. Control
characters other than line breaks and tabs are left out, and no line of it can pass for one of ours;
in the channel the message stays as it is. Words of others inside of our lines stand in quotes.
"""

import unicodedata
from typing import Final

from controller.store.records import Message, Sender, SenderKind

MAX_PROMPT_BYTES: Final = 32 * 1024
"""A prompt is never longer, in UTF-8."""

_ROOM: Final = 256
"""So many bytes are kept free for what is known only once the message is stored."""
_OURS: Final = "[agentsmesh]"
_HEAD: Final = f"{_OURS} Message from "
_TAIL: Final = "):"
_CUT: Final = "\n[agentsmesh] The message goes on: read the rest with get_channel_messages."
_NEWLINES: Final = str.maketrans(dict.fromkeys("\x0b\x0c\x85\u2028\u2029", "\n"))
_FOREIGN: Final = "> "
"""Before a line of a message that begins as ours do."""
_QUOTED_CHARACTERS: Final = 200
_IN_QUOTES: Final = str.maketrans({'"': "'", "[": "(", "]": ")"})
_KEPT: Final = frozenset("\n\t")


def mention(sender: Sender, channel: str, content: str) -> str:
    """Return the prompt for a message of the channel; ``numbered`` adds what is known later."""
    kind = "pod" if sender.kind is SenderKind.POD else "user"
    name, where = quoted(sender.name), quoted(channel)
    how = f"Answer with send_channel_message (channel_id {where}"
    head = f"{_HEAD}{kind} {name} in channel {where}. {how}{_TAIL}"
    return cut(f"{head}\n{_foreign(typeable(content))}", MAX_PROMPT_BYTES - _ROOM)


def numbered(prompt: str, message: Message) -> str:
    """Return the prompt with the sequence and the id of the message in its first line."""
    head, line_break, content = prompt.partition("\n")
    if not head.startswith(_HEAD) or not head.endswith(_TAIL):
        return prompt
    said = head.removeprefix(_HEAD).removesuffix(_TAIL)
    before = _HEAD.replace("Message", f"Message {message.sequence}")
    return f'{before}{said}, reply_to "{message.message_id}"{_TAIL}{line_break}{content}'


def typeable(text: str) -> str:
    """Return the text without control characters that a terminal or its program would act on."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").translate(_NEWLINES)
    return "".join(letter for letter in lines if letter in _KEPT or not _controls(letter))


def quoted(text: str) -> str:
    """Return words of others for a line of ours: one printable line in quotes, not too long.

    Neither quotes nor square brackets are left in it, so that it cannot end or begin such a line.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) > _QUOTED_CHARACTERS:
        line = f"{line[: _QUOTED_CHARACTERS - 1]}…"
    return f'"{line.translate(_IN_QUOTES)}"'


def _foreign(text: str) -> str:
    """Return the text with a mark before each line that could be taken for one of ours."""
    lines = text.split("\n")
    return "\n".join(f"{_FOREIGN}{line}" if _poses(line) else line for line in lines)


def _poses(line: str) -> bool:
    """Whether the line reads as one of ours: what cannot be seen and how it is written is nothing.

    Source: Unicode Standard Annex 15, NFKC (wide letters and brackets are the plain ones).
    """
    plain = unicodedata.normalize("NFKC", line)
    seen = "".join(c for c in plain if c.isprintable() and not c.isspace())
    return seen[: len(_OURS)].casefold() == _OURS


def cut(text: str, limit_bytes: int) -> str:
    """Return the text, its end replaced by a remark where it is too long."""
    data = text.encode("utf-8", errors="replace")
    if len(data) <= limit_bytes:
        return data.decode("utf-8")
    room = limit_bytes - len(_CUT.encode())
    return data[:room].decode("utf-8", errors="ignore") + _CUT


def _controls(letter: str) -> bool:
    """Whether it is one of C0, DEL or C1."""
    number = ord(letter)
    return number < 0x20 or 0x7F <= number < 0xA0
