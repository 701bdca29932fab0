"""Channels, on the public port: people read what is said in a channel, and say something."""

import asyncio
import logging
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2

from controller.rpc.caller import Caller, current_caller
from controller.rpc.race import first_done
from controller.rpc.recheck import RECHECK_SECONDS, recheck
from controller.rpc.refusal import refuse
from controller.rpc.rights import demand, refusing
from controller.services.access import READ_CHANNEL, SEND_TO_CHANNEL, Access
from controller.services.channel_values import Draft, Participant, rfc3339
from controller.services.channels import Channels
from controller.services.tokens import is_name, is_object_name
from controller.store.records import Message, Query, Sender, SenderKind
from controller.tools.call import ToolError
from schemas.channel import Channel
from schemas.tools.base import InvalidArgumentsError, parsed
from schemas.tools.channel import SendChannelMessage

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 10.0
"""A follower looks so often without news: whether the channel is still there."""
_BATCH: Final = 200


class ChannelsDoor:
    """Translates between the wire and the service, for callers that the API server recognised."""

    def __init__(
        self, channels: Channels, access: Access, *, recheck_seconds: float = RECHECK_SECONDS
    ) -> None:
        self._channels = channels
        self._access = access
        self._recheck_seconds = recheck_seconds

    async def Send(  # noqa: N802 - the name of the RPC
        self,
        request: link_pb2.ChannelSend,
        context: Any,  # noqa: ARG002 - gRPC's
    ) -> link_pb2.ChannelMessage:
        """Put a message into the channel, in the caller's name."""
        caller = current_caller()
        draft = _draft(request)
        await self._authorise(caller, request.namespace, request.channel, read_only=False)
        who = _person(caller, request.namespace)
        with refusing():
            posted = await self._channels.send(who, request.channel, draft)
        answer = _wire(posted.message)
        answer.undeliverable.extend(posted.undeliverable)
        return answer

    async def Read(  # noqa: N802 - the name of the RPC
        self, request: link_pb2.ChannelRead, context: Any
    ) -> None:
        """Write messages of the channel in their order and, with follow, those to come."""
        caller = current_caller()
        _check_names(request.namespace, request.channel)
        await self._authorise(caller, request.namespace, request.channel, read_only=True)
        who = _person(caller, request.namespace)
        if request.follow:
            await first_done(
                self._write(who, request, context),
                recheck(lambda: self._same_right(caller, request), self._recheck_seconds),
            )
        else:
            await self._write(who, request, context)

    async def _write(self, who: Participant, request: link_pb2.ChannelRead, context: Any) -> None:
        with refusing():
            channel = await self._channels.find(who, request.channel)
            with self._channels.changes(channel) as changes:
                position, left = await self._beginning(who, request)
                position = await self._pass_on(who, request, context, position, left)
                while request.follow:
                    try:
                        async with asyncio.timeout(_LOOK_SECONDS):
                            await changes.wait()
                    except TimeoutError:
                        pass  # nothing was said: the channel may be gone
                    await self._same(who, channel)
                    position = await self._pass_on(who, request, context, position, None)

    async def _beginning(
        self, who: Participant, request: link_pb2.ChannelRead
    ) -> tuple[int, int | None]:
        """Return behind which message to begin, and how many there are to be at most."""
        position = request.after_sequence
        if not request.limit:
            return position, None
        if request.newest:  # sequences have no gaps
            page = await self._channels.read(who, request.channel, Query(newest=True, limit=1))
            position = max(position, page.last_sequence - request.limit)
        return position, request.limit

    async def _pass_on(
        self,
        who: Participant,
        request: link_pb2.ChannelRead,
        context: Any,
        position: int,
        left: int | None,
    ) -> int:
        """Write what is there behind *position*, at most *left*; return where that ended."""
        while left is None or left > 0:
            size = _BATCH if left is None else min(_BATCH, left)
            query = Query(after_sequence=position, limit=size)
            found = (await self._channels.read(who, request.channel, query)).messages
            for message in found:
                await context.write(_wire(message))
                position = message.sequence
            if len(found) < size:
                break
            left = None if left is None else left - len(found)
        return position

    async def _same(self, who: Participant, channel: Channel) -> None:
        """Make sure that the name still means this channel."""
        found = await self._channels.find(who, channel.metadata.name)
        if found.metadata.uid != channel.metadata.uid:
            raise ToolError("NotFound", f"channel {channel.metadata.name} was deleted")

    async def _same_right(self, caller: Caller, request: link_pb2.ChannelRead) -> None:
        """Ask anew whether the caller may read. Raises Refusal, KubeError."""
        where = (request.namespace, request.channel)
        await self._authorise(caller, *where, read_only=True, fresh=True)

    async def _authorise(
        self, caller: Caller, namespace: str, channel: str, *, read_only: bool, fresh: bool = False
    ) -> None:
        """Ask whether the caller may. Raises Refusal, KubeError."""
        right = READ_CHANNEL if read_only else SEND_TO_CHANNEL
        await demand(self._access, caller, right, (namespace, channel), fresh=fresh)


def _person(caller: Caller, namespace: str) -> Participant:
    return Participant(namespace, Sender(SenderKind.USER, caller.user.name))


def _check_names(namespace: str, channel: str) -> None:
    if not is_name(namespace) or not is_object_name(channel):
        refuse(grpc.StatusCode.INVALID_ARGUMENT, "namespace and channel must be names of resources")


def _draft(request: link_pb2.ChannelSend) -> Draft:
    """Return the message in the request, within the bounds of the tool. Raises Refusal."""
    _check_names(request.namespace, request.channel)
    values = {
        "channel_id": request.channel,
        "content": request.content,
        "mentions": list(request.mentions),
        "reply_to": request.reply_to or None,
        "idempotency_key": request.idempotency_key or None,
    }
    try:
        parsed(SendChannelMessage, values)
    except InvalidArgumentsError as exc:
        refuse(grpc.StatusCode.INVALID_ARGUMENT, str(exc))
    return Draft(
        content=request.content,
        mentions=tuple(request.mentions),
        reply_to=request.reply_to,
        idempotency_key=request.idempotency_key,
    )


def _wire(message: Message) -> link_pb2.ChannelMessage:
    by_pod = message.sender.kind is SenderKind.POD
    return link_pb2.ChannelMessage(
        message_id=message.message_id,
        sequence=message.sequence,
        sender_pod=message.sender.name if by_pod else "",
        sender_user="" if by_pod else message.sender.name,
        content=message.content,
        message_type=str(message.message_type),
        mentions=[mention.pod_name for mention in message.mentions],
        reply_to=message.reply_to,
        created_at=rfc3339(message.created_at),
    )
