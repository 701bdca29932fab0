"""Keeps an eye on runs: which ended, which are at work, which nobody knows."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from meshwire.v1 import link_pb2

from runner.clock import wall_ms
from runner.converge.activity_watch import ActivityWatch
from runner.converge.freshness import Freshness
from runner.converge.journal import Journal
from runner.converge.places import Places
from runner.converge.ports import Prompts, Terminals
from runner.converge.reports import Reports, said
from runner.converge.states import ALIVE, State
from runner.drivers.terminal_values import Alive

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
"""A pod that waits is told of within two seconds of that being sure."""

_DUE_SECONDS: Final = 0.5
_INSPECTION_SECONDS: Final = 30.0

_Run = tuple[str, int, int]
"""uid, epoch, restart."""


class Watch:
    """What is seen of runs between cycles; *wake* is called when there is something new."""

    def __init__(
        self,
        places: Places,
        journal: Journal,
        reports: Reports,
        terminals: Terminals,
        prompts: Prompts,
        wake: Callable[[], None],
    ) -> None:
        self._places = places
        self._journal = journal
        self._reports = reports
        self._terminals = terminals
        self._prompts = prompts
        self._prompts.wake, self._prompts.note = wake, self.note
        self._prompts.given = self._prompt_given
        self._wake = wake
        self._watched: set[_Run] = set()
        self._strays: set[str] = set()
        self.activity = ActivityWatch(places, terminals)
        self.freshness = Freshness()
        """Whose worktree is worth a look."""
        self.unsettled: set[str] = set()
        """Pods whose run may have ended: the operating system has to be asked."""

    async def look_around(self) -> None:
        """Take stock after a start: rows to settle, directories that the journal does not know."""
        for row in self._journal.rows.values():
            if row.state in ALIVE:
                self.unsettled.add(row.uid)
        self._strays = set(self._places.uids()) - set(self._journal.rows)
        for uid in self._strays:
            await self._report_stray(uid)

    def strays(self) -> frozenset[str]:
        """Return the pods that have a directory and no row."""
        self._strays.difference_update(self._journal.rows)
        return frozenset(self._strays)

    async def tools_listed(self, uid: str) -> None:
        """Note, durably, that the pod's agent has listed its tools with its token."""
        row = self._journal.rows.get(uid)
        if row is None or row.state not in ALIVE or self._journal.listed_ms(row):
            return
        await self._journal.tools_listed(row, wall_ms())
        self._amend(uid, tools_listed_unix_ms=self._journal.listed_ms(row))
        self._prompts.tools_listed(uid)

    def running(self, tasks: asyncio.TaskGroup) -> None:
        """Begin to watch every run that is not watched yet, and to bring prompts."""
        for row in self._journal.rows.values():
            run = (row.uid, row.epoch, row.restart)
            if row.state is not State.RUNNING or row.uid in self.unsettled or run in self._watched:
                continue
            self._watched.add(run)
            tasks.create_task(self._await_end(run), name=f"watch {row.uid}")
        self._prompts.running(tasks)

    async def look_at_output(self) -> None:
        """Tell what agents are doing; costs a look at a file's length for each that is quiet."""
        try:
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                try:
                    await self._look_once()
                except Exception:
                    logger.exception("looking at the activity of pods failed")
        finally:
            self.activity.close()

    async def _look_once(self) -> None:
        rows = [row for row in self._journal.rows.values() if row.state is State.RUNNING]
        sizes, changed = await self.activity.look(rows)
        for uid in changed:
            self._amend(uid, **said(self.activity.told(uid)), terminal_bytes=sizes[uid])
        self.freshness.see(sizes)

    def hook(self, uid: str, body: Mapping[str, Any]) -> None:
        """Take what the hook of a pod's agent sent."""
        self.activity.hook(uid, body)

    async def look_at_worktrees(self, refresh: Callable[[str], Awaitable[None]]) -> None:
        """Have pods told anew with *refresh* in which something changed, one at a time.

        Between two looks it rests as long as the first one took: at most half a core is theirs.
        """
        while True:
            await asyncio.sleep(_DUE_SECONDS)
            self.freshness.look()
            while (uid := self.freshness.due()) is not None:
                began = time.monotonic()
                try:
                    async with asyncio.timeout(_INSPECTION_SECONDS):
                        await refresh(uid)
                except TimeoutError:
                    logger.warning("a worktree takes long to look at", extra={"pod": uid})
                except Exception:
                    logger.exception("looking at a worktree failed", extra={"pod": uid})
                await asyncio.sleep(time.monotonic() - began)

    def note(self, uid: str, text: str, reason: str = "") -> None:
        """Say something about a pod until the next change of its state."""
        self._amend(uid, message=text, reason=reason)

    def _prompt_given(self, uid: str) -> None:
        self._amend(uid, prompt_given=True)

    def _amend(self, uid: str, **fields: str | int) -> None:
        latest = self._reports.get(uid)
        if latest is not None:
            report = link_pb2.PodObserved()
            report.CopyFrom(latest)
            for name, value in fields.items():
                setattr(report, name, value)
            self._reports.put(report)

    async def _report_stray(self, uid: str) -> None:
        runs = self._places.runs(uid)
        alive = False
        for _, _, run_dir in runs:
            alive = alive or isinstance(await self._terminals.observe(run_dir), Alive)
        epoch = max((each[0] for each in runs), default=0)
        state = link_pb2.RUNNING if alive else link_pb2.FAILED
        ref = link_pb2.PodRef(pod_uid=uid, epoch=epoch)
        text = "It has a directory on the runner and no entry in its journal."
        self._reports.put(
            link_pb2.PodObserved(ref=ref, state=state, orphan=True, reason="Orphan", message=text)
        )
        logger.warning("found a pod that the journal does not know", extra={"pod": uid})

    async def _await_end(self, run: _Run) -> None:
        run_dir = self._places.run(*run)
        try:
            while True:
                await self._terminals.watch_exit(run_dir)
                if not isinstance(await self._terminals.observe(run_dir), Alive):
                    break
                await asyncio.sleep(1.0)  # it said so and is not: do not turn in circles
        except Exception:
            logger.exception("watching a run failed", extra={"pod": run[0]})
            await asyncio.sleep(1.0)
        self._watched.discard(run)
        self.unsettled.add(run[0])
        self._wake()
