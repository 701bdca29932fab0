"""The way from the event loop to the database's threads and back, with bounded queues."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection

from controller.store.database import Clock, Database, Transactions
from controller.store.errors import UnavailableError
from controller.store.turn import Turn
from controller.store.writer import Job, Writer

T = TypeVar("T")

_WRITES_AT_ONCE: Final = 512
_READS_AT_ONCE: Final = 64
_WAIT_SECONDS: Final = 10.0
"""For a place in a queue."""


class Access:
    """Reads and writes of one database. For use on the event loop that made it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        loop = asyncio.get_running_loop()
        self._database = database
        self._transactions = Transactions(database, clock)
        self._writer = Writer(self._transactions.perform, loop, database.writers)
        self._readers = ThreadPoolExecutor(
            database.readers, thread_name_prefix="message-store-read"
        )
        self._write_places = asyncio.Semaphore(_WRITES_AT_ONCE)
        self._read_places = asyncio.Semaphore(_READS_AT_ONCE)
        self._closed = False

    async def read(self, action: Callable[[Connection], T]) -> T:
        """Return what *action* finds.

        Raises:
            UnavailableError: The database is in trouble, or the store is closed.
        """
        await self._place(self._read_places)
        try:
            self._check_open()
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._readers, partial(self._transactions.read, action)
            )
        finally:
            self._read_places.release()

    async def write(
        self, lane: str, action: Callable[[Turn], T], changed: Callable[[T], None] | None = None
    ) -> T:
        """Do *action*, after what came before it in the lane; return its result once durable.

        *changed* is called with the result, also when the caller has been cancelled meanwhile.

        Raises:
            StoreError: What *action* refuses with; or the database is in trouble.
        """
        await self._place(self._write_places)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def done(job: Job) -> None:
            self._write_places.release()
            if job.error is None and changed is not None:
                changed(job.result)
            if future.done():
                return
            if job.error is None:
                future.set_result(job.result)
            else:
                future.set_exception(job.error)

        try:
            self._writer.submit(lane if self._database.writers > 1 else "", Job(action, done))
        except UnavailableError:
            self._write_places.release()
            raise
        return await future

    async def _place(self, places: asyncio.Semaphore) -> None:
        self._check_open()
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await places.acquire()
        except TimeoutError:
            raise UnavailableError("the message store is behind: try again later") from None

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("the message store is closed: try again later")

    async def close(self) -> None:
        """Finish what has begun, refuse what has not. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._transactions.close()
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._writer.close()
        self._readers.shutdown()
        self._database.engine.dispose()
