"""The counters of channels: lock, count, forget. Functions on a connection in a transaction."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from controller.store.errors import ChannelGoneError
from controller.store.records import ChannelRef, Counts
from controller.store.tables import CHANNELS, DOCUMENTS, MEMBERS, MENTIONS, MESSAGES
from controller.store.turn import Turn
from controller.store.values import moment

_AT_ONCE: Final = 400
"""So many uids in one statement: both databases limit that."""

PIECE: Final = 500
"""So many messages are deleted in one transaction: others wait for no longer."""

TOMBSTONE_MICROS: Final = 24 * 3600 * 1_000_000
"""How long the row of a forgotten channel stays."""


@dataclass(frozen=True, slots=True)
class Counter:
    """The locked row of a channel."""

    first_sequence: int
    last_sequence: int
    forgotten: bool


_LOCK = (
    select(CHANNELS.c.first_sequence, CHANNELS.c.last_sequence, CHANNELS.c.forgotten_at)
    .where(CHANNELS.c.uid == bindparam("channel"))
    .with_for_update()  # SQLite has one writer, and compiles this away
)


def _locked_row(connection: Connection, uid: str) -> Counter | None:
    row = connection.execute(_LOCK, {"channel": uid}).one_or_none()
    if row is None:
        return None
    return Counter(row.first_sequence, row.last_sequence, row.forgotten_at is not None)


def lock(connection: Connection, channel: ChannelRef) -> Counter:
    """Lock the channel's row until the transaction ends, and make it if there is none."""
    counter = _locked_row(connection, channel.uid)
    if counter is None:
        row = {
            "uid": channel.uid,
            "namespace": channel.namespace,
            "first_sequence": 1,
            "last_sequence": 0,
        }
        add = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        connection.execute(add(CHANNELS).values(row).on_conflict_do_nothing())
        counter = _locked_row(connection, channel.uid)
    assert counter is not None, "the row was just made"  # noqa: S101 - by construction
    return counter


def lock_living(connection: Connection, channel: ChannelRef) -> Counter:
    """Lock the channel's row.

    Raises:
        ChannelGoneError: The channel was forgotten.
    """
    counter = lock(connection, channel)
    if counter.forgotten:
        raise ChannelGoneError("this channel was deleted: search for another, or create one")
    return counter


_ADVANCE = (
    update(CHANNELS)
    .where(CHANNELS.c.uid == bindparam("channel"))
    .values(last_sequence=bindparam("sequence"), last_message_at=bindparam("now"))
)


def advance(connection: Connection, uid: str, sequence: int, now: int) -> None:
    """Write down that the sequence was given out."""
    connection.execute(_ADVANCE, {"channel": uid, "sequence": sequence, "now": now})


def counts(connection: Connection, uids: Sequence[str]) -> dict[str, Counts]:
    """Return the numbers of the channels."""
    found = dict.fromkeys(uids, Counts())
    for some in _pieces(uids):
        for row in connection.execute(select(CHANNELS).where(CHANNELS.c.uid.in_(some))):
            found[row.uid] = _counts(row)
        members = (
            select(MEMBERS.c.channel_uid, func.count().label("members"))
            .where(MEMBERS.c.channel_uid.in_(some))
            .group_by(MEMBERS.c.channel_uid)
        )
        for row in connection.execute(members):
            found[row.channel_uid] = replace(found[row.channel_uid], members=row.members)
    return found


def _counts(row: Row[Any]) -> Counts:
    if row.last_message_at is None:
        return Counts()
    return Counts(
        messages=row.last_sequence - row.first_sequence + 1,
        first_sequence=row.first_sequence,
        last_sequence=row.last_sequence,
        last_message_at=moment(row.last_message_at),
    )


def _pieces(uids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(uids)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def of_namespace(connection: Connection, namespace: str) -> list[str]:
    """Return the uids of the channels of the namespace, the forgotten ones too."""
    wanted = select(CHANNELS.c.uid).where(CHANNELS.c.namespace == namespace)
    return list(connection.scalars(wanted.order_by(CHANNELS.c.uid)))


def trim(turn: Turn, uid: str, since: int) -> int:
    """Delete a piece of what came before the first message of *since* or later; return how many."""
    connection = turn.connection
    counter = _locked_row(connection, uid)
    if counter is None or counter.forgotten:
        return 0
    oldest = connection.scalars(
        select(MESSAGES.c.created_at)
        .where(MESSAGES.c.channel_uid == uid)
        .order_by(MESSAGES.c.sequence)
        .limit(PIECE)
    ).all()
    end = counter.first_sequence + sum(1 for _ in takewhile(lambda at: at < since, oldest))
    connection.execute(update(CHANNELS).where(CHANNELS.c.uid == uid).values(first_sequence=end))
    return _delete_below(connection, uid, end)


def _delete_below(connection: Connection, uid: str, end: int) -> int:
    """Delete the messages below *end*; return how many."""
    gone = 0
    for table in (MENTIONS, MESSAGES):
        at = table.c
        gone = connection.execute(
            delete(table).where(at.channel_uid == uid, at.sequence < end)
        ).rowcount
    return gone


def bury(turn: Turn, channel: ChannelRef) -> None:
    """Forget the channel: it takes nothing from now on. Its messages go with ``crumble``."""
    lock(turn.connection, channel)
    turn.connection.execute(
        update(CHANNELS).where(CHANNELS.c.uid == channel.uid).values(forgotten_at=turn.now)
    )
    for table in (MEMBERS, DOCUMENTS):
        turn.connection.execute(delete(table).where(table.c.channel_uid == channel.uid))


def crumble(turn: Turn, uid: str) -> int:
    """Delete a piece of a forgotten channel's messages; return how many."""
    first = turn.connection.scalar(
        select(func.min(MESSAGES.c.sequence)).where(MESSAGES.c.channel_uid == uid)
    )
    return 0 if first is None else _delete_below(turn.connection, uid, first + PIECE)


def sweep_tombstones(turn: Turn) -> None:
    """Delete the rows of channels that were forgotten long ago and have nothing left."""
    turn.connection.execute(
        delete(CHANNELS).where(
            CHANNELS.c.forgotten_at < turn.now - TOMBSTONE_MICROS,
            ~exists().where(MESSAGES.c.channel_uid == CHANNELS.c.uid),
        )
    )
