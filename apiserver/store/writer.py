"""The one thread that writes to disk: takes whatever waits, commits it as one group."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from apiserver.store.log import Log, Row

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Append:
    """Rows to be written in one step."""

    rows: tuple[Row, ...]
    epoch: int
    """Rises whenever a commit failed: what was computed before the failure is void."""


@dataclass(frozen=True, slots=True)
class Compact:
    """Forget what was superseded up to a version."""

    rv: int


Committed = Callable[[list[Append]], None]
Failed = Callable[[list[Append], BaseException], None]


class Writer:
    """Group commit: while one fsync runs, the next group gathers.

    `committed` and `failed` are called on the event loop, in the order of submission. After a
    failure every group of the same epoch fails too, because it may build on what was lost; the
    owner then submits with a higher epoch.
    """

    def __init__(
        self, log: Log, loop: asyncio.AbstractEventLoop, committed: Committed, failed: Failed
    ) -> None:
        self._log = log
        self._loop = loop
        self._committed = committed
        self._failed = failed
        self._queue: SimpleQueue[Append | Compact | None] = SimpleQueue()
        self._broken_epoch = -1
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, job: Append | Compact) -> None:
        """Queue *job*; never blocks."""
        self._queue.put(job)

    def stop(self) -> None:
        """Write what is queued, then end the thread; blocks until it has ended."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            job = self._queue.get()
            group: list[Append] = []
            while isinstance(job, Append):
                group.append(job)
                try:
                    job = self._queue.get_nowait()
                except Empty:
                    break
            if group:
                self._commit(group)
            if isinstance(job, Compact):
                self._compact(job.rv)
            elif job is None:
                return

    def _commit(self, group: list[Append]) -> None:
        void = [job for job in group if job.epoch <= self._broken_epoch]
        good = group[len(void) :]
        if void:
            self._tell_failed(void, sqlite3.OperationalError("an earlier write failed"))
        if not good:
            return
        try:
            self._log.append(row for job in good for row in job.rows)
        except sqlite3.Error as exc:
            logger.exception("writing to the store failed", extra={"rows": len(good)})
            self._broken_epoch = good[-1].epoch
            self._tell_failed(good, exc)
        else:
            self._loop.call_soon_threadsafe(self._committed, good)

    def _tell_failed(self, jobs: list[Append], exc: BaseException) -> None:
        self._loop.call_soon_threadsafe(self._failed, jobs, exc)

    def _compact(self, rv: int) -> None:
        try:
            self._log.compact(rv)
        except sqlite3.Error:
            logger.exception("compacting the store failed; the next round tries again")
