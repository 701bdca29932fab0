"""Opens a door for every run that has an MCP server, and closes it when the run ends."""

import asyncio
import itertools
import logging
import resource
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from runner.converge.places import Places
from runner.converge.states import Row, State
from runner.drivers.terminal_values import McpSocket, NotOffered, NotRunning
from runner.mcpserver.ports import Calls, Changes, Heard, Limits, Run, Sockets

if TYPE_CHECKING:
    from runner.mcpserver.application import Application
    from runner.mcpserver.door import Door

logger = logging.getLogger(__name__)

_OPEN: Final = frozenset({State.STARTING, State.RUNNING})
"""States in which a run's token opens its door."""

_RETRY_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_CLOSE_SECONDS: Final = 5.0
"""Calls that are under way get so long when the runner stops."""

_FEWEST_DESCRIPTORS: Final = 8


def _pauses() -> Iterator[float]:
    """Return how long to wait before each next try; there is always one more."""
    return itertools.chain(_RETRY_SECONDS, itertools.repeat(_RETRY_SECONDS[-1]))


class McpServer:
    """The MCP servers of all pods here. ``run`` must be running for anything to happen."""

    def __init__(
        self,
        rows: Callable[[], Mapping[str, Row]],
        changes: Changes,
        places: Places,
        sockets: Sockets,
        calls: Calls,
        heard: Heard,
        version: str,
        limits: Limits | None = None,
    ) -> None:
        self._rows = rows
        self._changes = changes
        self._places = places
        self._sockets = sockets
        self._calls = calls
        self._heard = heard
        self._version = version
        self._limits = limits or Limits()
        self._wake = asyncio.Event()
        self._serving: dict[Run, asyncio.Task[None]] = {}
        self._doors: set[Door] = set()
        self._loaded: asyncio.Task[Application] | None = None
        self._closed = False
        self._descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    async def run(self) -> None:
        """Follow the journal for ever."""
        feed = self._changes.subscribe(self._wake.set)
        try:
            # the application ends after the doors, through which it answers
            async with asyncio.TaskGroup() as below, asyncio.TaskGroup() as tasks:
                self._below = below
                while True:
                    self._wake.clear()
                    feed.take()
                    self._follow(tasks)
                    await self._wake.wait()
        finally:
            feed.close()

    async def close(self) -> None:
        """Take nothing new, and let what is under way end: the pods' sockets hold the rest."""
        self._closed = True
        doors = list(self._doors)
        logger.info("the MCP server takes no more requests")
        for door in doors:
            door.stop()
        async with asyncio.TaskGroup() as tasks:
            for door in doors:
                tasks.create_task(door.drain(_CLOSE_SECONDS))

    def _follow(self, tasks: asyncio.TaskGroup) -> None:
        for run in [run for run in self._serving if not self._is_open(run)]:
            self._serving.pop(run).cancel()
        if self._closed:
            return
        for row in self._rows().values():
            run = Run(row.uid, row.epoch, row.restart)
            if row.state is State.RUNNING and run not in self._serving:
                if self._loaded is None:
                    self._loaded = self._below.create_task(self._load())
                self._serving[run] = tasks.create_task(self._serve(run), name=f"mcp {row.uid}")

    def _is_open(self, run: Run) -> bool:
        row = self._rows().get(run.uid)
        return (
            row is not None
            and (row.epoch, row.restart) == (run.epoch, run.restart)
            and row.state in _OPEN
        )

    async def _load(self) -> "Application":
        def load() -> "Application":
            from runner.mcpserver.application import Application  # 30 MB, half a second

            return Application(self._calls, self._version, self._limits)

        pauses = _pauses()
        while True:
            try:
                application = await asyncio.to_thread(load)
            except Exception:
                logger.exception("the MCP server cannot be loaded")
                await asyncio.sleep(next(pauses))
            else:
                self._below.create_task(application.run(), name="mcp application")
                return application

    async def _serve(self, run: Run) -> None:
        """Keep the run's door open until cancelled, or for as long as there is one."""
        for seconds in _pauses():
            try:
                if (held := await self._fetched(run)) is None:
                    return
                with held.socket:
                    await self._hold_open(run, held)
            except Exception:
                logger.exception("the MCP server of a pod failed", extra={"pod": run.uid})
            await asyncio.sleep(seconds)

    async def _hold_open(self, run: Run, held: McpSocket) -> None:
        from runner.mcpserver.door import Door  # brings uvicorn

        assert self._loaded is not None  # noqa: S101  _follow began it
        application = await asyncio.shield(self._loaded)
        door = Door(
            run,
            held,
            lambda: self._is_open(run),
            lambda: self._heard.tools_listed(run.uid),
            self._limits,
            self._share,
            lambda body: self._heard.hook(run.uid, body),
            lambda: self._hears(run),
        )
        self._doors.add(door)
        logger.info("MCP server open", extra={"pod": run.uid, "port": held.port})
        try:
            await door.serve(application.config)
        finally:
            self._doors.discard(door)

    def _hears(self, run: Run) -> bool:
        row = self._rows().get(run.uid)
        return row is not None and bool(row.pod().spec.activity.hooks)

    async def _fetched(self, run: Run) -> McpSocket | None:
        """Return the run's socket; None: it has none. Asks as long as the run is on."""
        run_dir = self._places.run(run.uid, run.epoch, run.restart)
        pauses = _pauses()
        while True:
            try:
                return await self._sockets.mcp(run_dir)
            except NotOffered as exc:
                logger.debug("no MCP server", extra={"pod": run.uid, "reason": str(exc)})
                return None
            except (NotRunning, OSError) as exc:
                logger.debug("a shim does not answer", extra={"pod": run.uid, "reason": str(exc)})
            await asyncio.sleep(next(pauses))

    def _share(self) -> int:
        """Return how many descriptors each pod may have: half of all are for others."""
        return max(_FEWEST_DESCRIPTORS, self._descriptors // 2 // max(1, len(self._doors)))
