"""What the message store takes and gives: frozen values, nothing of a database.

Times are aware and in UTC, to the microsecond. Uids are ``metadata.uid`` of resources.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class SenderKind(StrEnum):
    """Who can write."""

    POD = "pod"
    USER = "user"


class MessageType(StrEnum):
    """What a message is: said by somebody, or a note of the platform."""

    TEXT = "text"
    SYSTEM = "system"


class DeliveryState(StrEnum):
    """Where a prompt to a pod stands."""

    QUEUED = "queued"
    """Durable here; no runner has said that it has it."""
    ACCEPTED = "accepted"
    """On the runner's disk; it waits for the agent."""
    SUBMITTED = "submitted"
    """The screen showed that the agent took it. An end."""
    FAILED = "failed"
    """See the reason. An end."""


MOVES: Final[dict[DeliveryState, frozenset[DeliveryState]]] = {
    DeliveryState.QUEUED: frozenset(
        {DeliveryState.ACCEPTED, DeliveryState.SUBMITTED, DeliveryState.FAILED}
    ),
    DeliveryState.ACCEPTED: frozenset({DeliveryState.SUBMITTED, DeliveryState.FAILED}),
    DeliveryState.SUBMITTED: frozenset(),
    DeliveryState.FAILED: frozenset(),
}
"""The legal moves of a delivery. What is reported late or twice moves nothing."""


class DeliveryKind(StrEnum):
    """Why a pod gets a prompt."""

    MENTION = "mention"
    """A message of a channel mentions it."""
    BINDING = "binding"
    """Another pod asks to be bound to it, or has answered."""
    NOTICE = "notice"
    """Anything else the platform tells it, such as a delivery that failed."""
    PROMPT = "prompt"
    """A person gives it. Its id begins with what tells that person from others."""


@dataclass(frozen=True, slots=True)
class ChannelRef:
    """A channel, for calls that write."""

    uid: str
    namespace: str
    """The organization's namespace: ``forget_namespace`` goes by it."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who wrote: a pod or a person."""

    kind: SenderKind
    name: str
    uid: str = ""
    """Of the pod. People go by their name."""

    @property
    def identity(self) -> str:
        """What idempotency keys belong to: a new pod of an old name is another sender."""
        return self.uid if self.kind is SenderKind.POD else self.name


@dataclass(frozen=True, slots=True)
class Mention:
    """A pod that a message mentions."""

    pod_name: str
    pod_uid: str


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message as it is handed in."""

    sender: Sender
    content: str
    message_type: MessageType = MessageType.TEXT
    mentions: tuple[Mention, ...] = ()
    """In the order given, each pod once."""
    reply_to: str = ""
    """The id of a message of the same channel; empty = none."""
    idempotency_key: str = ""
    """Unique per channel and sender; empty = none."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is stored. It never changes."""

    message_id: str
    """A ULID: unique everywhere."""
    channel_uid: str
    sequence: int
    """From 1, without gaps, in the order of the channel."""
    sender: Sender
    content: str
    message_type: MessageType
    mentions: tuple[Mention, ...]
    reply_to: str
    """Empty = none. The message itself may be gone by retention."""
    idempotency_key: str
    """Empty = none."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A prompt that a pod is to get, once."""

    pod_uid: str
    pod_name: str
    text: str
    give_up_at: datetime
    """Not begun by then: failed. The store keeps the time; who delivers acts on it."""
    kind: DeliveryKind = DeliveryKind.MENTION
    delivery_id: str = ""
    """Empty = made here. Given, it is the key against repeats: a second one changes nothing."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A prompt to a pod, and where it stands."""

    delivery_id: str
    namespace: str
    pod_uid: str
    pod_name: str
    text: str
    kind: DeliveryKind
    channel_uid: str
    """Empty = it comes from no message."""
    message_id: str
    """Empty = it comes from no message."""
    state: DeliveryState
    reason: str
    """Why it failed, CamelCase; else empty."""
    message: str
    """The same in a sentence; else empty."""
    give_up_at: datetime
    created_at: datetime
    changed_at: datetime
    """When it came into this state."""

    @property
    def settled(self) -> bool:
        """It has come to an end."""
        return not MOVES[self.state]


@dataclass(frozen=True, slots=True)
class Appended:
    """The answer to an append."""

    message: Message
    deliveries: tuple[Delivery, ...]
    """Those of this message, in their order, as they stand now."""
    created: bool
    """False: a repeat; the message was there already and nothing was written."""


@dataclass(frozen=True, slots=True)
class Marked:
    """The answer to a report about a delivery."""

    delivery: Delivery
    moved: bool
    """False: it was there or past it already and nothing was written."""


MAX_LIMIT: Final = 1000
"""So many messages are read at once at most."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which messages of a channel: all conditions hold together."""

    after_sequence: int = 0
    before_sequence: int | None = None
    after_time: datetime | None = None
    """Later than this."""
    before_time: datetime | None = None
    """Earlier than this."""
    mentioned_pod_uid: str = ""
    """Empty = whoever is mentioned."""
    limit: int = 50
    """1 to ``MAX_LIMIT``."""
    newest: bool = False
    """With the limit, take the last ones instead of the first ones. The order stays the same."""


@dataclass(frozen=True, slots=True)
class Counts:
    """A channel in numbers. All 0 for one that nobody has written to."""

    messages: int = 0
    """How many there are now."""
    first_sequence: int = 0
    """The lowest that is or will be there; retention deleted what is below. 0 = never any."""
    last_sequence: int = 0
    """The highest that was ever given out; it is never given out again."""
    last_message_at: datetime | None = None
    """None: nobody has written yet. It stays when the message goes."""
    members: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """A pod that is a member of a channel."""

    pod_uid: str
    pod_name: str
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a document."""

    kind: SenderKind
    name: str


@dataclass(frozen=True, slots=True)
class Document:
    """The document of a channel."""

    channel_uid: str
    text: str = ""
    revision: int = 0
    """From 1; 0 = none was written yet."""
    updated_by: Author | None = None
    """None: none was written yet."""
    updated_at: datetime | None = None
    """None: none was written yet."""


@dataclass(frozen=True, slots=True)
class DocumentPut:
    """The answer to a document that was written."""

    document: Document
    replaced_revision: int
    """The one that it took the place of; 0 = it is the first."""
