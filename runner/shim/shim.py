"""One shim: holds the terminal of one run, from the launch to the record of its exit."""

import contextlib
import os
import select
import signal
import time
from typing import Any

from runner.shim import records
from runner.shim.child import Child
from runner.shim.clients import Clients, Door, Mcp
from runner.shim.custody import NO_CAUSE, Cause, Custody
from runner.shim.ending import Ending
from runner.shim.input import Input
from runner.shim.transcript import Transcript

_RECORD_RETRY_SECONDS = 0.5
_SETTLE_SECONDS = 1.0
"""So often the disk is tried, while output was lost and no file says so."""

_TROUBLE_BYTES = 64 * 1024
_SIGNALS_BYTES = 4096


class Shim:
    """The event loop of a shim, single-threaded; it ends when the exit is on disk."""

    def __init__(
        self,
        launch: dict[str, Any],
        child: Child,
        transcript: Transcript,
        door: Door,
        signals: int,
        mcp: Mcp | None,
    ) -> None:
        self.mcp = mcp
        self._child = child
        self._transcript = transcript
        self._grace_seconds: float = launch["grace_seconds"]
        self._custody = Custody(os.getpid(), launch)
        wrapper: bool = launch["wrapper"]
        self._ending = Ending(os.getpid(), child, self._custody.kill, wrapper=wrapper)
        self._poll = select.epoll()
        self._input = Input(child.fd)
        self._clients = Clients(self, self._poll, door, self._input)
        self._hung_up = False
        self._status: int | None = None
        self._alone = False
        self._cols: int = launch["cols"]
        self._rows: int = launch["rows"]
        self._terminal_events = select.EPOLLIN
        self._signals = signals
        self._poll.register(child.fd, self._terminal_events)
        self._poll.register(self._signals, select.EPOLLIN)
        self._memory_bell = self._custody.register(self._poll)

    # What clients may ask.

    def state(self) -> dict[str, Any]:
        """Return what the shim says about itself."""
        return {
            "pid": os.getpid(),
            "child_pid": self._child.pid,
            "head": self.head,
            "lost_bytes": self._transcript.lost_bytes,
            "cols": self._cols,
            "rows": self._rows,
            "stopping": self._ending.began or self._status is not None,
            "line_mode": self._child.is_in_line_mode(),
            "echo": self._child.echoes(),
            "last_key": self._input.last_key,
            "frozen": self._custody.frozen,
            "unread": self._input.waiting_bytes + self._child.unread_bytes(),
        }

    @property
    def head(self) -> int:
        """Offset of the next byte of output."""
        return self._transcript.head

    def resize(self, cols: int, rows: int) -> None:
        """Set the terminal's size."""
        if not self._hung_up:  # what was drawn for the old size comes before
            self._serve_terminal(select.EPOLLIN)
        self._cols, self._rows = cols, rows
        self._transcript.sized(cols, rows)
        self._child.resize(cols, rows)

    def stop(self, grace_seconds: float, cause: Cause = NO_CAUSE) -> None:
        """Ask the program to end; one that is frozen would not hear it."""
        self._custody.blame(cause)
        self._custody.thaw()
        self._ending.ask(grace_seconds)

    def hold(self, *, frozen: bool) -> bool:
        """Let no process of the run go on, or all again; return whether that is so.

        Who is on the way out is not held up any more.
        """
        if frozen and not self._ending.began and self._status is None:
            return self._custody.freeze()
        self._custody.thaw()
        return not frozen

    def signal(self, signum: int) -> None:
        """Signal the program's process group."""
        if self._status is None:  # else the number may belong to a stranger
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signum)

    # The loop.

    def run(self) -> None:
        """Hold the terminal until the run is over and recorded."""
        while not self._alone:
            self._guarded_turn(self._wait_seconds())
        self._custody.let_go(was_killed=_was_killed(self._status))
        self._child.let_go()
        self._close_mcp()
        self._drain()
        self._transcript.close()
        record = self._record()
        while not _recorded(record) and records.wanted():
            # The clients still learn the state; the disk will have room again.
            self._guarded_turn(_RECORD_RETRY_SECONDS)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(records.SOCKET)  # noqa: PTH108  pathlib would cost every shim memory
        self._clients.end(record)

    def _guarded_turn(self, wait_seconds: float | None) -> None:
        """Do one turn; whatever is wrong with it must not take the agent's life."""
        try:
            self._turn(wait_seconds)
        except Exception:  # noqa: BLE001  a bug here costs one request, not one agent
            note_trouble()
            time.sleep(0.05)  # should it happen each time, the machine stays usable

    def _wait_seconds(self) -> float | None:
        waits = [self._ending.wait_seconds(), self._custody.wait_seconds()]
        if self._transcript.unsaid:
            waits.append(_SETTLE_SECONDS)
        return min((each for each in waits if each is not None), default=None)

    def _turn(self, wait_seconds: float | None) -> None:
        for fd, events in self._poll.poll(wait_seconds):
            if fd == self._child.fd:
                self._serve_terminal(events)
            elif fd == self._signals:
                self._serve_signals()
            elif fd == self._memory_bell:
                self._custody.rang()
            else:
                self._clients.serve(fd, events)
        self._flush_input()
        if self._custody.is_out_of_memory():
            self.stop(0.0)
        self._custody.tick()
        self._ending.tick()
        if self._transcript.unsaid:
            self._transcript.settle()
        self._clients.tell_head()

    def _serve_terminal(self, events: int) -> None:
        if not events & ~select.EPOLLOUT:
            return
        try:
            pieces = self._child.read()
        except OSError:
            self._hung_up = True
            self._poll.unregister(self._child.fd)
            return
        if pieces:
            self._transcript.append(pieces)

    def _flush_input(self) -> None:
        if self._input.waiting:
            before = self._input.typed_bytes
            self._clients.taken(self._input.flush())
            if self._input.typed_bytes > before:
                self._transcript.typed(self._input.typed_bytes - before)
        events = select.EPOLLIN | (select.EPOLLOUT if self._input.waiting else 0)
        if events != self._terminal_events and not self._hung_up:
            self._poll.modify(self._child.fd, events)
            self._terminal_events = events

    def _serve_signals(self) -> None:
        received = set(os.read(self._signals, _SIGNALS_BYTES))
        if signal.SIGTERM in received:
            self.stop(self._grace_seconds)
        self._reap()

    def _reap(self) -> None:
        ended = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._alone = True
                break
            if pid == 0:
                break
            if pid == self._child.pid:
                self._status, ended = status, True
        if ended:
            self._custody.program_ended()
            self._ending.program_ended()

    def _drain(self) -> None:
        """Read what is left in the terminal, now that nobody writes any more."""
        try:
            while not self._hung_up and (pieces := self._child.read()):
                self._transcript.append(pieces)
        except OSError:
            self._hung_up = True

    def _close_mcp(self) -> None:
        """Free the port before anybody can learn of the end and start the pod again."""
        if self.mcp is not None:
            self.mcp.listener.close()

    def _record(self) -> dict[str, Any]:
        code = os.waitstatus_to_exitcode(self._status or 0)
        return {
            "exit_code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "finished_at": records.now(),
            "offset": self._transcript.head,
            "lost_bytes": self._transcript.lost_bytes,
            "step": self._ending.step if self._ending.asked else "",
            "cause": self._custody.cause.reason,
            "detail": self._custody.cause.detail,
            "full_pids": self._custody.full_pids,
        }


def note_trouble() -> None:
    """Append the exception to the run's ``shim.log``, for whoever must find out."""
    try:
        import traceback  # only now: with what it imports it would cost every shim memory

        text = f"{records.now():.3f} {traceback.format_exc()}\n".encode()
        with open(records.TROUBLE, "ab") as file:
            if file.tell() < _TROUBLE_BYTES:
                file.write(text)
    except (OSError, ImportError):
        return  # there is no other place


def _was_killed(status: int | None) -> bool:
    code = os.waitstatus_to_exitcode(status or 0)
    return code in {-signal.SIGKILL, 128 + signal.SIGKILL}  # the latter through a wrapper


def _recorded(record: dict[str, Any]) -> bool:
    try:
        records.write_exit(record)
    except OSError:
        return False
    return True


def told_signals() -> int:
    """Return a descriptor that tells, as bytes, which of SIGCHLD and SIGTERM came."""
    readable, writable = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for signum in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(signum, lambda *_: None)
    return readable
