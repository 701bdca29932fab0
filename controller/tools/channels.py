"""The tools that find, make, read and write channels."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from controller.services.channel_making import Wish
from controller.services.channel_values import (
    Described,
    Draft,
    Participant,
    Wanted,
    rfc3339,
)
from controller.services.channels import Channels
from controller.store.records import Message, MessageType, Query, SenderKind
from controller.tools.call import Caller, Handler, ToolError
from schemas.channel import MemberKind
from schemas.tools import channel as tools

_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def handlers(channels: Channels) -> Mapping[str, Handler]:
    """Return the handlers of the seven tools, by name."""
    doors = _Doors(channels)
    return {
        "search_channels": doors.search,
        "create_channel": doors.create,
        "get_channel": doors.get,
        "send_channel_message": doors.send,
        "get_channel_messages": doors.messages,
        "get_channel_document": doors.document,
        "update_channel_document": doors.update_document,
    }


class _Doors:
    """Each method is a tool: arguments in, result out; the service decides."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    async def search(self, caller: Caller, wanted: tools.SearchChannels) -> tools.FoundChannels:
        found, total = await self._channels.search(
            Participant.of(caller),
            Wanted(
                name=wanted.name or "",
                repository=wanted.repository_id or "",
                ticket=wanted.ticket_id or "",
                archived=wanted.is_archived,
                offset=wanted.offset,
                limit=wanted.limit,
            ),
        )
        return tools.FoundChannels(channels=tuple(_summary(one) for one in found), total=total)

    async def create(self, caller: Caller, wanted: tools.CreateChannel) -> tools.Channel:
        wish = Wish(
            name=wanted.name,
            description=wanted.description or "",
            repository=wanted.repository_id or "",
            ticket=wanted.ticket_id or "",
        )
        made = await self._channels.create(caller, wish)
        return _whole(await self._channels.describe(made))

    async def get(self, caller: Caller, wanted: tools.GetChannel) -> tools.Channel:
        found = await self._channels.find(Participant.of(caller), wanted.channel_id)
        return _whole(await self._channels.describe(found))

    async def send(self, caller: Caller, wanted: tools.SendChannelMessage) -> tools.Sent:
        draft = Draft(
            content=wanted.content,
            message_type=MessageType(wanted.message_type),
            mentions=wanted.mentions,
            reply_to=wanted.reply_to or "",
            idempotency_key=wanted.idempotency_key or "",
        )
        posted = await self._channels.send(Participant.of(caller), wanted.channel_id, draft)
        return tools.Sent(
            message_id=posted.message.message_id,
            sequence=posted.message.sequence,
            created_at=rfc3339(posted.message.created_at),
            undeliverable=posted.undeliverable,
        )

    async def messages(
        self, caller: Caller, wanted: tools.GetChannelMessages
    ) -> tools.ChannelMessages:
        who = Participant.of(caller)
        before = _moment("before_time", wanted.before_time)
        after = _moment("after_time", wanted.after_time)
        query = Query(
            after_sequence=wanted.after_sequence or 0,
            before_time=before,
            after_time=after,
            limit=wanted.limit,
            newest=wanted.after_sequence is None,
        )
        page = await self._channels.read(
            who, wanted.channel_id, query, mentioned_pod=wanted.mentioned_pod or ""
        )
        return tools.ChannelMessages(
            messages=tuple(_message(one) for one in page.messages),
            last_sequence=page.last_sequence,
        )

    async def document(
        self, caller: Caller, wanted: tools.GetChannelDocument
    ) -> tools.ChannelDocument:
        found = await self._channels.document(Participant.of(caller), wanted.channel_id)
        return tools.ChannelDocument(
            document=found.text,
            revision=found.revision,
            updated_by=found.updated_by.name if found.updated_by is not None else None,
            updated_at=rfc3339(found.updated_at) if found.updated_at is not None else None,
        )

    async def update_document(
        self, caller: Caller, wanted: tools.UpdateChannelDocument
    ) -> tools.DocumentUpdated:
        put = await self._channels.write_document(
            Participant.of(caller), wanted.channel_id, wanted.document, wanted.revision
        )
        at = put.document.updated_at
        if at is None:
            raise RuntimeError("a document that was written has no time")
        return tools.DocumentUpdated(
            revision=put.document.revision,
            replaced_revision=put.replaced_revision,
            was_checked=wanted.revision is not None,
            updated_at=rfc3339(at),
        )


def _summary(one: Described) -> tools.ChannelSummary:
    return tools.ChannelSummary.model_validate(_row(one))


def _whole(one: Described) -> tools.Channel:
    members = tuple(
        tools.ChannelMember(
            pod_key=member.name if member.kind is MemberKind.AGENT_POD else None,
            user=member.name if member.kind is MemberKind.USER else None,
            joined_at=rfc3339(member.joined_at) if member.joined_at is not None else None,
        )
        for member in one.members
    )
    return tools.Channel.model_validate({**_row(one), "members": members})


def _row(one: Described) -> dict[str, object]:
    spec, last = one.channel.spec, one.counts.last_message_at
    return {
        "channel_id": one.channel.metadata.name,
        "name": one.channel.title,
        "description": spec.description,
        "repository_id": spec.repository_ref.name if spec.repository_ref is not None else None,
        "ticket_id": spec.ticket_ref.name if spec.ticket_ref is not None else None,
        "member_count": len(one.members),
        "is_archived": spec.archived,
        "last_message_at": rfc3339(last) if last is not None else None,
    }


def _message(one: Message) -> tools.ChannelMessage:
    by_pod = one.sender.kind is SenderKind.POD
    return tools.ChannelMessage(
        message_id=one.message_id,
        sequence=one.sequence,
        sender_pod=one.sender.name if by_pod else None,
        sender_user=None if by_pod else one.sender.name,
        content=one.content,
        message_type=tools.MessageType(one.message_type),
        mentions=tuple(mention.pod_name for mention in one.mentions),
        reply_to=one.reply_to or None,
        created_at=rfc3339(one.created_at),
    )


def _moment(argument: str, text: str | None) -> datetime | None:
    """Return the time that an argument says. Raises ToolError."""
    if text is None:
        return None
    try:
        if _RFC3339.fullmatch(text):
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass  # such as the 30th of February: refused below
    raise ToolError(
        "InvalidArgument", f"{argument}: it must be a time in RFC 3339, as 2026-01-31T12:00:00Z"
    )
