"""What is promised of notifications, on both databases."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from controller.store.messages import MessageStore
from controller.store.migrations import STEPS, migrate
from controller.store.notification_rows import Attempt, Notification, NotificationState
from tests.unit.controller.store.conftest import Place

pytestmark = pytest.mark.anyio


def note(name: str, state: NotificationState = NotificationState.QUEUED) -> Notification:
    return Notification(name, "acme", "chat", "Waiting", '{"event": "Waiting"}', state)


async def test_the_same_is_queued_once(store: MessageStore) -> None:
    assert await store.add_notifications([note("a"), note("b")]) == 2
    assert await store.add_notifications([note("a"), note("c")]) == 1
    assert [each.notification_id for each in await store.queued_notifications(10)] == [
        "a",
        "b",
        "c",
    ]


async def test_what_was_told_is_not_queued_again(store: MessageStore) -> None:
    await store.add_notifications([note("a")])
    await store.tried_notification(Attempt("a", NotificationState.DELIVERED, 1, 0.0))
    assert await store.add_notifications([note("a")]) == 0
    assert await store.queued_notifications(10) == ()


async def test_what_was_there_before_the_webhook_is_never_queued(store: MessageStore) -> None:
    await store.add_notifications([note("a", NotificationState.SKIPPED)])
    await store.add_notifications([note("a")])
    assert await store.queued_notifications(10) == ()


async def test_tries_outlive_the_process(place: Place) -> None:
    first = await place.open()
    await first.add_notifications([note("a")])
    await first.tried_notification(Attempt("a", NotificationState.QUEUED, 3, 1234.5))
    await first.close()
    second = await place.open()
    (found,) = await second.queued_notifications(10)
    assert (found.attempts, found.due_at) == (3, 1234.5)
    await second.close()


async def test_what_is_settled_is_purged_and_what_is_queued_is_not(
    store: MessageStore, place: Place
) -> None:
    place.clock.at = 1_000_000.0
    await store.add_notifications([note("a"), note("b")])
    await store.tried_notification(Attempt("a", NotificationState.FAILED, 9, 0.0))
    assert await store.purge_notifications(datetime.fromtimestamp(999_999, UTC)) == 0
    assert await store.purge_notifications(datetime.fromtimestamp(1_000_001, UTC)) == 1
    assert [each.notification_id for each in await store.queued_notifications(10)] == ["b"]


def test_a_database_of_the_first_version_gets_the_table(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'messages.db'}")
    with engine.begin() as connection:
        migrate(connection, STEPS[:1])
        connection.exec_driver_sql("DROP TABLE mesh_notifications")  # it had none then
    with engine.begin() as connection:
        migrate(connection)
        assert inspect(connection).has_table("mesh_notifications")
    engine.dispose()
