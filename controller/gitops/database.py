"""One SQLite file for what the sync with git must remember, shared by index and journal.

Every transaction is on the disk when it returns (write-ahead log, ``synchronous = FULL``). All run
in one thread of its own, one after the other.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class DatabaseError(Exception):
    """The file could not be opened, read or written; a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one user of the file."""

    name: str
    """Such as ``index``; beginning of the names of its tables."""
    version: int
    """From 1. A file with a newer one is not opened."""
    steps: tuple[tuple[str, ...], ...]
    """Statements that lead from each version to the next: the first makes version 1."""


class Database:
    """The file. Open it once, close it before the loop ends."""

    def __init__(self, path: Path, schemas: Sequence[Schema]) -> None:
        self._path = path
        self._schemas = tuple(schemas)

    async def open(self) -> None:
        """Open the file, making it (mode 0600) and the tables where they are not there.

        Raises:
            DatabaseError: It cannot be opened, or is of a newer version.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Finish what is begun and close the file."""
        raise NotImplementedError

    async def write(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run *action* in a transaction that is durable when this returns; all of it or nothing.

        Errors that *action* raises undo the transaction and pass through. Even when the caller is
        cancelled, what was begun is finished.

        Raises:
            DatabaseError: It could not be written: nothing was.
        """
        raise NotImplementedError

    async def read(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run *action*, which only reads, on one consistent state.

        Raises:
            DatabaseError: It could not be read.
        """
        raise NotImplementedError
