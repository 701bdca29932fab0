"""What goes in and out of the channel service."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from controller.services.membership import Belonging
from controller.store.records import Counts, Document, Message, MessageType, Sender, SenderKind
from controller.tools.call import Caller
from schemas.agentpod import AgentPod
from schemas.channel import Channel


@dataclass(frozen=True, slots=True)
class Participant:
    """Who reads or writes: a pod, or a person whom the API server lets into the namespace."""

    namespace: str
    sender: Sender
    pod: AgentPod | None = None
    """None: a person, who sees every channel of the namespace."""

    @classmethod
    def of(cls, caller: Caller) -> "Participant":
        """Return the pod that calls a tool."""
        return cls(caller.namespace, Sender(SenderKind.POD, caller.name, caller.uid), caller.pod)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which channels are looked for: all conditions together; empty and None say nothing."""

    name: str = ""
    repository: str = ""
    ticket: str = ""
    archived: bool | None = None
    offset: int = 0
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be sent."""

    content: str
    message_type: MessageType = MessageType.TEXT
    mentions: tuple[str, ...] = ()
    """Names of pods."""
    reply_to: str = ""
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class Posted:
    """A message as it is stored."""

    message: Message
    undeliverable: tuple[str, ...]
    """Mentioned pods that get no prompt."""


@dataclass(frozen=True, slots=True)
class Page:
    """Messages that were read."""

    messages: tuple[Message, ...]
    """In their order."""
    last_sequence: int
    """Of the newest message of the channel, whether it is here or not; 0: there is none."""


@dataclass(frozen=True, slots=True)
class Described:
    """A channel as it is now."""

    channel: Channel
    members: tuple[Belonging, ...]
    counts: Counts = field(default_factory=Counts)


def current(document: Document) -> dict[str, Any]:
    """Return the document as it goes with a conflict."""
    by, at = document.updated_by, document.updated_at
    return {
        "document": document.text,
        "revision": document.revision,
        **({"updated_by": by.name} if by is not None else {}),
        **({"updated_at": rfc3339(at)} if at is not None else {}),
    }


def rfc3339(at: datetime) -> str:
    """Return the time in UTC, to the microsecond."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
