"""Deletes directories in the background, few at a time.

Deleting a checkout takes long and slows down everything else on the disk. So it is renamed,
which takes no time, and deleted later. What a dead runner left is deleted by the next.
"""

import asyncio
import itertools
import logging
import os
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)


class Trash:
    """A directory whose contents are deleted by ``run``."""

    def __init__(self, directory: Path, *, at_once: int = 1) -> None:
        self._directory = directory
        self._at_once = at_once
        self._numbers = itertools.count(1)
        self._queue: asyncio.Queue[Path] = asyncio.Queue()
        self._running = False

    def discard(self, path: Path) -> bool:
        """Rename *path* into the trash; False when there is no such path. Takes no time."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            target = self._directory / f"{os.getpid()}-{next(self._numbers)}-{path.name}"
            if target.exists():
                continue  # left by an earlier process of the same number
            try:
                path.rename(target)
            except FileNotFoundError:
                return False
            self._queue.put_nowait(target)
            return True

    async def run(self) -> None:
        """Delete what is in the trash, and what comes, until cancelled."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        waiting = {self._queue.get_nowait() for _ in range(self._queue.qsize())}
        for left in sorted(waiting | set(self._directory.iterdir())):
            self._queue.put_nowait(left)
            if left in waiting:
                self._queue.task_done()  # it was counted when it was discarded
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._at_once):
                workers.create_task(self._work())

    async def empty(self) -> None:
        """Wait until all that was discarded before is deleted, or failed to be. For tests."""
        await self._queue.join()

    async def _work(self) -> None:
        while True:
            path = await self._queue.get()
            try:
                await self._delete(path)
            finally:
                self._queue.task_done()

    async def _delete(self, path: Path) -> None:
        """Delete by ``rm``: it goes as deep as a hostile tree does, and takes no lock of ours."""
        if await _run("rm", "-rf", "--one-file-system", "--", str(path)):
            return
        await _run("chmod", "-R", "u+rwx", "--", str(path))  # does not follow links below
        if not await _run("rm", "-rf", "--one-file-system", "--", str(path)):
            logger.warning("could not delete all of it", extra={"path": str(path)})


async def _run(*argv: str) -> bool:
    process = await asyncio.create_subprocess_exec(
        "nice",
        "-n",
        "10",
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        return await process.wait() == 0
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
