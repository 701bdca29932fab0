"""The SQLite file: its modes, its durability, and what is refused as none of ours."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import event, text

from controller.store.errors import NewerVersionError, OpenError, UnavailableError
from controller.store.open import StoreSettings, opened
from controller.store.records import Query
from controller.store.sqlite import _set_up, sqlite_database
from tests.unit.controller.store.examples import CHANNEL, said

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "messages.db"


async def test_the_files_belong_to_their_owner_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        store = await opened(StoreSettings(path=path))
        await store.append(CHANNEL, said("secret"))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        await store.close()
    finally:
        os.umask(before)
    assert modes == {
        "messages.db": 0o600,
        "messages.db-wal": 0o600,
        "messages.db-shm": 0o600,
    }
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_file_that_others_may_read_is_closed_to_them(path: Path) -> None:
    path.parent.mkdir()
    path.touch(mode=0o644)
    await (await opened(StoreSettings(path=path))).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_connection_waits_for_the_disk(path: Path) -> None:
    database = sqlite_database(path)
    connections = [database.engine.connect() for _ in range(database.readers)]
    connections.append(database.writing.connect())
    for connection in connections:
        for pragma, want in (("journal_mode", "wal"), ("synchronous", 2), ("fullfsync", 1)):
            assert connection.scalar(text(f"PRAGMA {pragma}")) == want
        connection.close()
    database.engine.dispose()


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    await (await opened(StoreSettings(path=path))).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE mesh_store_version SET version = 7")
    db.close()
    before = path.read_bytes()
    with pytest.raises(NewerVersionError, match="is of version 7 and this program knows 3"):
        await opened(StoreSettings(path=path))
    assert path.read_bytes() == before


async def test_tables_without_a_version_are_refused(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mesh_messages (x)")
    db.close()
    with pytest.raises(OpenError, match="has a table mesh_messages but no version"):
        await opened(StoreSettings(path=path))


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"dear diary\n" * 100)
    with pytest.raises(OpenError, match=r"messages\.db cannot be opened.*NOTADB"):
        await opened(StoreSettings(path=path))
    assert path.read_bytes() == b"dear diary\n" * 100


async def test_a_path_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "messages.db", tmp_path):
        with pytest.raises(OpenError, match="give a path that the controller may write to"):
            await opened(StoreSettings(path=path))


async def test_a_file_called_memory_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = await opened(StoreSettings(path=Path(":memory:")))
    await store.append(CHANNEL, said("kept"))
    await store.close()
    store = await opened(StoreSettings(path=tmp_path / ":memory:"))
    assert [message.content for message in await store.read(CHANNEL.uid, Query())] == ["kept"]
    await store.close()


def test_a_place_without_a_write_ahead_log_is_refused() -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(OpenError, match="give a path on a disk of this machine"):
        _set_up(connection, None)
    connection.close()


async def test_open_deliveries_are_found_by_their_index(path: Path) -> None:
    """However many were settled before."""
    store = await opened(StoreSettings(path=path))
    statements: list[str] = []
    engine = store._access._database.engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    await store.open_deliveries()
    await store.forget_pod("uid-x")
    await store.close()
    asked = [s for s in statements if "state IN" in s and "mesh_deliveries" in s]
    assert len(asked) == 2
    with sqlite3.connect(path) as db:
        for statement in asked:
            values = ["x"] * statement.count("?")
            plan = db.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            assert any("mesh_deliveries_open" in row[3] for row in plan), (statement, plan)
    db.close()


@pytest.mark.parametrize(
    "settings",
    [StoreSettings(), StoreSettings(Path("a"), Path("b")), StoreSettings(Path("a"), url="u")],
)
async def test_neither_and_both_places_are_refused(settings: StoreSettings) -> None:
    with pytest.raises(OpenError, match="either a path, or a file"):
        await opened(settings)


async def test_a_backup_of_a_store_at_work_is_a_store(path: Path, tmp_path: Path) -> None:
    store = await opened(StoreSettings(path=path))
    sent = await store.append(CHANNEL, said("kept"))
    with sqlite3.connect(path) as source, sqlite3.connect(tmp_path / "backup.db") as target:
        source.backup(target)
    source.close()
    target.close()
    await store.append(CHANNEL, said("after the backup"))
    await store.close()
    store = await opened(StoreSettings(path=tmp_path / "backup.db"))
    assert await store.read(CHANNEL.uid, Query()) == (sent.message,)
    await store.close()


async def test_a_full_disk_refuses_writes_and_loses_nothing(path: Path) -> None:
    store = await opened(StoreSettings(path=path))
    first = await store.append(CHANNEL, said("first"))
    pages = "PRAGMA max_page_count = 40"  # a limit of the connection that stands for the disk's
    engine = store._access._database.engine  # type: ignore[attr-defined]
    connections = [engine.connect() for _ in range(5)]
    for connection in connections:
        connection.exec_driver_sql(pages)
        connection.close()
    await store.append(CHANNEL, said("second"))
    with pytest.raises(UnavailableError, match="SQLITE_FULL"):
        await store.append(CHANNEL, said("x" * 1_000_000))
    stored = await store.read(CHANNEL.uid, Query())
    assert stored[0] == first.message
    assert [message.content for message in stored] == ["first", "second"]
    await store.close()
    store = await opened(StoreSettings(path=path))
    after = await store.append(CHANNEL, said("after"))
    assert after.message.sequence == 3
    await store.close()
