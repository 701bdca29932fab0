"""What is typed for a prompt: text, never keys, and the key that submits it apart from it."""

import re
from typing import Final

from meshwire.v1 import link_pb2

_PASTE_BEGIN: Final = "\x1b[200~"
_PASTE_END: Final = "\x1b[201~"
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""All control characters but tab and newline: typed ones would be keys, not text."""

_BLANK: Final = re.compile(r"[ \t]*\n[ \t\n]*|\t")
_COMPLETED: Final = re.compile(r"(?:\A(?![/!])|\s)\S*[@/#$]\S*\Z")
"""Last words to which programs offer completions (``@file``, ``/command``, ``$skill``): the list
takes the next Enter for itself. Not where the whole text is a command: there Enter runs it."""

_SUBMIT: Final = "\r"


def is_typed(pod: link_pb2.PodDesired) -> bool:
    """Whether the pod has a prompt that is to be typed."""
    return pod.spec.prompt_position == link_pb2.PROMPT_TYPED and bool(pod.spec.prompt)


def plain(text: str) -> str:
    """Return the text with newlines of one kind and without any other control character."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def typed_text(text: str, *, bracketed: bool, line_mode: bool = False) -> bytes:
    """Return what to type for a text, without submitting it.

    A program that asked for pastes to be marked (*bracketed*) gets the text as it is, newlines
    as terminals paste them. To any other one a newline is the key that submits and a tab one
    that completes: for them line breaks and tabs become single spaces, so that every word
    arrives, in one piece and once. Where the terminal does not collect lines itself
    (*line_mode*), a space behind a last word that may be completed closes the list of what it
    may become; agents cut it off.
    """
    text = plain(text).strip("\n")
    if not line_mode and _COMPLETED.search(text):
        text += " "
    if bracketed:
        return (_PASTE_BEGIN + text.replace("\n", "\r") + _PASTE_END).encode()
    return _BLANK.sub(" ", text).encode()


def submit_key(pod: link_pb2.PodDesired) -> bytes:
    """Return what the pod's class says that submits an input; Enter if it says nothing."""
    return (pod.spec.submit_keys or _SUBMIT).encode()
