"""How a run ends: asked politely, then killed, until no descendant is left."""

import signal
import time

from runner.shim import tree
from runner.shim.child import Child

_STRAGGLER_SECONDS = 1.0
"""What the program left behind when it ended gets this long to follow."""

_LONGEST_HANG_UP_SECONDS = 3.0
"""After half the grace, and this at most, who did not heed SIGTERM is sent SIGHUP: shells heed
only that. Not both at once: it would kill a program that saves its work on SIGTERM."""

_KILLING_SECONDS = 0.25
"""Passes follow each other this long without pause, to be faster than who forks; then the
terminal and the clients get a turn."""

_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 1.0


class Ending:
    """The stages of the end; ``tick`` does what is due."""

    def __init__(self, shim: int, child: Child, *, wrapper: bool) -> None:
        self._shim = shim
        self._child = child
        self._wrapper = wrapper
        self._hang_up_at: float | None = None
        self._kill_at: float | None = None
        self._pause = _FIRST_PAUSE_SECONDS
        self.asked = False

    @property
    def began(self) -> bool:
        """Whether the run is on its way out."""
        return self._kill_at is not None

    def ask(self, grace_seconds: float) -> None:
        """Ask the program to end; asked again, the earlier deadline stands."""
        if not self.asked:
            self.asked = True
            for process in self._program():
                tree.send(process, signal.SIGTERM, signal.SIGCONT)
            patience = min(grace_seconds / 2, _LONGEST_HANG_UP_SECONDS)
            self._hang_up_at = time.monotonic() + patience
        self._kill_within(grace_seconds)

    def program_ended(self) -> None:
        """Ask what the program left behind to end as well."""
        for process in tree.descendants(self._shim):
            tree.send(process, signal.SIGTERM, signal.SIGHUP, signal.SIGCONT)
        self._hang_up_at = None
        self._kill_within(_STRAGGLER_SECONDS)

    def tick(self) -> None:
        """Do what is due: hang up; then kill what is left, again and again, ever slower."""
        now = time.monotonic()
        if self._hang_up_at is not None and now >= self._hang_up_at:
            self._hang_up_at = None
            for process in self._program():
                tree.send(process, signal.SIGHUP, signal.SIGCONT)
        if self._kill_at is None or now < self._kill_at:
            return
        self._hang_up_at = None
        while tree.kill(self._shim) and time.monotonic() < now + _KILLING_SECONDS:
            continue
        self._kill_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)

    def wait_seconds(self) -> float | None:
        """Return when ``tick`` is due; None when nothing is."""
        due = [at for at in (self._hang_up_at, self._kill_at) if at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _kill_within(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self._kill_at = deadline if self._kill_at is None else min(self._kill_at, deadline)

    def _program(self) -> list[tree.Process]:
        """Return the processes to ask: the program's group and the terminal's foreground.

        Inside a wrapper: the program that it runs. The wrapper ends with it, but not before it.
        """
        below = tree.descendants(self._shim)
        groups = self._child.groups()
        if not self._wrapper:
            return [process for process in below if process.group in groups]
        wrapper = tree.name(self._child.pid)
        names = {process.pid: tree.name(process.pid) for process in below}
        inside = [process for process in below if names[process.pid] != wrapper]
        groups |= {process.group for process in inside if names.get(process.parent) == wrapper}
        return [process for process in inside if process.group in groups]
