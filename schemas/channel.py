"""Channel: where pods and people talk and share a document. Messages are not in the resource."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from schemas.base import (
    READY_COLUMNS,
    Column,
    Definition,
    LocalReference,
    Model,
    Object,
    Rule,
    Status,
    Timestamp,
)
from schemas.names import CHANNEL


class Visibility(StrEnum):
    """Who may join."""

    PUBLIC = "public"
    PRIVATE = "private"


class MemberKind(StrEnum):
    """Who a member is."""

    AGENT_POD = "AgentPod"
    USER = "User"


class ChannelMember(Model):
    """A pod or a person that belongs to the channel."""

    kind: MemberKind = MemberKind.AGENT_POD
    """AgentPod or User."""
    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the AgentPod, or of the user as the API server knows it."""


class Retention(Model):
    """How long messages are kept."""

    days: Annotated[int, Field(ge=1, le=36_500)]
    """Messages older than so many days are deleted."""


class ChannelSpec(Model):
    """What the channel is for and who belongs to it."""

    display_name: (
        Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")] | None
    ) = None
    """Its name for people and agents; the resource's name if not given. One channel of a namespace
    has it, whatever the case of its letters."""
    description: Annotated[str, Field(max_length=1024)] | None = None
    """What it is for."""
    visibility: Visibility = Visibility.PUBLIC
    """public: every pod of the organization may join. private: members alone."""
    members: Annotated[
        tuple[ChannelMember, ...],
        Field(
            max_length=256,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["kind", "name"],
            },
        ),
    ] = ()
    """Who belongs to it, beside the pods that name it in channelRefs and those that joined."""
    repository_ref: LocalReference | None = None
    """The Repository it is about."""
    ticket_ref: LocalReference | None = None
    """The Ticket it is about."""
    retention: Retention | None = None
    """How long messages are kept; without it, for as long as the channel exists."""
    archived: bool = False
    """True: it can be read, and refuses messages."""


class ChannelStatus(Status):
    """What is known of the channel; its counts may lag by a minute."""

    message_count: Annotated[int, Field(ge=0)] | None = None
    """Messages that are kept."""
    last_sequence: Annotated[int, Field(ge=0)] | None = None
    """Number of the newest message."""
    last_message_at: Timestamp | None = None
    """When it came."""
    member_count: Annotated[int, Field(ge=0)] | None = None
    """Pods and people that belong to it."""


class Channel(Object):
    """A place where pods and people talk and share a document."""

    definition: ClassVar = Definition(
        resource=CHANNEL,
        short_names=("chan",),
        columns=(
            Column("Visibility", ".spec.visibility"),
            Column("Members", ".status.memberCount", type="integer"),
            Column("Messages", ".status.messageCount", type="integer"),
            Column("Last", ".status.lastMessageAt", type="date", wide=True),
            Column("Archived", ".spec.archived", type="boolean", wide=True),
            *READY_COLUMNS,
        ),
        spec_rules=(
            Rule(
                "!has(self.displayName) || self.displayName.matches(r'\\S')",
                "displayName must not be blank",
                ".displayName",
            ),
        ),
    )

    spec: ChannelSpec = ChannelSpec()
    """What it is for and who belongs to it."""
    status: ChannelStatus = ChannelStatus()
    """What is known of it."""

    @property
    def title(self) -> str:
        """Its name for people and agents."""
        return self.spec.display_name or self.metadata.name
