"""Notifications: what webhooks are to be told. Functions on a connection in a transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from controller.store.tables import NOTIFICATIONS, QUEUED
from controller.store.turn import Turn


class NotificationState(StrEnum):
    """What became of it."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    FAILED = "failed"
    """It was tried as often as it is."""
    SKIPPED = "skipped"
    """It happened before the webhook was there."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing that one webhook is told. Times are seconds since 1970."""

    notification_id: str
    """The same for the same episode and webhook: told once."""
    organization: str
    webhook: str
    event: str
    body: str
    """JSON, as it is sent."""
    state: NotificationState = NotificationState.QUEUED
    attempts: int = 0
    due_at: float = 0.0
    created_at: float = 0.0
    """When it was stored."""


@dataclass(frozen=True, slots=True)
class Awaiting:
    """A webhook that is to be told something."""

    organization: str
    webhook: str
    due_at: float
    """When: seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a try ended."""

    notification_id: str
    state: NotificationState
    attempts: int
    due_at: float


_TABLE: Final = NOTIFICATIONS


def add(turn: Turn, new: Sequence[Notification]) -> int:
    """Store those that are not there yet; return how many these were."""
    connection = turn.connection
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    insert = dialect.insert(_TABLE).on_conflict_do_nothing(index_elements=["notification_id"])
    made = 0
    for each in new:
        found = connection.execute(
            insert.returning(_TABLE.c.notification_id), _values(each, turn.now)
        )
        made += found.one_or_none() is not None
    return made


def awaited(connection: Connection) -> tuple[Awaiting, ...]:
    """Return every webhook that is to be told something still, and when the first is due."""
    whose = (_TABLE.c.organization, _TABLE.c.webhook)
    rows = connection.execute(
        select(*whose, func.min(_TABLE.c.due_at)).where(QUEUED).group_by(*whose)
    )
    return tuple(Awaiting(home, webhook, at / 1_000_000) for home, webhook, at in rows)


def due(connection: Connection, to: Awaiting, limit: int) -> tuple[Notification, ...]:
    """Return what the webhook is to be told by the time ``due_at``, oldest first."""
    rows = connection.execute(
        select(_TABLE)
        .where(QUEUED)
        .where(_TABLE.c.organization == to.organization, _TABLE.c.webhook == to.webhook)
        .where(_TABLE.c.due_at <= round(to.due_at * 1_000_000))
        .order_by(_TABLE.c.created_at, _TABLE.c.notification_id)
        .limit(limit)
    )
    return tuple(_notification(row) for row in rows)


def tried(turn: Turn, attempt: Attempt) -> None:
    """Record how a try ended."""
    turn.connection.execute(
        update(_TABLE)
        .where(_TABLE.c.notification_id == bindparam("id"))
        .values(
            state=attempt.state.value,
            attempts=attempt.attempts,
            due_at=round(attempt.due_at * 1_000_000),
            changed_at=turn.now,
        ),
        {"id": attempt.notification_id},
    )


def purge(turn: Turn, before_micros: int, limit: int) -> int:
    """Delete so many of those that were settled before that time; return how many."""
    old = (
        select(_TABLE.c.notification_id)
        .where(_TABLE.c.state != NotificationState.QUEUED.value)
        .where(_TABLE.c.changed_at < before_micros)
        .limit(limit)
    )
    found = turn.connection.execute(delete(_TABLE).where(_TABLE.c.notification_id.in_(old)))
    return int(found.rowcount)


def _values(new: Notification, now: int) -> dict[str, Any]:
    return {
        "notification_id": new.notification_id,
        "organization": new.organization,
        "webhook": new.webhook,
        "event": new.event,
        "state": new.state.value,
        "attempts": new.attempts,
        "due_at": round(new.due_at * 1_000_000),
        "created_at": now,
        "changed_at": now,
        "body": new.body,
    }


def _notification(row: Row[Any]) -> Notification:
    return Notification(
        notification_id=row.notification_id,
        organization=row.organization,
        webhook=row.webhook,
        event=row.event,
        body=row.body,
        state=NotificationState(row.state),
        attempts=row.attempts,
        due_at=row.due_at / 1_000_000,
        created_at=row.created_at / 1_000_000,
    )
