"""Processes by pid and start time: a pid alone may have become somebody else's."""

import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_STARTTIME: Final = 19
"""Place of the start time among the fields after the command. Source: proc(5), field 22."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    started: str
    """Boot and clock ticks since then."""

    @classmethod
    def of(cls, document: Any) -> "Process | None":
        """Return the process that :meth:`document` made *document* from; None if it is none."""
        match document:
            case {"pid": int(pid), "started": str(started)} if pid > 0:
                return cls(pid, started)
            case _:
                return None

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"pid": self.pid, "started": self.started}

    def alive(self) -> bool:
        """Return whether it still runs. A dead one that nobody waited for does not."""
        return started(self.pid) == self.started

    def signal(self, number: signal.Signals) -> bool:
        """Send it a signal; return whether it was there to receive it."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            if not self.alive():  # checked while the handle pins the pid
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, at most so long; return whether it has."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return True
        try:
            if not self.alive():
                return True
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            return bool(poll.poll(seconds * 1000))
        finally:
            os.close(handle)

    def end(self, grace_seconds: float) -> bool:
        """Ask it to end, make it end after the grace; return whether it ran."""
        if not self.signal(signal.SIGTERM):
            return False
        if not self.wait(grace_seconds):
            self.signal(signal.SIGKILL)
            self.wait(grace_seconds)
        return True


def started(pid: int) -> str:
    """Return when the process *pid* was started; empty if it does not run."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
    fields = status[status.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return ""
    return f"{boot}/{fields[_STARTTIME]}"


def me() -> Process:
    """Return this process."""
    return Process(os.getpid(), started(os.getpid()))


def find(pid: int) -> Process | None:
    """Return the process *pid*; None if it does not run."""
    when = started(pid)
    return Process(pid, when) if when else None
