"""Deliveries: add, list, move. Functions on a connection in a transaction."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, TextClause, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from controller.store.errors import NotFoundError
from controller.store.records import (
    MOVES,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Marked,
    NewDelivery,
)
from controller.store.tables import DELIVERIES, OPEN
from controller.store.turn import Turn
from controller.store.values import micros, moment, storable

_ENDS: Final = tuple(state.value for state in DeliveryState if not MOVES[state])


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a delivery comes from."""

    namespace: str
    channel_uid: str = ""
    message_id: str = ""


_BY_ID: Final = select(DELIVERIES).where(DELIVERIES.c.delivery_id == bindparam("id"))


def add(turn: Turn, origin: Origin, new: NewDelivery) -> Delivery:
    """Store a delivery, which has its id, or return the one of that id."""
    delivery = Delivery(
        delivery_id=new.delivery_id,
        namespace=origin.namespace,
        pod_uid=new.pod_uid,
        pod_name=new.pod_name,
        text=new.text,
        kind=new.kind,
        channel_uid=origin.channel_uid,
        message_id=origin.message_id,
        state=DeliveryState.QUEUED,
        reason="",
        message="",
        give_up_at=new.give_up_at,
        created_at=moment(turn.now),
        changed_at=moment(turn.now),
    )
    connection = turn.connection
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    insert = dialect.insert(DELIVERIES).on_conflict_do_nothing(index_elements=["delivery_id"])
    made = connection.execute(insert.returning(DELIVERIES.c.position), _values(delivery))
    if made.one_or_none() is not None:
        return delivery
    known = by_id(connection, new.delivery_id)
    assert known is not None, "it is in the way of a new one"  # noqa: S101 - by construction
    return known


def _values(delivery: Delivery) -> dict[str, Any]:
    return {
        "delivery_id": delivery.delivery_id,
        "namespace": delivery.namespace,
        "pod_uid": delivery.pod_uid,
        "pod_name": delivery.pod_name,
        "kind": delivery.kind.value,
        "channel_uid": delivery.channel_uid,
        "message_id": delivery.message_id,
        "state": delivery.state.value,
        "reason": delivery.reason,
        "message": delivery.message,
        "give_up_at": micros(delivery.give_up_at),
        "created_at": micros(delivery.created_at),
        "changed_at": micros(delivery.changed_at),
        "text": delivery.text,
    }


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        delivery_id=row.delivery_id,
        namespace=row.namespace,
        pod_uid=row.pod_uid,
        pod_name=row.pod_name,
        text=row.text,
        kind=DeliveryKind(row.kind),
        channel_uid=row.channel_uid,
        message_id=row.message_id,
        state=DeliveryState(row.state),
        reason=row.reason,
        message=row.message,
        give_up_at=moment(row.give_up_at),
        created_at=moment(row.created_at),
        changed_at=moment(row.changed_at),
    )


def by_id(connection: Connection, delivery_id: str) -> Delivery | None:
    """Return the delivery of that id."""
    if not storable(delivery_id):
        return None
    row = connection.execute(_BY_ID, {"id": delivery_id}).one_or_none()
    return None if row is None else _delivery(row)


def _listed(
    connection: Connection, *conditions: ColumnElement[bool] | TextClause
) -> tuple[Delivery, ...]:
    """Sorted here: a planner that must sort reads the whole table in its order instead."""
    rows = connection.execute(select(DELIVERIES).where(*conditions)).all()
    return tuple(_delivery(row) for row in sorted(rows, key=lambda row: int(row.position)))


def of_message(connection: Connection, message_id: str) -> tuple[Delivery, ...]:
    """Return the deliveries of the message, in the order in which they were handed in."""
    if not storable(message_id) or not message_id:
        return ()
    return _listed(connection, DELIVERIES.c.message_id == message_id)


def unsettled(
    connection: Connection, namespace: str, pod_uid: str, give_up_by: datetime | None
) -> tuple[Delivery, ...]:
    """Return what is open, in the order in which it was stored."""
    at = DELIVERIES.c
    conditions: list[ColumnElement[bool] | TextClause] = [OPEN]
    if namespace:
        conditions.append(at.namespace == namespace)
    if pod_uid:
        conditions.append(at.pod_uid == pod_uid)
    if give_up_by is not None:
        conditions.append(at.give_up_at <= micros(give_up_by))
    return _listed(connection, *conditions)


@dataclass(frozen=True, slots=True)
class Move:
    """Where a delivery is to go, and why."""

    state: DeliveryState
    reason: str = ""
    message: str = ""


def mark(turn: Turn, delivery_id: str, move: Move) -> Marked:
    """Move the delivery if that is legal, and return it as it stands.

    Where an earlier try may have come through, standing there counts as moved.
    """
    sources = [state.value for state, targets in MOVES.items() if move.state in targets]
    moved = turn.connection.execute(
        update(DELIVERIES)
        .where(DELIVERIES.c.delivery_id == delivery_id, DELIVERIES.c.state.in_(sources))
        .values(_moved(move, turn.now))
    )
    delivery = by_id(turn.connection, delivery_id)
    if delivery is None:
        raise NotFoundError("there is no delivery of this id")
    there = Move(delivery.state, delivery.reason, delivery.message) == move
    return Marked(delivery, moved=moved.rowcount > 0 or (turn.again and there))


def _moved(move: Move, now: int) -> dict[str, Any]:
    return {
        "state": move.state.value,
        "reason": move.reason,
        "message": move.message,
        "changed_at": now,
    }


def fail_all(turn: Turn, where: ColumnElement[bool], move: Move, at: int) -> tuple[Delivery, ...]:
    """Fail what is open among those *where*; return all that this has failed, in any try.

    *at*: microseconds; the same in each try.
    """
    turn.connection.execute(update(DELIVERIES).where(where, OPEN).values(_moved(move, at)))
    return _listed(
        turn.connection,
        where,
        DELIVERIES.c.state == move.state.value,
        DELIVERIES.c.reason == move.reason,
        DELIVERIES.c.changed_at == at,
    )


def purge(turn: Turn, settled_before: datetime, limit: int) -> int:
    """Delete up to so many of those that were settled before that time; return how many."""
    old = (
        select(DELIVERIES.c.position)
        .where(DELIVERIES.c.state.in_(_ENDS), DELIVERIES.c.changed_at < micros(settled_before))
        .limit(limit)
    )
    return turn.connection.execute(
        delete(DELIVERIES).where(DELIVERIES.c.position.in_(old.scalar_subquery()))
    ).rowcount


def delete_of_namespace(turn: Turn, namespace: str) -> None:
    """Delete all deliveries of the namespace."""
    turn.connection.execute(delete(DELIVERIES).where(DELIVERIES.c.namespace == namespace))
