"""What a pod is told when a message mentions it: the text of the prompt. Pure.

The text is typed into a terminal: a message must not be able to press keys there. Control
characters other than line breaks and tabs are left out; in the channel the message stays as it is.
"""

from typing import Final

from controller.store.records import Message, Sender, SenderKind

MAX_PROMPT_BYTES: Final = 32 * 1024
"""A prompt is never longer, in UTF-8."""

_ROOM: Final = 256
"""So many bytes are kept free for what is known only once the message is stored."""
_HEAD: Final = "[agentsmesh] Message from "
_TAIL: Final = "):"
_CUT: Final = "\n[agentsmesh] The message goes on: read the rest with get_channel_messages."
_NEWLINES: Final = str.maketrans({"\x0b": "\n", "\x0c": "\n", "\x85": "\n"})
_KEPT: Final = frozenset("\n\t")


def mention(sender: Sender, channel: str, content: str) -> str:
    """Return the prompt for a message of the channel; ``numbered`` adds what is known later."""
    kind = "pod" if sender.kind is SenderKind.POD else "user"
    name = " ".join(typeable(sender.name).split())[:253]
    how = f'Answer with send_channel_message (channel_id "{channel}"'
    head = f"{_HEAD}{kind} {name} in channel {channel}. {how}{_TAIL}"
    return cut(f"{head}\n{typeable(content)}", MAX_PROMPT_BYTES - _ROOM)


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
