"""Messages in PostgreSQL: for more than one machine can hold, or where one is run anyway.

The order of a channel comes from the lock on its row. Lost connections are replaced.
"""

import logging
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError

from controller.store.database import Database
from controller.store.errors import OpenError

logger = logging.getLogger(__name__)

WRITERS: Final = 6
"""Threads that write, each on a connection of its own."""
READERS: Final = 4
"""Threads that read."""

_DRIVER: Final = "postgresql+psycopg"
_CONNECT: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "application_name": "agentsmesh-controller",
    # a host that is gone without a word is noticed within half a minute
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
_SETTINGS: Final = (
    "SET statement_timeout = '20s'",
    "SET lock_timeout = '10s'",
    "SET idle_in_transaction_session_timeout = '60s'",
)


def postgresql_database(url: str, retry_seconds: float = 10.0) -> Database:
    """Return the database at the URL. Nothing is connected yet.

    Raises:
        OpenError: The URL is none of PostgreSQL. The sentence does not quote it.
    """
    try:
        engine = _engine(make_url(url))
    except (ArgumentError, ValueError):
        engine = None
    if engine is None:
        raise OpenError(
            "the URL of the message store is none of PostgreSQL: write it as"
            " postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    event.listen(engine, "connect", _set_up)
    return Database(engine, engine, READERS, WRITERS, retry_seconds)


def _engine(url: URL) -> Engine | None:
    if url.drivername not in {"postgresql", "postgres", _DRIVER}:
        return None
    return create_engine(
        url.set(drivername=_DRIVER),
        connect_args=_CONNECT,
        pool_size=WRITERS + READERS,
        max_overflow=0,
        pool_timeout=10,
        pool_use_lifo=True,
        isolation_level="READ COMMITTED",  # each statement sees what a lock has waited for
        hide_parameters=True,
    )


def _set_up(connection: Any, _record: Any) -> None:
    """Set what each connection of the pool needs. *connection* is psycopg's."""
    with connection.cursor() as cursor:
        for setting in _SETTINGS:
            cursor.execute(setting)
        cursor.execute("SHOW synchronous_commit")
        if cursor.fetchone()[0] == "off":  # stronger levels than "on" stay as they are
            cursor.execute("SET synchronous_commit = on")
    connection.commit()


def check_server(engine: Engine) -> None:
    """Look whether the server keeps what it is given.

    Raises:
        OpenError: Its database cannot hold all of Unicode.
    """
    with engine.connect() as connection:
        encoding = connection.scalar(text("SHOW server_encoding"))
        fsync = connection.scalar(text("SHOW fsync"))
    if encoding != "UTF8":
        raise OpenError(
            f"the database of messages has the encoding {encoding}: create it with encoding UTF8"
        )
    if fsync != "on":
        logger.warning("PostgreSQL runs with fsync off: a power cut loses messages")
