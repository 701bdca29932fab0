"""One SQLite file and the thread that it is used in.

Every transaction is on the disk when it returns (write-ahead log, ``synchronous = FULL``).
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

T = TypeVar("T")

_PRAGMAS: Final = (
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",  # macOS: fsync alone does not reach the disk there
    "PRAGMA journal_size_limit = 67108864",
)


class DatabaseError(Exception):
    """The file could not be opened, read or written; the text is a sentence for the operator."""


class Schema(NamedTuple):
    """The tables of a file."""

    version: int
    """From 1. A file with a later one is not opened."""
    statements: tuple[str, ...]
    """What makes them in a new file."""
    upgrades: Mapping[int, tuple[str, ...]] = {}
    """What makes the next version of a file of that version."""


class Database:
    """The file. Open it once, close it before the loop ends."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self._path = path
        self._schema = schema
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gitops-index")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, making it (mode 0600) where it is not there.

        Raises:
            DatabaseError: It cannot be opened, or is of another version.
        """
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        except (sqlite3.Error, OSError) as exc:
            raise self._trouble("opened", exc) from exc

    async def close(self) -> None:
        """Finish what is begun and close the file; again is fine."""
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def write(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run *action* in a transaction that is durable when this returns; all of it or nothing.

        What was begun is finished even when the caller is cancelled meanwhile.

        Raises:
            DatabaseError: It could not be written; nothing was.
        """
        return await self._run("written", "BEGIN IMMEDIATE", action)

    async def read(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run *action*, which only reads, on one state of the file.

        Raises:
            DatabaseError: It could not be read.
        """
        return await self._run("read", "BEGIN", action)

    async def _run(self, verb: str, begin: str, action: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, self._transaction, begin, action
            )
        except sqlite3.Error as exc:
            raise self._trouble(verb, exc) from exc

    def _transaction(self, begin: str, action: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            raise sqlite3.ProgrammingError("it is closed")
        self._connection.execute(begin)
        try:
            result = action(self._connection)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return result

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(number)
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False
        )  # one thread uses it, and whoever closes it
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in self._schema.statements:
                connection.execute(statement)
        while version and version != self._schema.version:
            if version not in self._schema.upgrades:
                raise sqlite3.DatabaseError(f"it is of version {version}, which is not known here")
            for statement in self._schema.upgrades[version]:
                connection.execute(statement)
            version += 1
        connection.execute(f"PRAGMA user_version = {self._schema.version:d}")
        connection.execute("COMMIT")

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _trouble(self, verb: str, exc: Exception) -> DatabaseError:
        return DatabaseError(f"the index of git sources {self._path} cannot be {verb}: {exc}")
