"""What the runner remembers of pods and their prompts, durably: SQLite, one thread, all fsynced.

Reading is from memory. Writes that come at the same time share one commit.
"""

import asyncio
import collections
import dataclasses
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from runner.converge.delivery_states import Delivery, Outcome, Stage
from runner.converge.states import Row, State

_FIELDS: Final = tuple(each.name for each in dataclasses.fields(Row))
_BOOLEANS: Final = frozenset(
    each.name for each in dataclasses.fields(Row) if each.type in (bool, "bool")
)
_COLUMNS: Final = tuple(f'"{name}"' for name in _FIELDS)
_DELIVERY_FIELDS: Final = tuple(each.name for each in dataclasses.fields(Delivery))
_DELIVERY: Final = tuple(f'"{name}"' for name in _DELIVERY_FIELDS)
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS pods ({_COLUMNS[0]} TEXT PRIMARY KEY, {", ".join(_COLUMNS[1:])});
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS listed (uid TEXT PRIMARY KEY, epoch, restart, ms);
CREATE TABLE IF NOT EXISTS stuck (uid TEXT PRIMARY KEY, said TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, {_DELIVERY[0]} TEXT UNIQUE NOT NULL,
    {", ".join(_DELIVERY[1:])}
);
"""
_STICKY: Final = ("prompt_sent", "prompt_given")
"""Set beside the rows while a run lives, by who types: a row that was read before keeps them."""

_STUCK_TO: Final = frozenset({State.RUNNING, State.STOPPING})


def _value(name: str) -> str:
    if name not in _STICKY:
        return f":{name}"
    states = ", ".join(f"'{state}'" for state in sorted(_STUCK_TO))
    same = f"uid = :uid AND epoch = :epoch AND restart = :restart AND state IN ({states})"
    return f"MAX(:{name}, COALESCE((SELECT {name} FROM pods WHERE {same}), 0))"  # noqa: S608  our own names


_PUT: Final = (
    f"INSERT OR REPLACE INTO pods ({', '.join(_COLUMNS)}) "  # noqa: S608  our own field names
    f"VALUES ({', '.join(_value(name) for name in _FIELDS)})"
)
_PUT_DELIVERY: Final = (  # its number, and with it its place, stays
    f"INSERT INTO deliveries ({', '.join(_DELIVERY)}) "  # noqa: S608  our own field names
    f"VALUES ({', '.join('?' * len(_DELIVERY))}) ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _DELIVERY[1:])
)
_PROMPT_SENT: Final = "UPDATE pods SET prompt_sent = 1 WHERE uid = ? AND epoch = ? AND restart = ?"

_PROMPT_GIVEN: Final = "UPDATE pods SET prompt_given = 1 WHERE uid = ? AND epoch = ?"

_Run = tuple[int, int]
"""epoch, restart."""

_Values = tuple[Any, ...] | Mapping[str, Any]
_Change = tuple[str, _Values, Callable[[], None], "asyncio.Future[None]"]


class JournalError(Exception):
    """The journal could not be read or written; the text is a sentence for the operator."""


class Journal:
    """The pods of this runner. Open it with ``open``, close it before the loop ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._connection: sqlite3.Connection | None = None
        self._rows: dict[str, Row] = {}
        self._meta: dict[str, str] = {}
        self._listed: dict[str, tuple[_Run, int]] = {}
        self._stuck: dict[str, str] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._pending: collections.deque[_Change] = collections.deque()
        self._flushing = False

    async def open(self) -> None:
        """Read everything.

        Raises:
            JournalError: The file cannot be opened, or is no journal.
        """
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._open)
        except (sqlite3.Error, ValueError, OSError) as exc:
            raise JournalError(f"The journal {self._path} cannot be opened: {exc}.") from exc

    async def close(self) -> None:
        """Write what is pending and close."""
        loop = asyncio.get_running_loop()
        connection = self._connection
        if connection is not None:
            self._connection = None
            await loop.run_in_executor(self._thread, connection.close)
        self._thread.shutdown(wait=False)

    @property
    def rows(self) -> Mapping[str, Row]:
        """Every row by uid, as committed."""
        return MappingProxyType(self._rows)

    @property
    def controller_epoch(self) -> int:
        """Highest epoch of a controller that was followed."""
        return int(self._meta.get("max_controller_epoch", "0"))

    @property
    def runner_uid(self) -> str:
        """UID of the Runner that this journal was written as; empty before the first."""
        return self._meta.get("runner_uid", "")

    def meta(self, key: str) -> str:
        """Return a value that was remembered; empty: there is none."""
        return self._meta.get(key, "")

    async def put(self, row: Row) -> None:
        """Write the row; returns when it is on the disk.

        Raises:
            JournalError: It could not be written, and counts as not written.
        """
        values = {name: getattr(row, name) for name in _FIELDS}

        def apply() -> None:
            self._rows[row.uid] = _kept(self._rows.get(row.uid), row)

        await self._write(_PUT, values, apply)

    async def forget(self, uid: str) -> None:
        """Remove the row, durably."""

        def apply() -> None:
            self._rows.pop(uid, None)
            self._listed.pop(uid, None)
            self._stuck.pop(uid, None)

        await self._write("DELETE FROM pods WHERE uid = ?", (uid,), apply)
        await self._write("DELETE FROM listed WHERE uid = ?", (uid,), lambda: None)
        await self._write("DELETE FROM stuck WHERE uid = ?", (uid,), lambda: None)

    # --- beside the rows, which have another writer ----------------------------------------------

    @property
    def deliveries(self) -> Mapping[str, Delivery]:
        """Every delivery by id, as committed; in the order in which they came."""
        return MappingProxyType(self._deliveries)

    async def put_delivery(self, delivery: Delivery) -> None:
        """Write the delivery; returns when it is on the disk.

        Raises:
            JournalError: It could not be written, and counts as not written.
        """
        values = tuple(getattr(delivery, name) for name in _DELIVERY_FIELDS)

        def apply() -> None:
            self._deliveries[delivery.id] = delivery

        await self._write(_PUT_DELIVERY, values, apply)

    async def forget_delivery(self, delivery_id: str) -> None:
        """Remove the delivery, durably."""

        def apply() -> None:
            self._deliveries.pop(delivery_id, None)

        await self._write("DELETE FROM deliveries WHERE id = ?", (delivery_id,), apply)

    def stuck(self, uid: str) -> str:
        """Return what was said of a text that stands in the pod's input; empty: there is none."""
        return self._stuck.get(uid, "")

    async def put_stuck(self, uid: str, said: str) -> None:
        """Remember a text that stands in the pod's input; an empty one: it does no more."""

        def apply() -> None:
            self._stuck.pop(uid, None)
            if said:
                self._stuck[uid] = said

        if said:
            await self._write("INSERT OR REPLACE INTO stuck VALUES (?, ?)", (uid, said), apply)
        else:
            await self._write("DELETE FROM stuck WHERE uid = ?", (uid,), apply)

    async def prompt_sent(self, uid: str, epoch: int, restart: int) -> None:
        """Remember that the first prompt of a run is typed; what else its row says stays."""

        def apply() -> None:
            row = self._rows.get(uid)
            if row is not None and (row.epoch, row.restart) == (epoch, restart):
                self._rows[uid] = dataclasses.replace(row, prompt_sent=True)

        await self._write(_PROMPT_SENT, (uid, epoch, restart), apply)

    async def prompt_given(self, uid: str, epoch: int) -> None:
        """Remember that the pod's first prompt was given, or is about to be; for all its life."""

        def apply() -> None:
            row = self._rows.get(uid)
            if row is not None and row.epoch == epoch:
                self._rows[uid] = dataclasses.replace(row, prompt_given=True)

        await self._write(_PROMPT_GIVEN, (uid, epoch), apply)

    def listed_ms(self, row: Row) -> int:
        """Return when the agent of the row's run first listed its tools; 0 when it has not."""
        run, at = self._listed.get(row.uid, ((0, 0), 0))
        return at if run == (row.epoch, row.restart) else 0

    async def tools_listed(self, row: Row, at_ms: int) -> None:
        """Remember that the agent of the row's run listed its tools."""
        run = (row.epoch, row.restart)

        def apply() -> None:
            self._listed[row.uid] = (run, at_ms)

        values = (row.uid, *run, at_ms)
        await self._write("INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?)", values, apply)

    async def set_meta(self, key: str, value: str) -> None:
        """Remember a value, durably."""

        def apply() -> None:
            self._meta[key] = value

        await self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value), apply)

    async def _write(self, sql: str, values: _Values, apply: Callable[[], None]) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((sql, values, apply, done))
        self._flush()
        await asyncio.shield(done)

    def _flush(self) -> None:
        if self._flushing or not self._pending:
            return
        self._flushing = True
        batch = list(self._pending)
        self._pending.clear()
        loop = asyncio.get_running_loop()
        written = loop.run_in_executor(self._thread, self._commit, [each[:2] for each in batch])
        written.add_done_callback(lambda future: self._committed(batch, future))

    def _committed(self, batch: list[_Change], future: "asyncio.Future[None]") -> None:
        self._flushing = False
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        for _, _, apply, done in batch:
            if error is None:
                apply()
                done.set_result(None)
            else:
                done.set_exception(
                    JournalError(f"The journal {self._path} cannot be written: {error}.")
                )
                done.exception()  # looked at here: the writer may have been cancelled
        self._flush()

    # --- in the journal's thread -------------------------------------------------------------

    def _open(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
        self._path.chmod(0o600)
        self._add_missing_columns(connection, "pods", _FIELDS)
        self._add_missing_columns(connection, "deliveries", _DELIVERY_FIELDS)
        self._read(connection)
        self._connection = connection

    def _read(self, connection: sqlite3.Connection) -> None:
        for values in connection.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM pods"  # noqa: S608  our own field names
        ):
            row = _row(dict(zip(_FIELDS, values, strict=True)))
            self._rows[row.uid] = row
        for values in connection.execute(
            f"SELECT {', '.join(_DELIVERY)} FROM deliveries ORDER BY number"  # noqa: S608  likewise
        ):
            delivery = _delivery(dict(zip(_DELIVERY_FIELDS, values, strict=True)))
            self._deliveries[delivery.id] = delivery
        self._meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        self._stuck = dict(connection.execute("SELECT uid, said FROM stuck").fetchall())
        for uid, epoch, restart, at in connection.execute(
            "SELECT uid, epoch, restart, ms FROM listed"
        ):
            self._listed[uid] = ((epoch, restart), at)

    @staticmethod
    def _add_missing_columns(
        connection: sqlite3.Connection, table: str, fields: tuple[str, ...]
    ) -> None:
        have = {info[1] for info in connection.execute(f"PRAGMA table_info({table})")}
        for name in fields:
            if name not in have:
                connection.execute(f'ALTER TABLE {table} ADD COLUMN "{name}"')

    def _commit(self, changes: list[tuple[str, _Values]]) -> None:
        connection = self._connection
        if connection is None:
            raise sqlite3.OperationalError("it is closed")
        connection.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in changes:
                connection.execute(sql, values)
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _kept(before: Row | None, row: Row) -> Row:
    """Return the row with what was set beside it meanwhile, as ``_PUT`` does."""
    if before is None or before.state not in _STUCK_TO:
        return row
    if (before.epoch, before.restart) != (row.epoch, row.restart):
        return row
    return dataclasses.replace(
        row,
        prompt_sent=row.prompt_sent or before.prompt_sent,
        prompt_given=row.prompt_given or before.prompt_given,
    )


def _row(values: dict[str, Any]) -> Row:
    """Return the row; columns that an older version did not write keep their defaults."""
    optional = {"exit_code", "signal"}
    known = {k: v for k, v in values.items() if v is not None or k in optional}
    known["state"] = State(known["state"])
    began = bool(known.get("started_ms")) or known["state"] is State.STARTING
    for name in ("ran", "prompt_given"):  # rather not again than twice
        known.setdefault(name, began)
    known.update({name: bool(known[name]) for name in _BOOLEANS if name in known})
    return Row(**known)


def _delivery(values: dict[str, Any]) -> Delivery:
    """Return the delivery, as ``_row`` does."""
    known = {name: value for name, value in values.items() if value is not None}
    known["state"], known["stage"] = Outcome(known["state"]), Stage(known["stage"])
    return Delivery(**known)
