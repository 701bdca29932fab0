"""The clients of one shim: accepts them, answers them, drops those that talk nonsense."""

import json
import select
import signal
import socket
import struct
from typing import Any, NamedTuple, Protocol

from runner.shim.connection import Connection
from runner.shim.custody import NO_CAUSE, Cause
from runner.shim.frames import MILLISECONDS, OFFSET, SIGNUM, SIZE, FrameError, Kind
from runner.shim.input import Input

_MAX_CLIENTS = 256
"""More are turned away; each may hold some hundred kilobytes."""


class Mcp(NamedTuple):
    """Where the agent finds its MCP server, and the hash of the token that it shows there."""

    listener: socket.socket
    """Closed as soon as no process of the run is left."""
    token_sha256: str


class Served(Protocol):
    """What clients ask for."""

    @property
    def head(self) -> int:
        """Offset of the next byte of output."""
        ...

    @property
    def mcp(self) -> Mcp | None:
        """The run's MCP server; None without one."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what the shim says about itself."""
        ...

    def resize(self, cols: int, rows: int) -> None:
        """Set the terminal's size."""
        ...

    def stop(self, grace_seconds: float, cause: Cause) -> None:
        """Ask the program to end, and note the cause."""
        ...

    def hold(self, *, frozen: bool) -> bool:
        """Let no process of the run go on, or all again; return whether that is so."""
        ...

    def signal(self, signum: int) -> None:
        """Signal the program."""
        ...


class Door(NamedTuple):
    """Where clients come in, and what they must know."""

    listener: socket.socket
    key: bytes


class Clients:
    """All connections of a shim."""

    def __init__(self, served: Served, poll: select.epoll, door: Door, typed: Input) -> None:
        self._served = served
        self._poll = poll
        self._listener, self._key = door
        self._input = typed
        self._connections: dict[int, Connection] = {}
        self._listener.setblocking(False)
        poll.register(self._listener.fileno(), select.EPOLLIN)

    def serve(self, fd: int, events: int) -> None:
        """Do what a descriptor is ready for."""
        if fd == self._listener.fileno():
            self._accept()
            return
        connection = self._connections.get(fd)
        if connection is None:
            return  # dropped within this turn
        try:
            if events & select.EPOLLOUT:
                connection.flush()
            if events & ~select.EPOLLOUT and not connection.receive():
                self._drop(connection)
                return
            self._answer_all(connection)
        except (OSError, FrameError, struct.error):
            self._drop(connection)

    def taken(self, pieces: list[tuple[Connection, bytes]]) -> None:
        """Tell the writers which pieces the terminal has; read on from those who had to wait."""
        for connection, sequence in pieces:
            if self._connections.get(connection.fd) is not connection:
                continue  # it left; its input was typed all the same
            try:
                connection.answer(Kind.TAKEN, sequence)
                self._answer_all(connection)
            except (OSError, FrameError, struct.error):
                self._drop(connection)

    def tell_head(self) -> None:
        """Tell the head to those who wait for it: once, until they ask again."""
        head = self._served.head
        for connection in tuple(self._connections.values()):
            if connection.wanted_beyond is not None and connection.wanted_beyond < head:
                connection.wanted_beyond = None
                try:
                    connection.answer(Kind.HEAD, OFFSET.pack(head))
                    self._watch(connection)
                except (OSError, FrameError):
                    self._drop(connection)

    def end(self, record: dict[str, Any]) -> None:
        """Tell the end to those who wait for the head, and leave all."""
        payload = json.dumps(record).encode("ascii")
        for connection in tuple(self._connections.values()):
            try:
                if connection.subscribed:
                    connection.answer(Kind.EXITED, payload)
            except (OSError, FrameError):
                pass
            finally:
                self._drop(connection)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # gone before we came, or no descriptor free: the client tries again
        connection = Connection(sock)
        if len(self._connections) >= _MAX_CLIENTS or not connection.is_ours():
            sock.close()
            return
        self._connections[connection.fd] = connection
        self._poll.register(connection.fd, select.EPOLLIN)

    def _answer_all(self, connection: Connection) -> None:
        for kind, payload in connection.requests():
            if connection.trusted:
                self._answer(connection, kind, payload)
            elif kind is Kind.HELLO and _same(payload, self._key):
                connection.trust()
            else:
                raise FrameError("a stranger")
        self._watch(connection)

    def _answer(self, connection: Connection, kind: Kind, payload: bytes) -> None:
        match kind:
            case Kind.STATE:
                state = json.dumps(self._served.state()).encode("ascii")
                connection.answer(Kind.STATE_IS, state)
            case Kind.SUBSCRIBE:
                connection.subscribed = True
                (connection.wanted_beyond,) = OFFSET.unpack(payload)
            case Kind.INPUT:
                self._input.add(connection, payload)
            case Kind.INPUT_ONCE:
                if not self._input.add_once(connection, payload):
                    connection.answer(Kind.REFUSED, b"the program does not read its input")
            case Kind.MCP:
                self._hand_over(connection)
            case Kind.RESIZE:
                self._served.resize(*SIZE.unpack(payload))
                connection.answer(Kind.DONE)
            case _:
                self._carry_out(connection, kind, payload)

    def _carry_out(self, connection: Connection, kind: Kind, payload: bytes) -> None:
        """Do what is done to the run's processes."""
        match kind:
            case Kind.STOP:
                self._stop(payload)
                connection.answer(Kind.DONE)
            case Kind.FREEZE | Kind.THAW:
                self._hold(connection, frozen=kind is Kind.FREEZE)
            case Kind.SIGNAL:
                self._signal(connection, SIGNUM.unpack(payload)[0])
            case _:
                raise FrameError(f"{kind.name} is no request")

    def _hand_over(self, connection: Connection) -> None:
        mcp = self._served.mcp
        if mcp is None:
            connection.answer(Kind.REFUSED, b"the run has no MCP server")
            return
        if mcp.listener.fileno() < 0:
            raise FrameError("the run has ended")
        said = json.dumps({"token_sha256": mcp.token_sha256}).encode("ascii")
        connection.hand_over(Kind.MCP_IS, said, mcp.listener.fileno())

    def _stop(self, payload: bytes) -> None:
        said = payload[MILLISECONDS.size :]
        (milliseconds,) = MILLISECONDS.unpack(payload[: MILLISECONDS.size])
        cause = Cause(*json.loads(said)) if said else NO_CAUSE
        self._served.stop(milliseconds / 1000, cause)

    def _hold(self, connection: Connection, *, frozen: bool) -> None:
        if self._served.hold(frozen=frozen):
            connection.answer(Kind.DONE)
        else:
            connection.answer(Kind.REFUSED, b"some of the processes cannot be stopped")

    def _signal(self, connection: Connection, signum: int) -> None:
        if signum not in signal.valid_signals():
            connection.answer(Kind.REFUSED, b"no such signal")
            return
        self._served.signal(signum)
        connection.answer(Kind.DONE)

    def _watch(self, connection: Connection) -> None:
        """Wait for just what the connection can use now."""
        events = select.EPOLLOUT if connection.sending else 0
        if not connection.full:
            events |= select.EPOLLIN
        if events != connection.events:
            self._rewatch(connection, events)

    def _rewatch(self, connection: Connection, events: int) -> None:
        # Without any event it is taken out: epoll would tell a hang-up again and again.
        if not connection.events:
            self._poll.register(connection.fd, events)
        elif not events:
            self._poll.unregister(connection.fd)
        else:
            self._poll.modify(connection.fd, events)
        connection.events = events

    def _drop(self, connection: Connection) -> None:
        if self._connections.pop(connection.fd, None) is None:
            return
        if connection.events:
            self._poll.unregister(connection.fd)
        connection.sock.close()


def _same(one: bytes, other: bytes) -> bool:
    """Compare in a time that tells nothing of where they differ; hmac would cost memory."""
    different = len(one) ^ len(other)
    for a, b in zip(one, other, strict=False):
        different |= a ^ b
    return different == 0
