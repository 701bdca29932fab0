"""All processes of a run held together: frozen, thawed and killed as one.

By their control group where there is one; else one by one, as the descendants of the shim. Both
are complete: a group cannot be left, and what loses its parents falls to the shim, their subreaper.
"""

import select
import signal
import time
from typing import Any, NamedTuple

from runner.shim import records, tree
from runner.shim.group import Bell, Group, bell

_AGAIN_SECONDS = 1.0
"""Pause between looks for what runs although it was stopped one by one: others may continue it."""

_COUNTING_SECONDS = 2.0
_COUNTING_PAUSE_SECONDS = 0.02
"""The kernel tells that memory ran out before it has killed and counted."""

_STOPPING_SECONDS = 3.0
"""So long some processes may take to stop, which on a busy machine have to get a turn for that."""

_STOPPING_PAUSE_SECONDS = 0.005
_LETTING_GO_SECONDS = 5.0
_LETTING_GO_PAUSE_SECONDS = 0.01


class Cause(NamedTuple):
    """Why a run was ended by us, beyond what was asked for."""

    reason: str = ""
    detail: str = ""


NO_CAUSE = Cause()


class Custody:
    """The processes below a shim."""

    def __init__(self, shim: int, launch: dict[str, Any]) -> None:
        self._shim = shim
        self._group = Group(launch["group"])
        self._out_of_memory: str = launch["out_of_memory"]
        self._stopped: dict[int, int | None] = {}
        self._by_hand = False
        self._count_until = 0.0
        self._bell: Bell | None = bell(self._group) if self._out_of_memory else None
        self.cause = NO_CAUSE
        self.full_pids = 0
        """The limit of its processes, if it had reached that when its program ended; else 0."""

    # --- memory ----------------------------------------------------------------------------------

    def register(self, poll: select.epoll) -> int:
        """Have *poll* tell when memory has run out; return the descriptor, -1 for none."""
        if self._bell is None:
            return -1
        poll.register(self._bell.fd, self._bell.events)
        return self._bell.fd

    def rang(self) -> None:
        """Take note that the memory ran out; ``is_out_of_memory`` tells what came of it."""
        if self._bell is not None:
            self._bell.hear()
        self._count_until = time.monotonic() + _COUNTING_SECONDS

    def is_out_of_memory(self) -> bool:
        """Whether one of the processes was killed for want of memory, as just found out."""
        if not self._count_until or self.cause.reason:
            return False
        if self._group.oom_kills():
            self.blame(Cause("OutOfMemory", self._out_of_memory))
            return True
        if time.monotonic() > self._count_until:
            self._count_until = 0.0  # it was enough after all
        return False

    def blame(self, cause: Cause) -> None:
        """Note why the run is ended; the first cause stands."""
        if not self.cause.reason:
            self.cause = cause

    # --- frozen ----------------------------------------------------------------------------------

    @property
    def frozen(self) -> bool:
        """Whether no process is to run."""
        return self._by_hand or self._group.frozen

    def freeze(self) -> bool:
        """Let no process run; return whether that is so."""
        if self._group.freezes:
            if self._group.freeze():
                return True
            self._group.thaw()
        self._by_hand = True
        deadline = time.monotonic() + _STOPPING_SECONDS
        while self._stop_all():
            if time.monotonic() > deadline:
                self.thaw()
                return False
            time.sleep(_STOPPING_PAUSE_SECONDS)
        return True

    def thaw(self) -> None:
        """Let those run again that were stopped here: children first, who may have job control."""
        if self._group.freezes:
            self._group.thaw()
        self._by_hand = False
        stopped, self._stopped = self._stopped, {}
        for process in reversed(tree.descendants(self._shim)):
            if process.pid in stopped and records.start_time(process.pid) == stopped[process.pid]:
                tree.send(process, signal.SIGCONT)

    def _stop_all(self) -> bool:
        """Stop what runs, parents first; return whether there was anything."""
        running = [each for each in tree.descendants(self._shim) if self._may_run(each)]
        for process in running:
            self._stopped[process.pid] = records.start_time(process.pid)
            tree.send(process, signal.SIGSTOP)
        return bool(running)

    def _may_run(self, process: tree.Process) -> bool:
        """Whether it could do anything; who was told to stop and waits in the kernel cannot."""
        if not process.runs or not process.waits:
            return process.runs
        known = self._stopped.get(process.pid)
        return known is None or known != records.start_time(process.pid)

    # --- turns -----------------------------------------------------------------------------------

    def tick(self) -> None:
        """Stop again what was made to run by others."""
        if self._by_hand:
            self._stop_all()

    def wait_seconds(self) -> float | None:
        """Return when to look again; None: nothing is to be looked at."""
        if self._count_until and not self.cause.reason:
            return _COUNTING_PAUSE_SECONDS
        return _AGAIN_SECONDS if self._by_hand else None

    def program_ended(self) -> None:
        """Take note of what the group tells, before the rest is killed."""
        self.full_pids = self._group.full_pids()

    # --- the end ---------------------------------------------------------------------------------

    def kill(self) -> int:
        """SIGKILL all that is there now; return how many lived."""
        self._by_hand = False
        killed = self._group.kill()
        return tree.kill(self._shim) or int(killed)

    def let_go(self, *, was_killed: bool) -> None:
        """Find out what the kernel did, and leave no group behind."""
        if self._group.oom_kills() and (was_killed or self._out_of_memory):
            said = self._out_of_memory or "A process of the pod was killed: no memory was left."
            self.blame(Cause("OutOfMemory", said))
        if self._bell is not None:
            self._bell.close()
            self._bell = None
        deadline = time.monotonic() + _LETTING_GO_SECONDS
        while not self._group.remove() and time.monotonic() < deadline:
            self._group.kill()  # somebody was put into it from outside
            time.sleep(_LETTING_GO_PAUSE_SECONDS)
