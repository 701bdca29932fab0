"""Threads that write: whatever waits in one lane is committed as one group.

While one group is being made durable the next one gathers, so that many writers share one fsync.
The jobs of a lane are done in the order in which they came, one group at a time; lanes run side
by side, as far as there are threads.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from controller.store.errors import UnavailableError
from controller.store.turn import Turn

logger = logging.getLogger(__name__)

GROUP: Final = 64
"""So many jobs are committed at once at most."""


Action = Callable[[Turn], Any]
"""What a job does within a transaction. It may be called several times."""


@dataclass(slots=True)
class Job:
    """One write and what became of it."""

    action: Action
    done: Callable[["Job"], None]
    """Called on the event loop when it has come to an end."""
    result: Any = None
    error: BaseException | None = field(default=None)


Perform = Callable[[Sequence[Job]], None]
"""Carries out a group and sets result or error of each job. Blocks; must not raise."""


class Writer:
    """The lanes and their threads."""

    def __init__(self, perform: Perform, loop: asyncio.AbstractEventLoop, threads: int) -> None:
        self._perform = perform
        self._loop = loop
        self._changed = threading.Condition()
        self._lanes: dict[str, deque[Job]] = {}
        """Lanes that have jobs or are being worked on."""
        self._ready: deque[str] = deque()
        """Those that have jobs and are not being worked on."""
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"message-store-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, lane: str, job: Job) -> None:
        """Queue the job; never blocks. The owner bounds how many there are.

        Raises:
            UnavailableError: The store is being closed.
        """
        with self._changed:
            if self._closed:
                raise UnavailableError("the message store is being closed: try again later")
            jobs = self._lanes.get(lane)
            if jobs is None:
                self._lanes[lane] = deque([job])
                self._ready.append(lane)
                self._changed.notify()
            else:
                jobs.append(job)

    def close(self) -> None:
        """Finish the groups that have begun, fail what waits; blocks until the threads ended."""
        with self._changed:
            self._closed = True
            waiting = [job for jobs in self._lanes.values() for job in jobs]
            for jobs in self._lanes.values():
                jobs.clear()
            self._ready.clear()
            self._changed.notify_all()
        for job in waiting:
            job.error = UnavailableError("the message store is being closed: try again later")
        self._tell(waiting)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            lane, group = taken
            self._perform(group)
            self._tell(group)
            self._leave(lane)

    def _take(self) -> tuple[str, list[Job]] | None:
        """Wait for a lane with jobs; None at the end."""
        with self._changed:
            while not self._ready:
                if self._closed:
                    return None
                self._changed.wait()
            lane = self._ready.popleft()
            jobs = self._lanes[lane]
            return lane, [jobs.popleft() for _ in range(min(GROUP, len(jobs)))]

    def _leave(self, lane: str) -> None:
        with self._changed:
            if self._lanes[lane]:
                self._ready.append(lane)
                self._changed.notify()
            else:
                del self._lanes[lane]

    def _tell(self, jobs: Sequence[Job]) -> None:
        try:
            self._loop.call_soon_threadsafe(_finish, jobs)
        except RuntimeError:  # the loop is closed: nobody waits any more
            logger.debug("the event loop ended before a write", extra={"jobs": len(jobs)})


def _finish(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.done(job)
