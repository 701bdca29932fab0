"""What clients saw, and whether a store that holds what it holds can have answered so.

Pure: the same function judges real runs and hand-made ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sent:
    """A message that was acknowledged."""

    content: str
    sequence: int
    message_id: str
    began: float
    """When it was sent for the first time."""
    ended: float
    """When the answer came."""


@dataclass
class History:
    """What all clients saw of one channel."""

    sent: list[Sent] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    """Contents that were sent without an answer: there once or not at all."""
    entries: list[str] = field(default_factory=list)
    """Entries of the document that were acknowledged."""
    unknown_entries: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Stored:
    """What the store holds in the end."""

    messages: Sequence[tuple[int, str, str]]
    """Sequence, id, content, in the order in which they are read."""
    entries: Sequence[str]
    """Those of the document."""
    deliveries: Sequence[str]
    """The message of each, in their order."""


def problems(history: History, stored: Stored) -> list[str]:
    """Return what cannot be, in sentences; empty if all is well."""
    return [
        *_numbers(stored),
        *_messages(history, stored),
        *_order(history),
        *_rest(history, stored),
    ]


def _numbers(stored: Stored) -> Iterator[str]:
    sequences = [sequence for sequence, _, _ in stored.messages]
    if sequences != list(range(1, len(sequences) + 1)):
        yield f"the sequences are not 1 to {len(sequences)} in order"


def _messages(history: History, stored: Stored) -> Iterator[str]:
    held = {content: (sequence, uid) for sequence, uid, content in stored.messages}
    for content, times in Counter(content for _, _, content in stored.messages).items():
        if times > 1:
            yield f"{content} is stored {times} times"
    for sent in history.sent:
        if sent.content not in held:
            yield f"{sent.content} was acknowledged and is lost"
        elif held[sent.content] != (sent.sequence, sent.message_id):
            yield f"{sent.content} was acknowledged as {sent.sequence}, and is another one"
    known = {sent.content for sent in history.sent} | history.unknown
    for content in held.keys() - known:
        yield f"{content} was never sent"


def _order(history: History) -> Iterator[str]:
    """What was answered before something else was sent comes before it."""
    by_sequence = sorted(history.sent, key=lambda sent: sent.sequence)
    began = float("-inf")
    for sent in by_sequence:
        if sent.ended < began:
            yield f"{sent.content} was answered before one of a lower sequence was sent"
        began = max(began, sent.began)


def _rest(history: History, stored: Stored) -> Iterator[str]:
    for entry, times in Counter(stored.entries).items():
        if times > 1:
            yield f"entry {entry} is in the document {times} times"
    for entry in set(history.entries) - set(stored.entries):
        yield f"entry {entry} was acknowledged and is not in the document"
    for entry in set(stored.entries) - set(history.entries) - history.unknown_entries:
        yield f"entry {entry} was never written"
    if list(stored.deliveries) != [uid for _, uid, _ in stored.messages]:
        yield "the deliveries are not one of each message in their order"
