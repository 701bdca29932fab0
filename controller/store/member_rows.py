"""Members of channels. Functions on a connection in a transaction."""

from sqlalchemy import Connection, delete, insert, select

from controller.store import channel_rows
from controller.store.records import ChannelRef, Member
from controller.store.tables import MEMBERS
from controller.store.turn import Turn
from controller.store.values import micros, moment


def join(turn: Turn, channel: ChannelRef, new: Member) -> bool:
    """Make the pod a member; return whether this has done it, in any try.

    ``joined_at`` is the same in each try.
    """
    channel_rows.lock_living(turn.connection, channel)
    joined_at = turn.connection.scalar(
        select(MEMBERS.c.joined_at).where(
            MEMBERS.c.channel_uid == channel.uid, MEMBERS.c.pod_uid == new.pod_uid
        )
    )
    if joined_at is not None:
        return turn.again and joined_at == micros(new.joined_at)
    row = {
        "channel_uid": channel.uid,
        "pod_uid": new.pod_uid,
        "pod_name": new.pod_name,
        "joined_at": micros(new.joined_at),
    }
    turn.connection.execute(insert(MEMBERS), row)
    return True


def leave(turn: Turn, channel_uid: str, pod_uid: str) -> bool:
    """End the membership; return whether there was one, as far as a further try can know."""
    gone = turn.connection.execute(
        delete(MEMBERS).where(MEMBERS.c.channel_uid == channel_uid, MEMBERS.c.pod_uid == pod_uid)
    )
    return gone.rowcount > 0 or turn.again


def leave_all(turn: Turn, pod_uid: str) -> None:
    """End all memberships of the pod."""
    turn.connection.execute(delete(MEMBERS).where(MEMBERS.c.pod_uid == pod_uid))


def of_channel(connection: Connection, channel_uid: str) -> tuple[Member, ...]:
    """Return the members in the order in which they joined."""
    wanted = (
        select(MEMBERS)
        .where(MEMBERS.c.channel_uid == channel_uid)
        .order_by(MEMBERS.c.joined_at, MEMBERS.c.pod_uid)
    )
    return tuple(
        Member(row.pod_uid, row.pod_name, moment(row.joined_at))
        for row in connection.execute(wanted)
    )


def of_pod(connection: Connection, pod_uid: str) -> frozenset[str]:
    """Return the channels that the pod is a member of."""
    wanted = select(MEMBERS.c.channel_uid).where(MEMBERS.c.pod_uid == pod_uid)
    return frozenset(connection.scalars(wanted))
