"""Where connections wait until they have shown the pod's token: cheaply, briefly, and not many.

Whoever shares the machine's network can connect. A stranger costs a socket and the bytes of one
head here: no transport, no task, no parser of the libraries. What it sends as a body is not read.
"""

import asyncio
import re
import socket
from collections.abc import Callable
from typing import Final

from runner.mcpserver.admission import (
    MALFORMED,
    Head,
    Keeper,
    Refusal,
    one,
    parsed,
    refused,
    rendered,
)

HEAD_BYTES: Final = 16 * 1024
"""An agent's head has less than one."""

_PARTING_SECONDS: Final = 1.0
_PARTING_BYTES: Final = 64 * 1024
"""So long, and so much, is still discarded of what a stranger sends: one that is cut off while it
sends may not hear why."""

_PIECE_BYTES: Final = 64 * 1024
_END: Final = re.compile(rb"\n\r?\n")
_TOO_LONG: Final = Refusal(431, f"The head of the request is larger than {HEAD_BYTES} bytes.")


class Guest:
    """A connection that has not shown the token yet, or is being shown out."""

    __slots__ = ("discarded", "received", "since", "socket")

    def __init__(self, taken: socket.socket, since: float) -> None:
        self.socket = taken
        self.since = since
        self.received = bytearray()
        self.discarded = 0


class Lobby:
    """The guests of one door.

    ``admit`` gets each connection that has shown the token, with what it has sent; the socket is
    the callee's then. ``left`` is called when there may be room again.
    """

    def __init__(
        self,
        keeper: Keeper,
        head_seconds: float,
        admit: Callable[[socket.socket, bytes], None],
        left: Callable[[], None],
    ) -> None:
        self._keeper = keeper
        self._head_seconds = head_seconds
        self._admit = admit
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._unknown: dict[Guest, None] = {}  # in the order in which they came
        self._parting: dict[Guest, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._unknown) + len(self._parting)

    def enter(self, taken: socket.socket) -> None:
        """Take a new connection; what it has sent already is looked at now."""
        guest = Guest(taken, self._loop.time())
        self._unknown[guest] = None
        self._hear(guest)
        if self._is_here(guest):
            self._loop.add_reader(taken, self._hear, guest)
            self._arm(guest.since + self._head_seconds)

    def displace(self, grace_seconds: float) -> bool:
        """Have one leave; False: nobody has been here for so long yet.

        ``left`` is called as soon as somebody has. Who is being shown out has no grace.
        """
        guest = next(iter(self._parting or self._unknown), None)
        if guest is None:
            return False
        if guest in self._unknown:
            due = guest.since + grace_seconds
            if due > self._loop.time():
                self._arm(due)
                return False
            self._hear(guest)  # its head may just have come
        if self._is_here(guest):
            self._end(guest)
        return True

    def close(self) -> None:
        """Have everybody leave."""
        for guest in [*self._unknown, *self._parting]:
            self._end(guest)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_here(self, guest: Guest) -> bool:
        return guest in self._unknown or guest in self._parting

    def _hear(self, guest: Guest) -> None:
        try:
            piece = guest.socket.recv(_PIECE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            piece = b""
        if not piece:
            self._end(guest)
        elif guest in self._parting:
            guest.discarded += len(piece)
            if guest.discarded > _PARTING_BYTES:
                self._end(guest)
        else:
            searched = max(0, len(guest.received) - 2)
            guest.received += piece
            end = _END.search(guest.received, searched)
            if end is not None or len(guest.received) > HEAD_BYTES:
                self._judge(guest, end.end() if end is not None else HEAD_BYTES + 1)

    def _judge(self, guest: Guest, size: int) -> None:
        """Let it in or refuse it, by its head: that is the first *size* bytes."""
        head, more = None, True
        if size > HEAD_BYTES:
            refusal: Refusal | None = _TOO_LONG
        elif (head := parsed(bytes(guest.received[:size]))) is None:
            refusal = MALFORMED
        else:
            refusal = refused(head, self._keeper)
            more = _has_more(head, len(guest.received) - size)
        if refusal is None or not refusal.is_strangers:
            self._forget(guest)
            self._admit(guest.socket, bytes(guest.received))
        else:
            self._refuse(guest, refusal, more=more)

    def _refuse(self, guest: Guest, refusal: Refusal, *, more: bool) -> None:
        guest.received.clear()
        try:
            guest.socket.send(rendered(refusal))
            guest.socket.shutdown(socket.SHUT_WR)
        except OSError:
            more = False  # it is gone, or does not read
        if not more:
            self._end(guest)
            return
        del self._unknown[guest]
        self._parting[guest] = None
        guest.since = self._loop.time()
        self._arm(guest.since + _PARTING_SECONDS)

    def _end(self, guest: Guest) -> None:
        self._forget(guest)
        guest.socket.close()
        self._left()

    def _forget(self, guest: Guest) -> None:
        self._loop.remove_reader(guest.socket)
        self._unknown.pop(guest, None)
        self._parting.pop(guest, None)

    # --- one timer for all, and none while nobody is here -----------------------------------------

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._time_out(self._unknown, self._head_seconds)
        self._time_out(self._parting, _PARTING_SECONDS)
        self._left()

    def _time_out(self, guests: dict[Guest, None], seconds: float) -> None:
        while (first := next(iter(guests), None)) is not None:
            if first.since + seconds > self._loop.time():
                self._arm(first.since + seconds)
                return
            self._end(first)


def _has_more(head: Head, come: int) -> bool:
    """Whether more than so much of the body is announced."""
    if one(head, b"transfer-encoding") is not None:
        return True
    size = one(head, b"content-length")
    return size is not None and not (size.isdecimal() and len(size) < 10 and int(size) <= come)
