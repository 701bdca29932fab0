"""A whole mesh on this machine: brings its parts up in order, keeps them, takes them down."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Final

from cli import enrolment, processes
from cli.datadir import held
from cli.errors import CommandError
from cli.up import bootstrap, state
from cli.up.logs import rotate
from cli.up.parts import ORGANIZATION, Parts
from cli.up.ports import Ports, Reservation
from cli.up.rhythm import sleep_unless_jumped
from cli.up.settings import Settings
from cli.up.supervise import Part, Supervised, end_leftovers

logger = logging.getLogger(__name__)

_START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 60.0
"""How often certificates and log files are looked at."""
_AGAIN_SECONDS: Final = 5.0
"""How soon after a look that did not work."""


class Mesh:
    """One `up`, from its start to its end."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._directory = settings.directory
        self._say = say
        self._running: list[Supervised] = []
        self._state: state.UpState | None = None
        self._unwritten = False
        """Whether what runs is other than the file says: it could not be written."""

    async def run(self, stop: asyncio.Event, ready: Callable[[Ports], None]) -> None:
        """Bring everything up, call *ready*, keep it until *stop* is set, take it down.

        Raises:
            CommandError: A part did not become ready; everything is down again.
        """
        self._directory.prepare()
        with held(self._directory), Reservation(self._directory) as reservation:
            try:
                await asyncio.to_thread(self._clear)
                ports = reservation.choose(self._settings.port, embedded=self._settings.embedded)
            except OSError as exc:
                reason = exc.strerror or str(exc)
                raise CommandError(f"{self._directory.root} cannot be written: {reason}") from exc
            self._state = state.UpState(
                processes.me(),
                str(self._settings.effective_kubeconfig),
                ports,
                self._settings.embedded,
            )
            self._write()
            await self._hold(ports, stop, ready)

    async def _hold(
        self, ports: Ports, stop: asyncio.Event, ready: Callable[[Ports], None]
    ) -> None:
        failure: CommandError | None = None
        async with asyncio.TaskGroup() as tasks:
            try:
                parts = Parts(self._settings, ports)
                if await _unless(stop, self._start(tasks, parts)):
                    self._mark_ready()
                    ready(ports)
                    await _unless(stop, self._keep(parts))
            except CommandError as exc:
                failure = exc
            finally:
                for supervised in reversed(self._running):
                    await supervised.stop()
        if failure is not None:
            raise failure

    async def _start(self, tasks: asyncio.TaskGroup, parts: Parts) -> None:
        """Start the parts one after the other, each when what it needs is ready."""
        if self._settings.embedded:
            await self._bring(tasks, parts.apiserver())
        await self._bring(tasks, parts.controller())
        began = time.monotonic()
        api = await asyncio.to_thread(parts.api)
        parts.organization = await bootstrap.ensure_organization(api, _START_SECONDS)
        parts.doors = await bootstrap.find_doors(api, parts.organization, _START_SECONDS)
        await asyncio.to_thread(self._enrol, parts)
        self._say(f"organization {ORGANIZATION} ready {_since(began)}")
        await self._bring(tasks, parts.runner())

    async def _bring(self, tasks: asyncio.TaskGroup, part: Part) -> None:
        """Start *part* and return when it is ready."""
        began = time.monotonic()
        supervised = Supervised(part, self._write, self._say)
        self._running.append(supervised)
        if self._state is not None:
            self._state.parts.append(supervised.state)
        tasks.create_task(supervised.run())
        await supervised.until_ready(_START_SECONDS)
        self._say(f"{part.title} ready {_since(began)}")

    async def _keep(self, parts: Parts) -> None:
        """Look after what changes slowly, for ever: the runner's identity, the size of logs."""
        wait = _LOOK_SECONDS
        while True:
            if await sleep_unless_jumped(wait):
                logger.info("the clock was set, or the machine slept: certificates are looked at")
            for supervised in self._running:
                await asyncio.to_thread(rotate, supervised.part.log)
            if self._unwritten:
                self._write()
            try:
                await self._look(parts)
            except CommandError as exc:  # a part is being restarted: the next look will do
                logger.warning("enrolment not checked: %s", exc)
                wait = _AGAIN_SECONDS
            else:
                wait = _LOOK_SECONDS

    async def _look(self, parts: Parts) -> None:
        api = await asyncio.to_thread(parts.api)
        found = await asyncio.to_thread(enrolment.doors, api, parts.organization)
        moved, parts.doors = found != parts.doors, found
        await asyncio.to_thread(self._enrol, parts)
        if moved:
            self._say("the controller's authority or address changed: the runner starts again")
            for supervised in self._running:
                if supervised.part.name == "runner":
                    await supervised.restart()

    def _enrol(self, parts: Parts) -> None:
        roots = parts.doors.roots if parts.doors else b""
        api = parts.api()
        reason = bootstrap.ensure_enrolled(self._directory, api, parts.organization, roots)
        if reason:
            logger.info("the runner gets a join token: %s", reason)

    def _clear(self) -> None:
        """End what a killed `up` left behind: two controllers must not work side by side."""
        before = state.read(self._directory)
        if before is not None and (left := end_leftovers(before.parts)):
            self._say(f"ended what an earlier run left behind: {', '.join(left)}")

    def _mark_ready(self) -> None:
        if self._state is not None:
            self._state.ready = True
            self._write()

    def _write(self) -> None:
        if self._state is None:
            return
        try:
            self._state.write(self._directory)
        except OSError as exc:  # a full disk stops nobody; it is written again later
            logger.warning("up.json not written: %s", exc)
            self._unwritten = True
        else:
            self._unwritten = False


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Do *work*, break it off when *stop* is set; return whether it was done to its end."""
    failures: list[CommandError] = []

    async def guarded() -> None:
        try:
            await work
        except CommandError as exc:
            failures.append(exc)

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(guarded())
        stopping = tasks.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        stopping.cancel()
    if failures:
        raise failures[0]
    return not stop.is_set()


def _since(began: float) -> str:
    return f"({time.monotonic() - began:.1f} s)"
