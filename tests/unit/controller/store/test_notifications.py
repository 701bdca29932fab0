"""What is promised of notifications, on both databases."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from controller.store.messages import MessageStore
from controller.store.migrations import STEPS, migrate
from controller.store.notification_rows import (
    Attempt,
    Awaiting,
    Notification,
    NotificationState,
)
from tests.unit.controller.store.conftest import Place

pytestmark = pytest.mark.anyio


def note(name: str, state: NotificationState = NotificationState.QUEUED) -> Notification:
    return Notification(name, "acme", "chat", "Waiting", '{"event": "Waiting"}', state)


async def queue(store: MessageStore) -> tuple[Notification, ...]:
    return await store.due_notifications(Awaiting("acme", "chat", 4e9), 10)


async def test_the_same_is_queued_once(store: MessageStore) -> None:
    assert await store.add_notifications([note("a"), note("b")]) == 2
    assert await store.add_notifications([note("a"), note("c")]) == 1
    assert [each.notification_id for each in await queue(store)] == [
        "a",
        "b",
        "c",
    ]


async def test_what_was_told_is_not_queued_again(store: MessageStore) -> None:
    await store.add_notifications([note("a")])
    await store.tried_notification(Attempt("a", NotificationState.DELIVERED, 1, 0.0))
    assert await store.add_notifications([note("a")]) == 0
    assert await queue(store) == ()


async def test_what_was_there_before_the_webhook_is_never_queued(store: MessageStore) -> None:
    await store.add_notifications([note("a", NotificationState.SKIPPED)])
    await store.add_notifications([note("a")])
    assert await queue(store) == ()


async def test_tries_outlive_the_process(place: Place) -> None:
    first = await place.open()
    await first.add_notifications([note("a")])
    await first.tried_notification(Attempt("a", NotificationState.QUEUED, 3, 1234.5))
    await first.close()
    second = await place.open()
    (found,) = await queue(second)
    assert (found.attempts, found.due_at) == (3, 1234.5)
    await second.close()


async def test_who_is_to_be_told_something_is_known_with_the_first_time(
    store: MessageStore,
) -> None:
    await store.add_notifications(
        [Notification(f"{name}-{n}", name, "chat", "Waiting", "{}") for name in "ab" for n in "123"]
    )
    await store.tried_notification(Attempt("a-1", NotificationState.QUEUED, 1, 50.0))
    await store.tried_notification(Attempt("a-2", NotificationState.QUEUED, 1, 40.0))
    await store.tried_notification(Attempt("a-3", NotificationState.DELIVERED, 1, 1.0))
    assert set(await store.awaited_notifications()) == {
        Awaiting("a", "chat", 40.0),
        Awaiting("b", "chat", 0.0),
    }
    due = await store.due_notifications(Awaiting("a", "chat", 45.0), 10)
    assert [each.notification_id for each in due] == ["a-2"]
    assert len(await store.due_notifications(Awaiting("b", "chat", 45.0), 2)) == 2


async def test_what_is_settled_is_purged_and_what_is_queued_is_not(
    store: MessageStore, place: Place
) -> None:
    place.clock.at = 1_000_000.0
    await store.add_notifications([note("a"), note("b")])
    await store.tried_notification(Attempt("a", NotificationState.FAILED, 9, 0.0))
    assert await store.purge_notifications(datetime.fromtimestamp(999_999, UTC)) == 0
    assert await store.purge_notifications(datetime.fromtimestamp(1_000_001, UTC)) == 1
    assert [each.notification_id for each in await queue(store)] == ["b"]


def test_a_database_of_the_first_version_gets_the_table(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'messages.db'}")
    with engine.begin() as connection:
        migrate(connection, STEPS[:1])
        connection.exec_driver_sql("DROP TABLE mesh_notifications")  # it had none then
    with engine.begin() as connection:
        migrate(connection)
        assert inspect(connection).has_table("mesh_notifications")
    engine.dispose()


def test_a_database_of_the_second_version_gets_the_index(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'messages.db'}")
    with engine.begin() as connection:
        migrate(connection, STEPS[:2])
        connection.exec_driver_sql("DROP INDEX mesh_notifications_awaited")  # it had none then
    with engine.begin() as connection:
        migrate(connection)
        found = {each["name"] for each in inspect(connection).get_indexes("mesh_notifications")}
    assert "mesh_notifications_awaited" in found
    engine.dispose()
