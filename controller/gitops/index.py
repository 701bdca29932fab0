"""What was seen and made of each source, so that a pass reads only what has changed.

By uid of the GitSource. The last good version of each file is here and nowhere else; so is which
pods have had their end.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from controller.gitops.apply import Applied
from controller.gitops.database import Database, Schema
from controller.gitops.values import Declared, Identity, Problem, Style

SCHEMA: Final = Schema(
    2,
    (
        """CREATE TABLE sources (
            source TEXT PRIMARY KEY, rules TEXT NOT NULL, observed TEXT, applied TEXT,
            synced_at REAL, rewritten INTEGER NOT NULL DEFAULT 0
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE files (
            source TEXT NOT NULL, path BLOB NOT NULL, row TEXT NOT NULL, declared TEXT,
            PRIMARY KEY (source, path)
        ) STRICT""",
        """CREATE TABLE applied (
            source TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, row TEXT NOT NULL,
            PRIMARY KEY (source, kind, name)
        ) STRICT, WITHOUT ROWID""",
    ),
    {1: ("ALTER TABLE sources ADD COLUMN rewritten INTEGER NOT NULL DEFAULT 0",)},
)


class FileRow(NamedTuple):
    """A file as it was read last."""

    path: str
    blob: str
    identity: Identity | None = None
    """What it is about; with a problem: what it last was about when it was valid."""
    digest: str | None = None
    """Of what it says, or last said validly."""
    problem: Problem | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    claims: tuple[str, ...] = ()
    """Whatever else its reader wants to find again."""


class SourceRow(NamedTuple):
    """How far the source has come."""

    rules: str
    """Under which rules its files were read; other rules: read them again."""
    observed: str | None = None
    """Commit that was fetched last."""
    applied: str | None = None
    """Commit whose files are all applied but for those with problems."""
    last_sync_at: float | None = None
    """Seconds since 1970: when the repository last had something new."""
    rewritten: bool = False
    """The branch did not follow what was applied, and a person has said nothing to it."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """All that is known of a source but what its files declare."""

    files: dict[str, FileRow]
    """By path."""
    applied: dict[Identity, Applied]
    state: SourceRow | None
    """None: it has not begun."""


class Index:
    """The memory of all sources."""

    def __init__(self, database: Database) -> None:
        """*database* has ``SCHEMA``; it is opened and closed by its owner."""
        self._database = database

    async def sources(self) -> frozenset[str]:
        """Return the uids of which anything is known.

        Raises:
            DatabaseError: It cannot be read.
        """
        return await self._database.read(_sources)

    async def load(self, source: str) -> Remembered:
        """Return what is known of the source; empty if nothing is.

        Raises:
            DatabaseError: It cannot be read.
        """
        return await self._database.read(lambda connection: _load(connection, source))

    async def declared(self, source: str, paths: Iterable[str]) -> dict[str, Declared]:
        """Return what these files last declared validly; those that never did are left out.

        Raises:
            DatabaseError: It cannot be read.
        """
        wanted = tuple(paths)
        return await self._database.read(lambda connection: _declared(connection, source, wanted))

    async def save(
        self,
        source: str,
        changed: Sequence[tuple[FileRow, Declared | None]],
        gone: Iterable[str],
        state: SourceRow,
    ) -> None:
        """Write what was read, all of it or nothing.

        A row with an identity and without a Declared keeps what the path last declared; a row
        without an identity keeps nothing.

        Raises:
            DatabaseError: It cannot be written.
        """
        rows, paths = tuple(changed), tuple(gone)
        await self._database.write(lambda connection: _save(connection, source, rows, paths, state))

    async def applied(
        self, source: str, rows: Iterable[Applied], gone: Iterable[Identity] = ()
    ) -> None:
        """Write what was made and what is not the source's any more, all of it or nothing.

        Raises:
            DatabaseError: It cannot be written.
        """
        made, unmade = tuple(rows), tuple(gone)
        await self._database.write(lambda connection: _applied(connection, source, made, unmade))

    async def forget(self, source: str) -> None:
        """Forget a source that is deleted.

        Raises:
            DatabaseError: It cannot be written.
        """
        await self._database.write(lambda connection: _forget(connection, source))


def _sources(connection: sqlite3.Connection) -> frozenset[str]:
    found = connection.execute(
        "SELECT source FROM sources UNION SELECT source FROM files UNION SELECT source FROM applied"
    )
    return frozenset(source for (source,) in found)


def _load(connection: sqlite3.Connection, source: str) -> Remembered:
    rows = connection.execute("SELECT path, row FROM files WHERE source = ?", (source,))
    files = {path: _file_row(path, row) for path, row in ((_path(raw), row) for raw, row in rows)}
    rows = connection.execute("SELECT kind, name, row FROM applied WHERE source = ?", (source,))
    applied = {}
    for kind, name, row in rows:
        identity = Identity(kind, name)
        applied[identity] = _applied_row(identity, row)
    state = connection.execute(
        "SELECT rules, observed, applied, synced_at, rewritten FROM sources WHERE source = ?",
        (source,),
    ).fetchone()
    row = SourceRow(*state)._replace(rewritten=bool(state[4])) if state else None
    return Remembered(files, applied, row)


def _declared(
    connection: sqlite3.Connection, source: str, paths: tuple[str, ...]
) -> dict[str, Declared]:
    query = "SELECT declared FROM files WHERE source = ? AND path = ? AND declared IS NOT NULL"
    found = {}
    for path in paths:
        row = connection.execute(query, (source, _stored(path))).fetchone()
        if row is not None:
            found[path] = _declared_of(path, row[0])
    return found


def _save(
    connection: sqlite3.Connection,
    source: str,
    changed: tuple[tuple[FileRow, Declared | None], ...],
    gone: tuple[str, ...],
    state: SourceRow,
) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO sources (source, rules, observed, applied, synced_at, rewritten)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (source, *state),
    )
    connection.executemany(
        "DELETE FROM files WHERE source = ? AND path = ?",
        ((source, _stored(path)) for path in gone),
    )
    values = (
        (source, _stored(row.path), _packed(row), _said(declared), row.identity is not None)
        for row, declared in changed
    )
    connection.executemany(
        "INSERT INTO files (source, path, row, declared) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT (source, path) DO UPDATE SET row = excluded.row,"
        " declared = CASE WHEN ?5 THEN coalesce(excluded.declared, declared)"
        " ELSE excluded.declared END",
        values,
    )


def _applied(
    connection: sqlite3.Connection,
    source: str,
    made: tuple[Applied, ...],
    unmade: tuple[Identity, ...],
) -> None:
    connection.executemany(
        "DELETE FROM applied WHERE source = ? AND kind = ? AND name = ?",
        ((source, *identity) for identity in unmade),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO applied (source, kind, name, row) VALUES (?, ?, ?, ?)",
        ((source, *row.identity, _applied_text(row)) for row in made),
    )


def _forget(connection: sqlite3.Connection, source: str) -> None:
    for table in ("sources", "files", "applied"):
        connection.execute(f"DELETE FROM {table} WHERE source = ?", (source,))  # noqa: S608  ours


def _stored(path: str) -> bytes:
    """Return the path as git has it, which need not be UTF-8."""
    return path.encode(errors="surrogateescape")


def _path(stored: bytes) -> str:
    return stored.decode(errors="surrogateescape")


def _packed(row: FileRow) -> str:
    return json.dumps(row[1:])


def _file_row(path: str, packed: str) -> FileRow:
    blob, identity, digest, problem, labels, annotations, claims = json.loads(packed)
    return FileRow(
        path,
        blob,
        Identity(*identity) if identity else None,
        digest,
        Problem(*problem) if problem else None,
        labels,
        annotations,
        tuple(claims),
    )


def _applied_text(row: Applied) -> str:
    parts = (row.digest, row.path, row.blob, row.commit, row.uid, row.ended)
    return json.dumps([*parts, row.labels, row.annotations])


def _applied_row(identity: Identity, packed: str) -> Applied:
    digest, path, blob, commit, uid, ended, labels, annotations = json.loads(packed)
    keys = tuple(labels), tuple(annotations)
    return Applied(identity, digest, path, blob, commit, uid, ended, *keys)


def _said(declared: Declared | None) -> str | None:
    if declared is None:
        return None
    return json.dumps(
        {
            "identity": declared.identity,
            "blob": declared.blob,
            "style": declared.style,
            "spec": declared.spec,
            "digest": declared.digest,
            "labels": declared.labels,
            "annotations": declared.annotations,
            "lines": declared.lines,
        }
    )


def _declared_of(path: str, said: str) -> Declared:
    known = json.loads(said)
    return Declared(
        **{
            **known,
            "path": path,
            "identity": Identity(*known["identity"]),
            "style": Style(known["style"]),
        }
    )
