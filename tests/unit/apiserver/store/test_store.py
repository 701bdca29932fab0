"""The store: durable before it is acknowledged, versions that only rise, history that expires."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver.store import history as history_module
from apiserver.store.records import Change, ChangeType, ExpiredError, Key, StoreError
from apiserver.store.store import Store

pytestmark = pytest.mark.anyio


def thing(name: str, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, **fields}


def key(name: str, resource: str = "things", namespace: str = "ns") -> Key:
    return Key(resource, namespace, name)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Store]:
    store = Store(path)
    store.start()
    try:
        yield store
    finally:
        await store.stop()


async def put(store: Store, name: str, **fields: Any) -> int:
    entry, ticket = store.put(key(name), thing(name, **fields))
    await ticket
    return entry.rv


async def test_a_write_is_visible_to_readers_only_when_it_is_durable(tmp_path: Path) -> None:
    async with opened(tmp_path / "store.db") as store:
        entry, ticket = store.put(key("a"), thing("a"))
        assert store.get(key("a")) is None
        assert store.latest(key("a")) is entry
        await ticket
        assert store.get(key("a")) is entry
        assert store.ticket(key("a")) is None


async def test_everything_acknowledged_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(path) as store:
        for number in range(20):
            await put(store, f"n{number}", spec=number)
        await store.remove(key("n3"), thing("n3"))[1]
        revision = store.revision
    async with opened(path) as store:
        names = [entry.key.name for entry in store.entries("things")]
        assert names == sorted(f"n{number}" for number in range(20) if number != 3)
        assert store.revision == revision
        assert await put(store, "later") > revision


async def test_versions_rise_over_a_restart_even_when_the_newest_was_compacted(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    async with opened(path) as store:
        await put(store, "a")
        await store.remove(key("a"), thing("a"))[1]
        store.compact(store.revision)
        revision = store.revision
    async with opened(path) as store:
        assert store.entries("things") == []
        assert await put(store, "b") > revision


async def test_the_file_is_readable_for_its_owner_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "store.db"):
        assert {oct(found.stat().st_mode & 0o777) for found in tmp_path.iterdir()} == {"0o600"}


async def test_a_subscriber_gets_each_change_once_and_in_order(tmp_path: Path) -> None:
    async with opened(tmp_path / "store.db") as store:
        subscription = store.subscribe("things", "", "")
        await put(store, "a", spec=1)
        await put(store, "a", spec=2)
        await store.remove(key("a"), thing("a"))[1]
        seen = [(change.type, change.rv) for change in subscription.drain()]
        assert [kind for kind, _ in seen] == ["ADDED", "MODIFIED", "DELETED"]
        assert [rv for _, rv in seen] == sorted(rv for _, rv in seen)
        assert subscription.drain() == []


async def test_a_subscriber_gets_only_what_it_asked_for(tmp_path: Path) -> None:
    async with opened(tmp_path / "store.db") as store:
        one = store.subscribe("things", "ns", "a")
        other = store.subscribe("things", "elsewhere", "")
        await put(store, "a")
        await put(store, "b")
        assert [change.key.name for change in one.drain()] == ["a"]
        assert other.drain() == []


@pytest.mark.parametrize("ring", [4096, 2], ids=["from memory", "from disk"])
async def test_history_is_replayed_from_any_version(
    tmp_path: Path, ring: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "RING_CHANGES", ring)
    async with opened(tmp_path / "store.db") as store:
        versions = [await put(store, f"n{number}") for number in range(10)]
        subscription = store.subscribe("things", "", "")
        await put(store, "after")
        found = await store.changes_before("things", subscription, versions[3])
        assert [change.rv for change in found] == versions[4:]
        assert [change.key.name for change in subscription.drain()] == ["after"]


async def test_history_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(path) as store:
        first = await put(store, "a", spec=1)
        await put(store, "a", spec=2)
    async with opened(path) as store:
        subscription = store.subscribe("things", "", "")
        (change,) = await store.changes_before("things", subscription, first)
        assert change.type is ChangeType.MODIFIED
        assert change.previous is not None
        assert change.previous.load()["spec"] == 1


async def test_a_compacted_version_is_expired(tmp_path: Path) -> None:
    async with opened(tmp_path / "store.db") as store:
        first = await put(store, "a", spec=1)
        await put(store, "a", spec=2)
        store.compact(store.revision)
        subscription = store.subscribe("things", "", "")
        with pytest.raises(ExpiredError):
            await store.changes_before("things", subscription, first)
        with pytest.raises(ExpiredError):
            await store.list_at("things", "", first)
        assert await store.changes_before("things", subscription, store.revision) == []


async def test_a_slow_subscriber_is_ended_and_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "BACKLOG_CHANGES", 3)
    async with opened(tmp_path / "store.db") as store:
        slow, quick = (store.subscribe("things", "", "") for _ in range(2))
        for number in range(5):
            await put(store, f"n{number}")
            quick.drain()
        assert slow.ended
        assert not quick.ended


async def test_a_failed_commit_fails_all_that_builds_on_it_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "store.db") as store:
        before = await put(store, "a", spec=1)
        append = store._log.append

        def full(_rows: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(store._log, "append", full)
        _, lost = store.put(key("a"), thing("a", spec=2))
        _, built_on_it = store.put(key("a"), thing("a", spec=3))
        for ticket in (lost, built_on_it):
            with pytest.raises(StoreError):
                await ticket
        monkeypatch.setattr(store._log, "append", append)
        latest = store.latest(key("a"))
        assert latest is not None
        assert latest.rv == before
        assert store.revision == before
        assert await put(store, "a", spec=4) > before


async def test_many_writers_share_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path / "store.db") as store:
        commits = 0
        append = store._log.append

        def counted(rows: Any) -> None:
            nonlocal commits
            commits += 1
            append(rows)

        monkeypatch.setattr(store._log, "append", counted)
        tickets = [store.put(key(f"n{n}"), thing(f"n{n}"))[1] for n in range(200)]
        await asyncio.gather(*tickets)
        assert commits < 100
        assert len(store.entries("things")) == 200


steps = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["put", "remove", "compact", "reopen"])),
    max_size=40,
)


@settings(max_examples=30, deadline=None)
@given(steps)
def test_any_past_version_is_what_it_was_then(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("store") / "store.db"

    async def run() -> None:
        past: dict[int, list[tuple[str, int]]] = {}
        store = Store(path)
        store.start()
        for name, step in steps:
            if step == "put":
                await put(store, name)
            elif step == "remove" and store.get(key(name)) is not None:
                await store.remove(key(name), thing(name))[1]
            elif step == "compact":
                store.compact(store.revision)
                past.clear()
            elif step == "reopen":
                await store.stop()
                store = Store(path)
                store.start()
            past[store.revision] = [(e.key.name, e.rv) for e in store.entries("things")]
        for rv, then in past.items():
            found = await store.list_at("things", "", rv)
            assert [(entry.key.name, entry.rv) for entry in found] == then
        await store.stop()

    asyncio.run(run())


async def test_listeners_hear_of_a_change_before_its_writer(tmp_path: Path) -> None:
    async with opened(tmp_path / "store.db") as store:
        heard: list[Change] = []
        store.listen(heard.append)
        await put(store, "a")
        assert [change.key.name for change in heard] == ["a"]
