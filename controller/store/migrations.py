"""Makes the tables, and brings those of an older version up to date.

One step per version, never changed once released. All steps that are due run in one transaction.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, inspect, select, text

from controller.store.errors import NewerVersionError, OpenError
from controller.store.tables import METADATA, NOTIFICATIONS, VERSION

_LOCK_ID: Final = 0x6D657368_73746F72
"""PostgreSQL's advisory lock of migrations: two controllers do not migrate at once."""


def _make_tables(connection: Connection) -> None:
    taken = set(inspect(connection).get_table_names()) & set(METADATA.tables)
    if taken:
        raise OpenError(
            f"the database has a table {min(taken)} but no version of the message store:"
            " name another database, or restore its backup whole"
        )
    METADATA.create_all(connection, checkfirst=False)


def _make_notifications(connection: Connection) -> None:
    NOTIFICATIONS.create(connection, checkfirst=True)  # a new database has it already


def _find_awaited(connection: Connection) -> None:
    for index in NOTIFICATIONS.indexes:
        index.create(connection, checkfirst=True)


STEPS: Final[tuple[Callable[[Connection], None], ...]] = (
    _make_tables,
    _make_notifications,
    _find_awaited,
)
"""The step at index n leads from version n to n + 1; version 0 is an empty database."""


def migrate(
    connection: Connection, steps: tuple[Callable[[Connection], None], ...] = STEPS
) -> None:
    """Bring the database to the newest version, in the transaction of the connection.

    Raises:
        NewerVersionError: It is of a version that this program does not know.
        OpenError: Tables are there that are not ours.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
    found = _version(connection)
    if found > len(steps):
        raise NewerVersionError(
            f"the message store is of version {found} and this program knows {len(steps)}:"
            " install the newer program, or restore a backup from before"
        )
    if found == len(steps):
        return
    for step in steps[found:]:
        step(connection)
    connection.execute(VERSION.delete())
    connection.execute(VERSION.insert().values(version=len(steps)))


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(VERSION.name):
        return 0
    return connection.scalar(select(VERSION.c.version)) or 0
