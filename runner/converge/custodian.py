"""Sees to the limits that nothing else keeps, and to what earlier runners left of their pods.

Memory, processes and disk of pods are looked at now and then where no control group keeps them;
a pod that is over is ended with a cause, which its shim writes down. What keeps each limit of a pod
is told with its report.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from meshwire.v1 import link_pb2

from runner.converge.places import Places
from runner.converge.states import ENDED, Row, State
from runner.drivers.limits import disk
from runner.drivers.limits.keeping import out_of_memory, size, told
from runner.drivers.limits.processes import Crowd, crowd, memory_bytes
from runner.drivers.limits.values import Asked, Keeper, Limit
from runner.drivers.terminal_marks import kept_of
from runner.drivers.terminal_values import TerminalError
from runner.shim.custody import NO_CAUSE, Cause

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
_PART: Final = 20
"""Looking may take this part of one processor's time."""

_AT_ONCE: Final = frozenset({"OutOfMemory", "TooManyProcesses"})
"""Causes that leave no time to be asked: each moment may hurt the neighbours."""

_Run = tuple[str, int, int]


class Terminals(Protocol):
    """What is needed of ``runner.drivers.terminal.Terminals``."""

    async def stop(self, run_dir: Path, grace_seconds: float, cause: Cause = NO_CAUSE) -> None:
        """Ask the run to end."""
        ...


@dataclass(slots=True)
class _Watched:
    """What is remembered of a run between looks."""

    asked: Asked
    kept: Mapping[str, str]
    pace: disk.Pace = field(default_factory=disk.Pace)
    is_over: bool = False

    def watches(self, limit: Limit) -> bool:
        return self.kept.get(limit) == Keeper.WATCHED


class Custodian:
    """The watch over limits of one runner's pods."""

    def __init__(
        self, places: Places, rows: Callable[[], Mapping[str, Row]], terminals: Terminals
    ) -> None:
        self._places = places
        self._rows = rows
        self._terminals = terminals
        self._watched: dict[_Run, _Watched] = {}
        self._paused = 0.0

    def told(self, row: Row) -> link_pb2.PodObserved:
        """Return what is to be said of the limits of a pod that was started."""
        report = link_pb2.PodObserved()
        if not row.started_ms or row.state in {State.PREPARING, State.REMOVED}:
            return report
        watched = self._of(row)
        limits = watched.asked.limits()
        report.limits.update({str(each): watched.kept.get(each, Keeper.NONE) for each in limits})
        if limits:
            status, reason, message = told(watched.asked, watched.kept)
            report.conditions.add(
                type="ResourcesLimited", status=status, reason=reason, message=message
            )
        return report

    async def run(self) -> None:
        """Look at all pods again and again, until cancelled."""
        while True:
            await asyncio.sleep(max(_LOOK_SECONDS, self._paused))
            began = time.process_time()
            rows = [row for row in self._rows().values() if row.state is State.RUNNING]
            try:
                for row in rows:
                    await self._look(row)
            except Exception:
                logger.exception("looking at the limits of pods failed")
            self._forget()
            self._paused = _PART * (time.process_time() - began)

    async def _look(self, row: Row) -> None:
        watched = self._of(row)
        if watched.is_over:
            return
        cause = await asyncio.to_thread(self._cause, row, watched)
        if cause is None:
            return
        watched.is_over = True
        note = {"pod": row.uid, "reason": cause.reason}
        logger.warning("a pod is over its limits and is ended: %s", cause.detail, extra=note)
        grace = 0.0 if cause.reason in _AT_ONCE else float(row.pod().grace_seconds)
        try:
            await self._terminals.stop(self._run_dir(row), grace, cause)
        except (TerminalError, TimeoutError):
            watched.is_over = False  # it is looked at again
            logger.warning("it could not be ended", extra=note)

    def _cause(self, row: Row, watched: _Watched) -> Cause | None:
        """Return why the pod has to end; None when it has not."""
        asked = watched.asked
        memory = asked.memory_bytes if watched.watches(Limit.MEMORY) else 0
        people = Crowd((), 0)
        if memory or asked.disk_bytes or watched.watches(Limit.PIDS):
            people = crowd(row.pid)
        if watched.watches(Limit.PIDS) and people.threads > asked.most_pids:
            text = f"The pod had more than its {asked.most_pids} processes and threads."
            return Cause("TooManyProcesses", text)
        if memory and memory_bytes(people.pids, memory) > memory:
            return Cause("OutOfMemory", out_of_memory(asked))
        return self._disk(row, watched, people) if asked.disk_bytes else None

    def _disk(self, row: Row, watched: _Watched, people: Crowd) -> Cause | None:
        limit, pod = watched.asked.disk_bytes, self._places.pod(row.uid)
        began = time.monotonic()
        if not watched.pace.is_due(began, disk.free(pod), limit):
            return None
        places = {
            "worktree": [pod / "worktree", pod / "repo.git"],
            "home": [self._places.home(row.uid)],
            "temporary files": [self._places.tmp(row.uid)],
        }
        measured = disk.measure(places, people.pids)
        watched.pace.done(measured, began, time.monotonic())
        if measured.total <= limit:
            return None
        where = ", ".join(f"{name} {size(amount)}" for name, amount in measured.by_place.items())
        text = f"The pod used {size(measured.total)} of the disk, its limit is {size(limit)}: "
        return Cause("OutOfDisk", f"{text}{where}.")

    def _of(self, row: Row) -> _Watched:
        key = (row.uid, row.epoch, row.restart)
        if key not in self._watched:
            asked = asked_of(row.pod().spec.limits)
            self._watched[key] = _Watched(asked, kept_of(self._run_dir(row)))
        return self._watched[key]

    def _forget(self) -> None:
        """Drop what is remembered of runs that are over."""
        rows = self._rows()
        for uid, epoch, restart in list(self._watched):
            row = rows.get(uid)
            current = row is not None and (row.epoch, row.restart) == (epoch, restart)
            if not current or row is None or row.state in ENDED:
                del self._watched[uid, epoch, restart]

    def _run_dir(self, row: Row) -> Path:
        return self._places.run(row.uid, row.epoch, row.restart)


def asked_of(limits: link_pb2.Limits) -> Asked:
    """Return what a pod asks for."""
    return Asked(
        memory_bytes=limits.memory_bytes,
        cpu_millis=limits.cpu_millis,
        pids=limits.pids,
        open_files=limits.open_files,
        disk_bytes=limits.disk_bytes,
    )
