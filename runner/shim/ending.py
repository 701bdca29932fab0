"""How a run ends: interrupted, asked to end, hung up on, killed, until no descendant is left.

Each process is first sent what it takes. Who has a handler for SIGTERM knows how to end, and is
sent that. Who has one for SIGINT alone is interrupted first: SIGTERM would kill it in the middle.
"""

import signal
import time
from collections.abc import Callable

from runner.shim import tree
from runner.shim.child import Child

_STRAGGLER_SECONDS = 1.0
"""What the program left behind when it ended gets this long to follow."""

_INTERRUPTED_SECONDS = 1.0
"""Who has a handler for SIGINT and ignores SIGTERM, as shells at a prompt, gets a quarter of the
grace, and this at most, to drop what it is at. Who would die of SIGTERM without a word, as most
Python programs, gets half the grace to save its work on SIGINT."""

_LONGEST_HANG_UP_SECONDS = 3.0
"""After half the grace that is left, and this at most, who did not heed SIGTERM is sent SIGHUP:
shells heed only that. Not both at once: it would kill a program that saves its work on SIGTERM."""

_KILLING_SECONDS = 0.25
"""Passes follow each other this long without pause, to be faster than who forks; then the
terminal and the clients get a turn."""

_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 1.0


_ASKED = (signal.SIGINT, signal.SIGTERM)

INTERRUPTED = "interrupted"
TERMINATED = "terminated"
HUNG_UP = "hung up"
KILLED = "killed"


class Ending:
    """The stages of the end; ``tick`` does what is due."""

    def __init__(self, shim: int, child: Child, kill: Callable[[], int], *, wrapper: bool) -> None:
        self._shim = shim
        self._kill = kill
        self._child = child
        self._wrapper = wrapper
        self._terminate_at: float | None = None
        self._hang_up_at: float | None = None
        self._kill_at: float | None = None
        self._pause = _FIRST_PAUSE_SECONDS
        self._over = False
        self.asked = False
        self.step = ""
        """What the program was sent last before it ended; empty: nothing."""

    @property
    def began(self) -> bool:
        """Whether the run is on its way out."""
        return self._kill_at is not None

    def ask(self, grace_seconds: float) -> None:
        """Ask the program to end; asked again, the earlier deadline stands."""
        now = time.monotonic()
        if not self.asked:
            self.asked = True
            self._terminate_at = now + self._interrupt(grace_seconds)
        elif self._terminate_at is not None:
            self._terminate_at = min(self._terminate_at, now + grace_seconds / 2)
        self._kill_within(grace_seconds)
        self._terminate_when_due(now)

    def _interrupt(self, grace_seconds: float) -> float:
        """Interrupt who has a handler for that; return how long to wait for what comes of it."""
        wait = 0.0
        for process in self._program():
            caught, ignored = _dispositions(process.pid)
            if signal.SIGINT not in caught or signal.SIGTERM in caught:
                continue
            if signal.SIGTERM in ignored:
                wait = max(wait, min(grace_seconds / 4, _INTERRUPTED_SECONDS))
            else:
                wait = max(wait, grace_seconds / 2)
            if grace_seconds > 0:
                self.step = INTERRUPTED
                tree.send(process, signal.SIGINT, signal.SIGCONT)
        return wait

    def _terminate_when_due(self, now: float) -> None:
        if self._terminate_at is None or now < self._terminate_at:
            return
        self._terminate_at = None
        self.step = TERMINATED
        for process in self._program():
            tree.send(process, signal.SIGTERM, signal.SIGCONT)
        left = max(0.0, (self._kill_at or now) - now)
        self._hang_up_at = now + min(left / 2, _LONGEST_HANG_UP_SECONDS)

    def _hang_up_when_due(self, now: float) -> None:
        if self._hang_up_at is None or now < self._hang_up_at:
            return
        self._hang_up_at = None
        self.step = HUNG_UP
        for process in self._program():
            tree.send(process, signal.SIGHUP, signal.SIGCONT)

    def program_ended(self) -> None:
        """Ask what the program left behind to end as well."""
        self._over = True
        for process in tree.descendants(self._shim):
            tree.send(process, signal.SIGTERM, signal.SIGHUP, signal.SIGCONT)
        self._terminate_at = self._hang_up_at = None
        self._kill_within(_STRAGGLER_SECONDS)

    def tick(self) -> None:
        """Do what is due: hang up; then kill what is left, again and again, ever slower."""
        now = time.monotonic()
        if self._kill_at is None or now < self._kill_at:
            self._terminate_when_due(now)
            self._hang_up_when_due(now)
            return
        self._terminate_at = self._hang_up_at = None
        if not self._over:
            self.step = KILLED
        while self._kill() and time.monotonic() < now + _KILLING_SECONDS:
            continue
        self._kill_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)

    def wait_seconds(self) -> float | None:
        """Return when ``tick`` is due; None when nothing is."""
        due = [at for at in (self._terminate_at, self._hang_up_at, self._kill_at) if at is not None]
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


def _dispositions(pid: int) -> tuple[set[int], set[int]]:
    """Return the signals that the process catches, and those that it ignores."""
    found = {"SigCgt": set[int](), "SigIgn": set[int]()}
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123  pathlib costs memory
            for line in file:
                name, _, mask = line.decode("ascii", "replace").partition(":")
                if name in found:
                    bits = int(mask, 16)
                    found[name] = {each for each in _ASKED if bits >> (each - 1) & 1}
    except (OSError, ValueError):
        pass  # it is gone
    return found["SigCgt"], found["SigIgn"]
