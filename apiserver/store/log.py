"""The log on disk: one row for each version of each object, in one SQLite file.

A row stays as long as it is the newest of its object or is younger than the compaction. So the
newest rows are the current objects, and any version since the compaction can be rebuilt.
Used by one thread at a time; nothing here knows of asyncio.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS log (
    rv INTEGER PRIMARY KEY,
    resource TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    prev_rv INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
"""

_FORMAT: Final = 1
"""`user_version` of the file; a later one is refused rather than misread."""

_INSERT: Final = "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)"
_SELECT: Final = "SELECT rv, resource, namespace, name, type, prev_rv, body FROM log"


class Row(NamedTuple):
    """One version of one object, as on disk."""

    rv: int
    resource: str
    namespace: str
    name: str
    type: str
    prev_rv: int
    """Version that this one replaced; 0 where the object was new."""
    body: bytes


class Log:
    """The file. Every method may raise `sqlite3.Error`."""

    def __init__(self, path: Path) -> None:
        """Open *path*, making it (mode 0600) where it is missing."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA wal_autocheckpoint = 2000")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found not in {0, _FORMAT}:
            raise sqlite3.DatabaseError(f"format {found} is newer than this program")
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version = {_FORMAT}")

    def append(self, rows: Iterable[Row]) -> None:
        """Make *rows* durable, all or none; returns after the disk has them."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(_INSERT, rows)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def revision(self) -> int:
        """Return the highest version ever written."""
        row = self._db.execute("SELECT max(rv) FROM log").fetchone()
        return max(row[0] or 0, self._meta("revision"))

    def compacted(self) -> int:
        """Return the version up to which superseded rows are gone."""
        return self._meta("compacted")

    def _meta(self, name: str) -> int:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def rows(self) -> Iterator[Row]:
        """Yield all rows, oldest first."""
        return map(Row._make, self._db.execute(f"{_SELECT} ORDER BY rv"))

    def compact(self, rv: int) -> None:
        """Remove what was superseded at or before *rv*; current objects are never touched."""
        revision = self.revision()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute(
                "DELETE FROM log WHERE rv IN (SELECT prev_rv FROM log WHERE rv > ? AND rv <= ?)",
                (self.compacted(), rv),
            )
            self._db.execute("DELETE FROM log WHERE type = 'DELETED' AND rv <= ?", (rv,))
            for name, value in (("compacted", rv), ("revision", revision)):
                self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file, folding the write-ahead log into it."""
        self._db.close()


def history(path: Path, after: int, until: int) -> list[tuple[Row, Row | None]]:
    """Return the rows with `after < rv <= until`, oldest first, each with what it replaced.

    Opens the file anew, so any thread may call it. What was replaced is None where the object
    was new or the version is compacted.
    """
    db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    try:
        db.execute("BEGIN")  # one snapshot for both queries
        span = f"{_SELECT} WHERE rv > ? AND rv <= ? ORDER BY rv"
        rows = [Row._make(found) for found in db.execute(span, (after, until))]
        return [(row, _row(db, row.prev_rv)) for row in rows]
    finally:
        db.close()


def _row(db: sqlite3.Connection, rv: int) -> Row | None:
    found = db.execute(f"{_SELECT} WHERE rv = ?", (rv,)).fetchone()
    return Row._make(found) if found else None
