"""How operations stand in SQLite: the file, tables, statements, and rows read back."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from controller.gitops.values import Author, Operation, OperationKind
from controller.gitops.writeback.values import End, Kept, Outcome

SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS operations (
        number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, source_uid TEXT NOT NULL,
        ticket TEXT NOT NULL, kind TEXT NOT NULL, pod_uid TEXT NOT NULL,
        accepted_at REAL NOT NULL, document TEXT NOT NULL, ended_at REAL,
        outcome TEXT, applied INTEGER NOT NULL DEFAULT 0
    ) STRICT
    """,
    "CREATE INDEX IF NOT EXISTS operations_of_tickets ON operations (source_uid, ticket, number)",
    """
    CREATE TABLE IF NOT EXISTS pushes (
        source_uid TEXT PRIMARY KEY, parent TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS pushed_commits (
        source_uid TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (source_uid, id)
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS reports (
        source_uid TEXT NOT NULL, ticket TEXT NOT NULL, document TEXT NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (source_uid, ticket)
    ) STRICT
    """,
)
REMEMBERED: Final = """
    SELECT number, document, accepted_at, pod_uid, outcome, applied FROM operations
    WHERE outcome IS NULL OR applied = 0 OR number IN (
        SELECT MAX(number) FROM operations WHERE outcome IS NOT NULL GROUP BY source_uid, ticket
    )
    ORDER BY COALESCE(ended_at, 9e99), number
"""
"""What is not done with, and the last operation of each ticket."""
CREATED: Final = f"""
    SELECT pod_uid, COUNT(*) FROM operations
    WHERE kind = '{OperationKind.CREATE}' AND pod_uid != '' GROUP BY pod_uid
"""  # noqa: S608 - a word of ours
ONE: Final = """
    SELECT number, document, accepted_at, pod_uid, outcome, applied FROM operations WHERE id = ?
"""
PUSHES: Final = "SELECT source_uid, parent FROM pushes"
COMMITS: Final = "SELECT source_uid, id FROM pushed_commits"
REPORTS: Final = "SELECT source_uid, ticket, document, at FROM reports"

Statement = tuple[str, tuple[Any, ...]]


class Found(NamedTuple):
    """A row."""

    kept: Kept
    pod_uid: str
    applied: bool
    size: int
    """Bytes of the operation, as it is kept."""


def accepted(kept: Kept, pod_uid: str, document: str) -> Statement:
    """Return what keeps an operation, written as *document*."""
    operation = kept.operation
    return (
        """
        INSERT OR IGNORE INTO operations
        (number, id, source_uid, ticket, kind, pod_uid, accepted_at, document)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            kept.number,
            operation.id,
            operation.source_uid,
            operation.ticket,
            str(operation.kind),
            pod_uid,
            kept.accepted_at,
            document,
        ),
    )


def ended(id_: str, outcome: Outcome, now: float) -> Statement:
    """Return what records the end of an operation."""
    text = json.dumps(
        {
            "end": outcome.end,
            "commit": outcome.commit,
            "path": outcome.path,
            "conflicts": outcome.conflicts,
            "reason": outcome.reason,
            "message": outcome.message,
            "unchanged": outcome.unchanged,
        }
    )
    return (
        "UPDATE operations SET ended_at = ?, outcome = ?, applied = ? WHERE id = ?",
        (now, text, outcome.end is End.REFUSED, id_),
    )


def applied(operation: Operation) -> Statement:
    """Return what records that nothing of it is to come back: the sync has brought it, if it may.

    What it was to change is forgotten: with long texts that is nearly all of it.
    """
    text = document_of(over(operation))
    return "UPDATE operations SET applied = 1, document = ? WHERE id = ?", (text, operation.id)


def over(operation: Operation) -> Operation:
    """Return what is still to be known of an operation when nothing of it is to be done."""
    return replace(operation, changes={}, base=None)


def began(source_uid: str, parent: str, commits: Iterable[str]) -> list[Statement]:
    """Return what records that a push of the commits begins."""
    push = "INSERT OR IGNORE INTO pushes (source_uid, parent) VALUES (?, ?)"
    commit = "INSERT OR IGNORE INTO pushed_commits (source_uid, id) VALUES (?, ?)"
    return [(push, (source_uid, parent)), *((commit, (source_uid, id_)) for id_ in commits)]


def settled(source_uid: str) -> list[Statement]:
    """Return what records that no push is open."""
    return [
        ("DELETE FROM pushes WHERE source_uid = ?", (source_uid,)),
        ("DELETE FROM pushed_commits WHERE source_uid = ?", (source_uid,)),
    ]


def reported(source_uid: str, ticket: str, document: Mapping[str, Any], now: float) -> Statement:
    """Return what records what ``x-status`` says."""
    return (
        "INSERT OR REPLACE INTO reports (source_uid, ticket, document, at) VALUES (?, ?, ?, ?)",
        (source_uid, ticket, json.dumps(document), now),
    )


def forgotten(before: float) -> Statement:
    """Return what removes operations that ended before then."""
    return "DELETE FROM operations WHERE ended_at < ? AND applied = 1", (before,)


def read(row: tuple[Any, ...]) -> Found:
    """Return a row of REMEMBERED. Raises ValueError, KeyError where it is none of ours."""
    number, document, accepted_at, pod_uid, outcome, was_applied = row
    kept = Kept(number, _operation(document), accepted_at, _outcome(outcome))
    return Found(kept, pod_uid, bool(was_applied), len(document))


def reports(
    found: Iterable[tuple[Any, ...]],
) -> dict[tuple[str, str], tuple[Mapping[str, Any], float]]:
    """Return the rows of REPORTS."""
    return {(uid, ticket): (json.loads(text), at) for uid, ticket, text, at in found}


def prepare(path: Path) -> None:
    """Make the file, readable by its owner only. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(handle, 0o600)
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Commit what is done within, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def document_of(operation: Operation) -> str:
    """Return the operation as it is kept, in ASCII."""
    return json.dumps(
        {
            "id": operation.id,
            "kind": operation.kind,
            "source_uid": operation.source_uid,
            "namespace": operation.namespace,
            "source": operation.source,
            "ticket": operation.ticket,
            "changes": dict(operation.changes),
            "base": None if operation.base is None else dict(operation.base),
            "author": list(operation.author),
            "person": operation.person,
            "summary": operation.summary,
            "trailers": dict(operation.trailers),
        }
    )


def _operation(text: str) -> Operation:
    found = json.loads(text)
    found["kind"] = OperationKind(found["kind"])
    found["author"] = Author(*found["author"])
    return Operation(**found)


def _outcome(text: str | None) -> Outcome | None:
    if text is None:
        return None
    found = json.loads(text)
    found["end"] = End(found["end"])
    found["conflicts"] = tuple(found["conflicts"])
    return Outcome(**found)
