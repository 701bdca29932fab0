"""Messages: how many a second, and how long one takes until it is durable.

The floor is a bare insert and commit of the same bytes by the bare driver, with the same promise of
fsync: one row, no sequence, no idempotency key, no order. Both are warm: a
write-ahead log that still grows costs a journal commit of the file system with each fsync.
"""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.report import Row, percentile
from controller.store.messages import MessageStore
from controller.store.open import StoreSettings, opened
from controller.store.records import ChannelRef, NewMessage, Sender, SenderKind
from tests.postgres import Postgres, running

MESSAGES = 1000
WRITERS = 20
CONTENT = "x" * 500

Insert = Callable[[], object]
Append = Callable[[int], Awaitable[object]]


def measure() -> list[Row]:
    """Return rates and latencies of both stores beside their floors."""
    with tempfile.TemporaryDirectory() as text, running() as postgres:
        folder = Path(text)
        url = folder / "url"
        url.touch(mode=0o600)
        url.write_text(postgres.url(postgres.new_schema()))
        return [
            *_rows("SQLite", StoreSettings(path=folder / "ours.db"), _sqlite_floor(folder)),
            *_rows("PostgreSQL", StoreSettings(url_file=url), _postgresql_floor(postgres)),
        ]


@contextmanager
def _timed(times: list[float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    times.append(time.perf_counter() - started)


def _rows(name: str, settings: StoreSettings, floor: list[float]) -> list[Row]:
    runs = asyncio.run(_ours(settings))
    floor_rate = len(floor) / sum(floor)
    rows = []
    for what, (times, seconds) in runs.items():
        measure = f"messages in {name}, {what}"
        rows.append(Row(measure, "/s", len(times) / seconds, "bare insert, alone", floor_rate))
        for percent in (50, 99):
            mine, theirs = (1000 * percentile(each, percent) for each in (times, floor))
            rows.append(Row(f"{measure}: p{percent}", "ms", mine, "bare insert, alone", theirs))
    return rows


async def _ours(settings: StoreSettings) -> dict[str, tuple[list[float], float]]:
    """Return the time of each message and of all, by how they were written."""
    store = await opened(settings)
    try:
        await _written(WRITERS, _append(store, "warm"))
        return {
            "alone": await _written(1, _append(store, "one")),
            f"{WRITERS} writers, one channel": await _written(WRITERS, _append(store, "many")),
            f"{WRITERS} writers, {WRITERS} channels": await _written(
                WRITERS, _append(store, "each", apart=True)
            ),
        }
    finally:
        await store.close()


def _append(store: MessageStore, channel: str, *, apart: bool = False) -> Append:
    def append(writer: int) -> Awaitable[object]:
        sender = Sender(SenderKind.POD, f"pod-{writer}", f"uid-{writer}")
        where = ChannelRef(f"{channel}-{writer}" if apart else channel, "team")
        return store.append(where, NewMessage(sender, CONTENT))

    return append


async def _written(writers: int, append: Append) -> tuple[list[float], float]:
    times: list[float] = []

    async def write(writer: int) -> None:
        for _ in range(MESSAGES // writers):
            with _timed(times):
                await append(writer)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for writer in range(writers):
            group.create_task(write(writer))
    return times, time.perf_counter() - started


def _inserted(insert: Insert) -> list[float]:
    times: list[float] = []
    for _ in range(2 * MESSAGES):
        with _timed(times):
            insert()
    return times[MESSAGES:]


def _sqlite_floor(folder: Path) -> list[float]:
    db = sqlite3.connect(folder / "floor.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE t (x TEXT)")
    try:
        return _inserted(lambda: db.execute("INSERT INTO t VALUES (?)", (CONTENT,)))
    finally:
        db.close()


def _postgresql_floor(postgres: Postgres) -> list[float]:
    with postgres.connect() as db:
        db.execute("CREATE TABLE floor (x text)")
        return _inserted(lambda: db.execute("INSERT INTO floor VALUES (%s)", (CONTENT,)))
