"""Tools by which agents talk and share a document."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.tools.base import Arguments, Category, Key, Result, Time, Tool


class MessageType(StrEnum):
    """What a message is."""

    TEXT = "text"
    SYSTEM = "system"


class SearchChannels(Arguments):
    """Which channels."""

    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Part of the name, upper or lower case."""
    repository_id: Key | None = None
    ticket_id: Key | None = None
    is_archived: bool | None = None
    """Only archived ones, or only those that are not; both if absent."""
    offset: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class ChannelSummary(Result):
    """A channel."""

    channel_id: str
    name: str
    description: str | None = None
    repository_id: str | None = None
    ticket_id: str | None = None
    member_count: int
    is_archived: bool
    last_message_at: Time | None = None


class FoundChannels(Result):
    """Channels, by name."""

    channels: tuple[ChannelSummary, ...]
    total: int
    """How many there are, whatever offset and limit."""


class CreateChannel(Arguments):
    """The channel to make."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    description: Annotated[str, Field(max_length=1024)] | None = None
    repository_id: Key | None = None
    """The repository it is about."""
    ticket_id: Key | None = None
    """The ticket it is about."""


class GetChannel(Arguments):
    """Which channel."""

    channel_id: Key


class ChannelMember(Result):
    """Who belongs to a channel."""

    pod_key: str | None = None
    user: str | None = None
    joined_at: Time | None = None


class Channel(ChannelSummary):
    """A channel and its members."""

    members: tuple[ChannelMember, ...]


class SendChannelMessage(Arguments):
    """What to say, and where."""

    channel_id: Key
    content: Annotated[str, Field(min_length=1, max_length=32_768)]
    message_type: Annotated[MessageType, Field(strict=False)] = MessageType.TEXT
    mentions: Annotated[tuple[Key, ...], Field(max_length=32, strict=False)] = ()
    """Names of pods that shall get the message as a prompt."""
    reply_to: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """A message_id of this channel."""
    idempotency_key: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """A repeat with the same key is stored once."""


class Sent(Result):
    """The message as it is stored."""

    message_id: str
    sequence: int
    created_at: Time
    undeliverable: tuple[str, ...] = ()
    """Mentioned pods that get no prompt: they have ended, or take no prompts."""


class GetChannelMessages(Arguments):
    """Which messages."""

    channel_id: Key
    before_time: Time | None = None
    after_time: Time | None = None
    mentioned_pod: Key | None = None
    """Only messages that mention this pod."""
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    """The newest so many; with after_sequence the oldest so many."""
    after_sequence: Annotated[int, Field(ge=0)] | None = None
    """Only messages behind this one: to read on."""


class ChannelMessage(Result):
    """A message."""

    message_id: str
    sequence: int
    """Position in the channel, from 1, without gaps."""
    sender_pod: str | None = None
    sender_user: str | None = None
    content: str
    message_type: MessageType
    mentions: tuple[str, ...] = ()
    reply_to: str | None = None
    created_at: Time


class ChannelMessages(Result):
    """Messages in their order."""

    messages: tuple[ChannelMessage, ...]
    last_sequence: int
    """Of the newest message of the channel; 0: there is none."""


class GetChannelDocument(Arguments):
    """Which channel's."""

    channel_id: Key


class ChannelDocument(Result):
    """The document that a channel shares."""

    document: str
    revision: int
    """0: nobody has written it yet."""
    updated_by: str | None = None
    updated_at: Time | None = None


class UpdateChannelDocument(Arguments):
    """The new document."""

    channel_id: Key
    document: Annotated[str, Field(max_length=1_048_576)]
    """Its whole text, at most 1 MiB of UTF-8."""
    revision: Annotated[int, Field(ge=0)] | None = None
    """The one it was based on: an outdated one is a conflict. Absent: the last write wins."""


class DocumentUpdated(Result):
    """What was stored."""

    revision: int
    replaced_revision: int
    """The revision that it replaced."""
    was_checked: bool
    """False: it replaced whatever was there, as no revision was given."""
    updated_at: Time


TOOLS = (
    Tool(
        "search_channels",
        Category.CHANNEL,
        "Find channels of your organization.",
        SearchChannels,
        FoundChannels,
        read_only=True,
    ),
    Tool(
        "create_channel",
        Category.CHANNEL,
        "Make a channel and join it.",
        CreateChannel,
        Channel,
    ),
    Tool(
        "get_channel",
        Category.CHANNEL,
        "Return a channel and its members.",
        GetChannel,
        Channel,
        read_only=True,
    ),
    Tool(
        "send_channel_message",
        Category.CHANNEL,
        "Send a message to a channel; joins a public one. Mentioned pods get it as a prompt.",
        SendChannelMessage,
        Sent,
    ),
    Tool(
        "get_channel_messages",
        Category.CHANNEL,
        "Read messages of a channel in their order.",
        GetChannelMessages,
        ChannelMessages,
        read_only=True,
    ),
    Tool(
        "get_channel_document",
        Category.CHANNEL,
        "Read the document that a channel shares.",
        GetChannelDocument,
        ChannelDocument,
        read_only=True,
    ),
    Tool(
        "update_channel_document",
        Category.CHANNEL,
        "Replace the document that a channel shares.",
        UpdateChannelDocument,
        DocumentUpdated,
    ),
)
