"""Messages in one SQLite file: the default.

Write-ahead log with ``synchronous = FULL``: a commit has returned only after its fsync. The file
belongs to its owner alone, as do SQLite's files beside it, which take over its mode.
"""

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, create_engine, event

from controller.store.database import Database
from controller.store.errors import OpenError

READERS: Final = 4
"""Connections beside the writer's."""

_PRAGMAS: Final = (
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",  # macOS: fsync alone does not reach the disk there
    "PRAGMA journal_size_limit = 67108864",
)

_WRITES: Final = "store_writes"


def sqlite_database(path: Path) -> Database:
    """Return the database in the file, which is made if it is not there.

    Raises:
        OpenError: The file cannot be made or opened.
    """
    path = path.absolute()  # ":memory:" is a file like others
    try:
        _prepare(path)
    except OSError as exc:
        raise OpenError(
            f"the message store {path} cannot be opened ({exc.strerror}): give a path that the"
            " controller may write to"
        ) from None
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        pool_size=READERS + 1,
        max_overflow=0,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    writing = engine.execution_options(**{_WRITES: True})
    return Database(engine, writing, readers=READERS, writers=1, retry_seconds=0.0)


def _prepare(path: Path) -> None:
    """Make the file, readable by its owner only and durable in its folder."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(handle, 0o600)
        os.fsync(handle)
    finally:
        os.close(handle)
    for folder in (path.parent, path.parent.parent):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _set_up(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _begin, not by the driver
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        raise OpenError(
            "SQLite cannot keep a write-ahead log beside the message store, as on a network file"
            " system: give a path on a disk of this machine, or use PostgreSQL"
        )


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
