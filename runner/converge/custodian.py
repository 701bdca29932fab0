"""Sees to the limits that nothing else keeps.

Memory, processes and disk of pods are looked at now and then where no control group keeps them;
a pod that is over is ended with a cause, which its shim writes down. What keeps each limit of a pod
is told with its report.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from meshwire.v1 import link_pb2

from runner.converge.places import Places
from runner.converge.states import ENDED, Row, State
from runner.drivers.limits import disk
from runner.drivers.limits.keeping import out_of_memory, size, told
from runner.drivers.limits.processes import crowd, memory_bytes
from runner.drivers.limits.values import Asked, Keeper, Limit
from runner.drivers.terminal_marks import kept_of
from runner.drivers.terminal_observe import observe
from runner.drivers.terminal_values import Alive, TerminalError
from runner.shim.custody import NO_CAUSE, Cause

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
_PART: Final = 20
"""Looking may take this part of the time of one thread."""

_LONGEST_SECONDS: Final = 60.0
"""Still, nothing goes unseen for longer, but for what looking itself takes."""

_UNASKED_SECONDS: Final = 0.0
"""Who is over a limit is killed and not asked: it could go on with that for all of its grace."""

_HIDDEN: Final = (
    "What the pod keeps on the disk cannot be counted: its folders are nested too deeply, or are "
    "closed again and again."
)
_MOST_HIDDEN: Final = 3
"""Looks of a run that could not count everything; a folder may be closed just then by chance."""


class Terminals(Protocol):
    """What is needed of ``runner.drivers.terminal.Terminals``."""

    async def stop(self, run_dir: Path, grace_seconds: float, cause: Cause = NO_CAUSE) -> None:
        """Ask the run to end."""
        ...


@dataclass(slots=True)
class _Watched:
    """What is remembered of a run between looks."""

    uid: str
    run_dir: Path
    asked: Asked
    kept: Mapping[str, str]
    is_over: bool = False
    hidden: int = 0
    """How many looks at its disk could not count everything."""

    @property
    def is_watched(self) -> bool:
        """Whether there is anything to look at: a runner may have hundreds of pods."""
        memory = self.asked.memory_bytes and self.watches(Limit.MEMORY)
        return bool(memory or self.asked.disk_bytes or self.watches(Limit.PIDS))

    def watches(self, limit: Limit) -> bool:
        return self.kept.get(limit) == Keeper.WATCHED


_Find = Callable[[str, int, _Watched], Cause | None]


class Custodian:
    """The watch over limits of one runner's pods."""

    def __init__(
        self, places: Places, rows: Callable[[], Mapping[str, Row]], terminals: Terminals
    ) -> None:
        self._places = places
        self._rows = rows
        self._terminals = terminals
        self._watched: dict[Path, _Watched] = {}
        """By the directory of the run."""

    def told(self, row: Row) -> link_pb2.PodObserved:
        """Return what is to be said of the limits of a pod that was started."""
        report = link_pb2.PodObserved()
        if not row.started_ms or row.state in {State.PREPARING, State.REMOVED}:
            return report
        watched = self._of(row, self._places.run(row.uid, row.epoch, row.restart))
        limits = watched.asked.limits()
        report.limits.update({str(each): watched.kept.get(each, Keeper.NONE) for each in limits})
        if limits:
            status, reason, message = told(watched.asked, watched.kept)
            report.conditions.add(
                type="ResourcesLimited", status=status, reason=reason, message=message
            )
        return report

    async def run(self) -> None:
        """Look at all pods again and again, until cancelled; at disks apart, as it takes longer."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(self._of_processes))
            tasks.create_task(self._watch(self._of_disk))

    async def _watch(self, find: _Find) -> None:
        pause = _LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            for row in list(self._rows().values()):
                try:
                    await self._look(row, find)
                except Exception:
                    logger.exception("looking at a pod's limits failed", extra={"pod": row.uid})
            self._forget()
            pause = max(_LOOK_SECONDS, min(_PART * (time.monotonic() - began), _LONGEST_SECONDS))

    async def _look(self, row: Row, find: _Find) -> None:
        if row.state in {State.RUNNING, State.STOPPING}:  # also in the grace of who is ended
            run_dir, shim = self._places.run(row.uid, row.epoch, row.restart), row.pid
        elif row.state is State.PREPARING:
            run_dir, shim = await asyncio.to_thread(self._script, row.uid)
        else:
            return
        if not shim:
            return
        watched = self._of(row, run_dir)
        if watched.is_over or not watched.is_watched:
            return
        if row.state is State.STOPPING and not isinstance(observe(run_dir), Alive):
            return  # it has ended, and is being cleared away
        cause = await asyncio.to_thread(find, row.uid, shim, watched)
        if cause is not None and not watched.is_over:
            await self._end(row, watched, cause)

    async def _end(self, row: Row, watched: _Watched, cause: Cause) -> None:
        watched.is_over = True
        note = {"pod": row.uid, "reason": cause.reason}
        logger.warning("a pod is over its limits and is ended: %s", cause.detail, extra=note)
        try:
            await self._terminals.stop(watched.run_dir, _UNASKED_SECONDS, cause)
        except (TerminalError, TimeoutError):
            watched.is_over = False  # it is looked at again
            logger.warning("it could not be ended", extra=note)

    def _of_processes(self, _uid: str, shim: int, watched: _Watched) -> Cause | None:
        """Return why the pod has to end; None when it has not."""
        asked = watched.asked
        memory = asked.memory_bytes if watched.watches(Limit.MEMORY) else 0
        if not (memory or watched.watches(Limit.PIDS)):
            return None
        people = crowd(shim)
        if watched.watches(Limit.PIDS) and people.threads > asked.most_pids:
            text = f"The pod had more than its {asked.most_pids} processes and threads."
            return Cause("TooManyProcesses", text)
        if memory and memory_bytes(people.pids, memory) > memory:
            return Cause("OutOfMemory", out_of_memory(asked))
        return None

    def _of_disk(self, uid: str, shim: int, watched: _Watched) -> Cause | None:
        """Return why the pod has to end; None when it has not."""
        limit, pod = watched.asked.disk_bytes, self._places.pod(uid)
        if not limit:
            return None
        places = {
            "worktree": [pod / "worktree", pod / "repo.git"],
            "home": [self._places.home(uid)],
            "temporary files": [self._places.tmp(uid)],
        }
        measured = disk.measure(places, crowd(shim).pids)
        watched.hidden += measured.hidden
        if watched.hidden >= _MOST_HIDDEN:
            return Cause("OutOfDisk", _HIDDEN)
        if measured.total <= limit:
            return None
        where = ", ".join(f"{name} {size(amount)}" for name, amount in measured.by_place.items())
        text = f"The pod used {size(measured.total)} of the disk, its limit is {size(limit)}: "
        return Cause("OutOfDisk", f"{text}{where}.")

    def _script(self, uid: str) -> tuple[Path, int]:
        """Return the last setup script's run, and who holds it; 0 when it is over."""
        scripts = self._places.scripts(uid)
        if not scripts:
            return self._places.script(uid, 0, 0), 0
        found = observe(scripts[-1][2])
        return scripts[-1][2], found.pid if isinstance(found, Alive) else 0

    def _of(self, row: Row, run_dir: Path) -> _Watched:
        if run_dir not in self._watched:
            asked = asked_of(row.pod().spec.limits)
            self._watched[run_dir] = _Watched(row.uid, run_dir, asked, kept_of(run_dir))
        return self._watched[run_dir]

    def _forget(self) -> None:
        """Drop what is remembered of runs that are over."""
        rows = self._rows()
        for run_dir, watched in list(self._watched.items()):
            row = rows.get(watched.uid)
            if row is None or row.state in ENDED or not self._is_current(row, run_dir):
                del self._watched[run_dir]

    def _is_current(self, row: Row, run_dir: Path) -> bool:
        if row.state is State.PREPARING:
            return True
        return run_dir == self._places.run(row.uid, row.epoch, row.restart)


def asked_of(limits: link_pb2.Limits) -> Asked:
    """Return what a pod asks for."""
    return Asked(
        memory_bytes=limits.memory_bytes,
        cpu_millis=limits.cpu_millis,
        pids=limits.pids,
        open_files=limits.open_files,
        disk_bytes=limits.disk_bytes,
    )
