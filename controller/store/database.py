"""One database: how a transaction is run on it, and what is retried.

SQLite and PostgreSQL differ in what a ``Database`` holds, not in what is done with it.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from controller.store.errors import OutcomeUnknownError, StoreError, UnavailableError
from controller.store.turn import Turn
from controller.store.writer import Job

logger = logging.getLogger(__name__)

T = TypeVar("T")

Clock = Callable[[], float]
"""Returns seconds since 1970. It is asked in several threads."""

TROUBLES: Final = (SQLAlchemyError, sqlite3.Error, psycopg.Error)
"""What a database raises; the drivers' own errors come from setting up a new connection."""
_PASSING: Final = (
    sqlite3.OperationalError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)

_BUG: Final = "the message store failed: the controller's log says why"

_PAUSES_SECONDS: Final = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Between tries; the last one repeats."""


@dataclass(frozen=True, slots=True)
class Database:
    """An engine, and how it is to be used."""

    engine: Engine
    """For reads."""
    writing: Engine
    """The same pool of connections, for transactions that write."""
    readers: int
    """Threads that read."""
    writers: int
    """Threads that write. With one, all writes are one lane: they share every commit."""
    retry_seconds: float
    """How long a lost connection is tried again; 0 = trouble does not pass by itself."""


class Transactions:
    """Runs functions in transactions. Blocks: for threads of the store's own."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._closing = threading.Event()

    def close(self) -> None:
        """Stop retrying."""
        self._closing.set()

    def read(self, action: Callable[[Connection], T]) -> T:
        """Return what *action* finds; on a lost connection it is asked again.

        Raises:
            UnavailableError: The database is in trouble.
        """
        tries = _Tries(self._database.retry_seconds, self._closing)
        while True:
            try:
                with self._database.engine.connect() as connection:
                    return action(connection)
            except TROUBLES as exc:
                if not (_passing(exc) and tries.another()):
                    raise UnavailableError(trouble(exc)) from None

    def perform(self, group: Sequence[Job], *, again: bool = False) -> None:
        """Do the jobs in one transaction and set the result or error of each.

        A job that is refused or broken leaves the others alone. What is lost with a connection is
        done again: a job finds by its own id what an earlier try has already committed. *again*:
        there may be such a one.
        """
        tries = _Tries(self._database.retry_seconds, self._closing)
        careful = False
        while True:
            attempt = _Attempt(group, round(self._clock() * 1_000_000), again=again)
            try:
                if attempt.run(self._database.writing, careful=careful):
                    return
                careful = True
                continue
            except TROUBLES as exc:
                again = again or attempt.committing
                if _passing(exc) and tries.another():
                    continue
                alone, why = not _passing(exc), trouble(exc)
            except Exception:
                logger.exception("a bug in the message store")
                again = again or attempt.committing
                alone, why = True, _BUG
            if alone and len(group) > 1:
                for job in group:
                    self.perform([job], again=again)
            else:
                _fail(group, why, unknown=again)
            return


class _Attempt:
    """One try of one group."""

    def __init__(self, group: Sequence[Job], now: int, *, again: bool) -> None:
        self._group = group
        self._now = now
        self._again = again
        self.committing = False
        """It came as far as the commit: with an error, nobody knows whether it happened."""

    def run(self, engine: Engine, *, careful: bool) -> bool:
        """Do the jobs and commit; return False if they must be done carefully instead.

        That is when one of several was refused: what it wrote must not stay, so that each needs a
        savepoint. Most groups do without, which saves two round trips for each job.
        """
        with engine.connect() as connection:
            transaction = connection.begin()
            try:
                for job in self._group:
                    job.result = job.error = None
                    around = connection.begin_nested() if careful else transaction
                    try:
                        job.result = job.action(Turn(connection, self._now, self._again))
                    except StoreError as exc:
                        job.error = exc
                        around.rollback()
                        if not careful:
                            return len(self._group) == 1
                    else:
                        if careful:
                            around.commit()
                self.committing = True
                transaction.commit()
            except BaseException:
                transaction.close()
                if self.committing:
                    connection.invalidate()  # in what state it is, nobody knows
                raise
        return True


def _fail(group: Sequence[Job], why: str, *, unknown: bool) -> None:
    for job in group:
        job.result = None
        if unknown:
            job.error = OutcomeUnknownError(
                f"{why}; what was sent may be stored or not: sending it again is safe with the"
                " same idempotency key"
            )
        else:
            job.error = UnavailableError(why)


class _Tries:
    """How often something is tried again."""

    def __init__(self, seconds: float, closing: threading.Event) -> None:
        self._until = time.monotonic() + seconds
        self._closing = closing
        self._count = 0

    def another(self) -> bool:
        """Wait a little and return True, or return False if it is time to give up."""
        pause = _PAUSES_SECONDS[min(self._count, len(_PAUSES_SECONDS) - 1)]
        self._count += 1
        if time.monotonic() + pause > self._until:
            return False
        return not self._closing.wait(pause)


def _passing(exc: Exception) -> bool:
    """Whether the trouble is with the connection or with others, and not with what was asked."""
    if isinstance(exc, DBAPIError) and exc.connection_invalidated:
        return True
    return isinstance(_origin(exc), (*_PASSING, PoolTimeoutError))


def _origin(exc: Exception) -> BaseException:
    """Return the driver's own error."""
    return exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc


def trouble(exc: Exception) -> str:
    """Return a sentence about the error that quotes neither values nor the database's URL."""
    orig = _origin(exc)
    code = getattr(orig, "sqlstate", None) or getattr(orig, "sqlite_errorname", None)
    what = f"{type(orig).__name__} {code}" if code else type(orig).__name__
    logger.warning("the database of messages is in trouble", extra={"reason": what})
    return f"the database of messages is in trouble ({what}): try again"
