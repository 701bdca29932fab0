"""Opens the message store that the settings ask for."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from controller.kernel.clock import wall
from controller.store.database import TROUBLES, Clock, Database, trouble
from controller.store.errors import OpenError
from controller.store.messages import MessageStore
from controller.store.migrations import migrate
from controller.store.postgresql import check_server, postgresql_database
from controller.store.sqlite import sqlite_database
from controller.store.sqlstore import SqlMessageStore


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the messages are. Exactly one is given."""

    path: Path | None = None
    """The file of an SQLite database; made if it is not there, with its folder."""
    url_file: Path | None = None
    """A file that holds the URL of PostgreSQL: ``postgresql://user:password@host/name``."""
    url: str = field(default="", repr=False)
    """That URL itself."""


async def opened(settings: StoreSettings, clock: Clock = wall) -> MessageStore:
    """Open the store, and make or migrate its tables.

    Raises:
        OpenError: It cannot be opened; the sentence says why and what to do.
    """
    database = await asyncio.to_thread(_database, settings)
    return SqlMessageStore(database, clock)


def _database(settings: StoreSettings) -> Database:
    """Return the database, reached and with its tables. Blocks."""
    if [settings.path is None, settings.url_file is None, not settings.url].count(False) != 1:
        raise OpenError("give the message store either a path, or a file with its URL, or its URL")
    if settings.path is not None:
        where = f"the message store {settings.path}"
        database = sqlite_database(settings.path)
    elif settings.url_file is not None:
        where = f"the message store of {settings.url_file}"
        database = postgresql_database(_url(settings.url_file))
    else:
        where = "the message store of the URL in the environment"
        database = postgresql_database(settings.url)
    try:
        _prepare(database)
    except TROUBLES as exc:
        database.engine.dispose()
        raise OpenError(f"{where} cannot be opened: {trouble(exc)}") from None
    except OpenError:
        database.engine.dispose()
        raise
    return database


def _prepare(database: Database) -> None:
    if database.engine.dialect.name == "postgresql":
        check_server(database.engine)
    with database.writing.begin() as connection:
        migrate(connection)


def _url(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise OpenError(
            f"the file {file} with the URL of the message store cannot be read: make it readable"
            " for the controller"
        ) from None
