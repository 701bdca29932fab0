"""Messages: append and read. Functions on a connection in a transaction."""

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select

from controller.store import channel_rows, delivery_rows
from controller.store.errors import KeyConflictError, NotFoundError
from controller.store.records import (
    MAX_LIMIT,
    Appended,
    ChannelRef,
    Mention,
    Message,
    MessageType,
    NewDelivery,
    NewMessage,
    Query,
    Sender,
    SenderKind,
)
from controller.store.tables import MENTIONS, MESSAGES
from controller.store.turn import Turn
from controller.store.values import integer, micros, moment, storable


@dataclass(frozen=True, slots=True)
class Append:
    """One append with its id. The id makes it safe to do again."""

    channel: ChannelRef
    message: NewMessage
    deliveries: tuple[NewDelivery, ...]
    """Each with its id."""
    message_id: str


_INSERT: Final = insert(MESSAGES)
_INSERT_MENTION: Final = insert(MENTIONS)
_BY_ID: Final = select(MESSAGES).where(
    MESSAGES.c.channel_uid == bindparam("channel"), MESSAGES.c.message_id == bindparam("id")
)
_BY_KEY: Final = select(MESSAGES).where(
    MESSAGES.c.channel_uid == bindparam("channel"),
    MESSAGES.c.sender_kind == bindparam("kind"),
    MESSAGES.c.sender_identity == bindparam("identity"),
    MESSAGES.c.idempotency_key == bindparam("key"),
)


def append(turn: Turn, wanted: Append) -> Appended:
    """Store the message and its deliveries, unless they are there.

    Nothing of the message is written before the last refusal.
    """
    connection = turn.connection
    counter = channel_rows.lock_living(connection, wanted.channel)
    first = _stored(turn, wanted)
    if first is not None:
        created = first.message_id == wanted.message_id
        return Appended(first, delivery_rows.of_message(connection, first.message_id), created)
    new, uid = wanted.message, wanted.channel.uid
    if new.reply_to and by_id(connection, uid, new.reply_to) is None:
        raise NotFoundError("the message that is replied to is not in this channel")
    message = Message(
        message_id=wanted.message_id,
        channel_uid=uid,
        sequence=counter.last_sequence + 1,
        sender=new.sender,
        content=new.content,
        message_type=new.message_type,
        mentions=new.mentions,
        reply_to=new.reply_to,
        idempotency_key=new.idempotency_key,
        created_at=moment(turn.now),
    )
    channel_rows.advance(connection, uid, message.sequence, turn.now)
    connection.execute(_INSERT, _values(message))
    if message.mentions:
        connection.execute(_INSERT_MENTION, _mention_values(message))
    origin = delivery_rows.Origin(wanted.channel.namespace, uid, message.message_id)
    deliveries = tuple(delivery_rows.add(turn, origin, delivery) for delivery in wanted.deliveries)
    return Appended(message, deliveries, created=True)


def _stored(turn: Turn, wanted: Append) -> Message | None:
    """Return the message that this one repeats, if there is one."""
    new, uid = wanted.message, wanted.channel.uid
    if not new.idempotency_key:
        return by_id(turn.connection, uid, wanted.message_id) if turn.again else None
    who = {"channel": uid, "kind": new.sender.kind.value, "identity": new.sender.identity}
    row = turn.connection.execute(_BY_KEY, who | {"key": new.idempotency_key}).one_or_none()
    if row is None:
        return None
    first = _message(row)
    if not _same(first, new):
        raise KeyConflictError(first)
    return first


def _same(first: Message, new: NewMessage) -> bool:
    """Mentions count by name: the pod of that name may have been made anew between two tries."""
    return (
        first.content == new.content
        and first.message_type == new.message_type
        and first.reply_to == new.reply_to
        and [m.pod_name for m in first.mentions] == [m.pod_name for m in new.mentions]
    )


def _values(message: Message) -> dict[str, Any]:
    return {
        "channel_uid": message.channel_uid,
        "sequence": message.sequence,
        "message_id": message.message_id,
        "sender_kind": message.sender.kind.value,
        "sender_name": message.sender.name,
        "sender_uid": message.sender.uid,
        "sender_identity": message.sender.identity,
        "idempotency_key": message.idempotency_key or None,
        "message_type": message.message_type.value,
        "mentions": json.dumps([[m.pod_name, m.pod_uid] for m in message.mentions]),
        "reply_to": message.reply_to,
        "created_at": micros(message.created_at),
        "content": message.content,
    }


def _mention_values(message: Message) -> list[dict[str, Any]]:
    uids = dict.fromkeys(mention.pod_uid for mention in message.mentions)
    at = {"channel_uid": message.channel_uid, "sequence": message.sequence}
    return [at | {"pod_uid": uid} for uid in uids]


def _message(row: Row[Any]) -> Message:
    return Message(
        message_id=row.message_id,
        channel_uid=row.channel_uid,
        sequence=row.sequence,
        sender=Sender(SenderKind(row.sender_kind), row.sender_name, row.sender_uid),
        content=row.content,
        message_type=MessageType(row.message_type),
        mentions=tuple(Mention(name, uid) for name, uid in json.loads(row.mentions)),
        reply_to=row.reply_to,
        idempotency_key=row.idempotency_key or "",
        created_at=moment(row.created_at),
    )


def by_id(connection: Connection, channel_uid: str, message_id: str) -> Message | None:
    """Return the message if it is in this channel."""
    if not storable(message_id):
        return None
    row = connection.execute(_BY_ID, {"channel": channel_uid, "id": message_id}).one_or_none()
    return None if row is None else _message(row)


def read(connection: Connection, channel_uid: str, query: Query) -> tuple[Message, ...]:
    """Return what the query asks for, in ascending sequence."""
    at = MESSAGES.c
    wanted = select(MESSAGES).where(at.channel_uid == channel_uid)
    if query.after_sequence > 0:
        wanted = wanted.where(at.sequence > integer(query.after_sequence))
    if query.before_sequence is not None:
        wanted = wanted.where(at.sequence < integer(query.before_sequence))
    if query.after_time is not None:
        wanted = wanted.where(at.created_at > micros(query.after_time))
    if query.before_time is not None:
        wanted = wanted.where(at.created_at < micros(query.before_time))
    if query.mentioned_pod_uid:
        mentioned = select(MENTIONS.c.sequence).where(
            MENTIONS.c.channel_uid == channel_uid,
            MENTIONS.c.pod_uid == query.mentioned_pod_uid,
        )
        wanted = wanted.where(at.sequence.in_(mentioned))
    order = at.sequence.desc() if query.newest else at.sequence.asc()
    limit = max(1, min(query.limit, MAX_LIMIT))
    found = [_message(row) for row in connection.execute(wanted.order_by(order).limit(limit))]
    return tuple(reversed(found) if query.newest else found)
