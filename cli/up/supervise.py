"""Keep one process running: start it, see it become ready, start it again when it ends."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cli import processes
from cli.errors import CommandError
from cli.up.backoff import Backoff
from cli.up.logs import last_line, last_word, open_log, rotate
from cli.up.state import PartState
from controller.settings import MESSAGE_STORE_URL

logger = logging.getLogger(__name__)

_CHILD: Final = str(Path(__file__).with_name("child.py"))
_POLL_SECONDS: Final = 0.1
_SLOW_POLL_SECONDS: Final = 1.0
_SECRETS: Final = frozenset({MESSAGE_STORE_URL})
"""Variables that are for one part alone."""
_START_FAILURES: Final = 3
"""A part that ends so often before it was ready once makes `up` give up."""


@dataclass(frozen=True, slots=True)
class Part:
    """What to run and how to tell that it works."""

    name: str
    title: str
    """Name for people."""
    log: Path
    arguments: Callable[[], list[str]]
    """Arguments of the Python interpreter, asked for at each start."""
    ready: Callable[[], Awaitable[bool]]
    """Whether it answers. May raise CommandError: not yet, and why."""
    before: Callable[[], None] = field(default=lambda: None)
    """Done before each start, in a thread."""
    keeps: frozenset[str] = frozenset()
    """Variables with secrets that are its own; other parts do not get them."""


class Supervised:
    """One part, and the process that presently is it."""

    def __init__(
        self,
        part: Part,
        changed: Callable[[], None],
        say: Callable[[str], None],
        *,
        backoff: Backoff | None = None,
        grace_seconds: float = 15.0,
    ) -> None:
        self.part = part
        self.state = PartState(part.name, str(part.log))
        self._changed = changed
        self._say = say
        self._backoff = backoff or Backoff()
        self._grace_seconds = grace_seconds
        self._failures = 0
        self._stopping = False
        self._was_ready = False
        self._settled = asyncio.Event()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Run the part, again and again, until :meth:`stop`."""
        while not self._stopping:
            began = time.monotonic()
            await self._once()
            if self._stopping:
                break
            lived = time.monotonic() - began
            worked = self.state.state == "ready"
            self._failures, wait = self._backoff.next(self._failures, lived, worked=worked)
            if self._failures >= _START_FAILURES and not self._was_ready:
                break  # it has never worked: a person must look
            self._set("restarting", last_line(self.part.log))
            self._say(
                f"{self.part.title} ended, is started again in {wait:.1f} s (log: {self.part.log})"
            )
            await self._pause(wait)
            self.state.restarts += 1
        self._set("stopped", "" if self._stopping else last_line(self.part.log))
        self._settled.set()

    async def until_ready(self, seconds: float) -> None:
        """Return when the part was ready for the first time.

        Raises:
            CommandError: It ended too often before, or took too long; names its log.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        except TimeoutError:
            what = f"was not ready in {seconds:.0f} s"
        else:
            what = "ended again and again"
        if self._was_ready:
            return
        said = self.state.message or last_word(self.part.log)
        raise CommandError(f"the {self.part.title} {what}: {said} (log: {self.part.log})")

    async def stop(self) -> None:
        """End the process in peace, or after the grace by force. Safe to repeat."""
        self._stopping = True
        self._wake.set()
        process = self.state.process
        if process is not None and process.alive():
            self._set("stopping")
            await asyncio.to_thread(process.end, self._grace_seconds)

    async def restart(self) -> None:
        """End the process; it is started again at once."""
        process = self.state.process
        if process is not None:
            await asyncio.to_thread(process.end, self._grace_seconds)
            self._failures = 0
            self._wake.set()

    async def _once(self) -> None:
        """Start the process and return when it has ended."""
        rotate(self.part.log)
        try:
            await asyncio.to_thread(self.part.before)
            process = await self._start()
        except OSError as exc:
            logger.warning("%s cannot be started: %s", self.part.name, exc)
            self.state.message = f"cannot be started: {exc.strerror}"
            return
        self.state.process = processes.find(process.pid)
        self._set("starting")
        if self._stopping and self.state.process is not None:  # asked while it was being started
            self.state.process.signal(signal.SIGTERM)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch())
            await process.wait()
            watching.cancel()
        self.state.process = None

    async def _start(self) -> asyncio.subprocess.Process:
        log = open_log(self.part.log)
        try:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", _CHILD, str(os.getpid())),
                *(sys.executable, "-P", *self.part.arguments()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(self.part),
                start_new_session=True,  # Ctrl-C at the terminal reaches us alone
            )
        finally:
            os.close(log)

    async def _watch(self) -> None:
        """Look whether the process is ready, until it is."""
        began = time.monotonic()
        while True:
            try:
                if await self.part.ready():
                    break
            except CommandError as exc:
                self.state.message = str(exc)
            waited = time.monotonic() - began
            await asyncio.sleep(_POLL_SECONDS if waited < 10 else _SLOW_POLL_SECONDS)
        if self._was_ready:
            self._say(f"{self.part.title} ready again")
        self._was_ready = True
        self._settled.set()
        self._set("ready")

    async def _pause(self, seconds: float) -> None:
        self._wake.clear()
        if self._stopping:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _set(self, state: str, message: str = "") -> None:
        self.state.state = state
        self.state.message = message
        self._changed()


def _environment(part: Part) -> dict[str, str]:
    """Return our own environment, without the secrets that are other parts'."""
    hidden = _SECRETS - part.keeps
    return {name: value for name, value in os.environ.items() if name not in hidden}


def end_leftovers(parts: list[PartState], grace_seconds: float = 5.0) -> list[str]:
    """End what an earlier, killed `up` left running; return the names of what ran."""
    left = [part for part in parts if part.process is not None and part.process.alive()]
    for part in left:  # all at once, so that they end side by side
        if part.process is not None:
            part.process.signal(signal.SIGTERM)
    for part in left:
        if part.process is not None:
            part.process.end(grace_seconds)
    return [part.name for part in left]
