"""One pod's way in: its listening socket, its token, and how much it may have at once."""

import asyncio
import hashlib
import hmac
import logging
import select
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from uvicorn import Config
from uvicorn.server import ServerState

from runner.drivers.terminal_values import McpSocket
from runner.mcpserver.connection import Connection
from runner.mcpserver.lobby import Lobby
from runner.mcpserver.ports import Limits, Run

logger = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 1.0
"""Without accepting, when the machine has no descriptors left."""

_AT_ONCE: Final = 32
"""Connections taken in one go: what else is to be done has its turn in between."""

_GRACE_SECONDS: Final = 0.1
"""Whoever connects has something to say. When many come, who has not said it yet may be shown out
by who comes next; earlier, if else those outside would wait for longer than below."""

_QUEUE_SECONDS: Final = 0.3

_QUEUE_FIELD: Final = slice(24, 28)
"""Of a listening socket's TCP_INFO (tcpi_unacked): how many connections wait to be taken."""

_AGAIN_SECONDS: Final = 0.1
"""How often is looked for a connection that rests, while another wants to take its place."""

_END_SECONDS: Final = 5.0
"""Requests of a closing door get so long to notice."""


class Door:
    """Takes connections for one run of a pod, and knows who may come in.

    The socket is a duplicate of one that the pod's shim holds: connections that come while
    nobody accepts wait there, and closing ours ends nothing. Those that have shown the token have
    seats of their own: however many strangers come, they only displace each other.
    """

    def __init__(
        self,
        run: Run,
        held: McpSocket,
        alive: Callable[[], bool],
        listed: Callable[[], Awaitable[None]],
        limits: Limits,
        share: Callable[[], int],
        hooked: Callable[[Mapping[str, Any]], None] = lambda _: None,
        hears: Callable[[], bool] = lambda: True,
    ) -> None:
        """*hooked* takes what is kept of each hook of the agent, if *hears*."""
        self.run = run
        self.hooked = hooked
        self._hears = hears
        self.limits = limits
        self.turns = asyncio.Semaphore(limits.calls)
        self._socket: socket.socket = held.socket
        self._arrivals = select.poll()
        self._arrivals.register(held.socket, select.POLLIN)
        self._token_sha256 = held.token_sha256
        self._alive = alive
        self._listed: Callable[[], Awaitable[None]] | None = listed
        self._share = share
        self._state = ServerState()
        self._connections: dict[Connection, None] = {}
        self._opening: set[socket.socket] = set()
        self._waiting: dict[socket.socket, bytes] = {}
        """Have shown the token, and what they have sent, in the order in which they get seats."""
        self._lobby = Lobby(self, limits.head_seconds, self._admit, self._listen)
        self._looking: asyncio.TimerHandle | None = None
        self._listening = False
        self._exhausted = False
        self._closing = False
        self._next_request = 0.0

    @property
    def alive(self) -> bool:
        """Whether the run is on: its token opens nothing when it has ended."""
        return self._alive()

    @property
    def hears(self) -> bool:
        """Whether the agent's class has it report by hooks."""
        return self._hears()

    def knows(self, token: str) -> bool:
        """Whether *token* is this run's."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        return hmac.compare_digest(digest, self._token_sha256)

    async def tools_listed(self) -> None:
        """Note that the agent has asked for its tools; only the first time counts."""
        if self._listed is not None:
            await self._listed()
            self._listed = None

    async def pace(self) -> None:
        """Wait, if the pod sends more requests than it may: a second's worth passes at once."""
        now, rate = asyncio.get_running_loop().time(), self.limits.requests_per_second
        self._next_request = max(self._next_request, now - 1.0) + 1.0 / rate
        if self._next_request > now:
            await asyncio.sleep(self._next_request - now)

    async def serve(self, config: Config) -> None:
        """Take connections until cancelled; then end them, and with them the calls on them.

        Closing the socket is the caller's, who fetched it.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks, self._config = tasks, config
                self._listen()
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    self.stop()
                    self._turn_out()
        finally:
            for taken in self._opening:
                taken.close()
            for connection in list(self._connections):
                connection.abort()
            await self._requests_end(_END_SECONDS)

    def stop(self) -> None:
        """Take no more connections; those that come wait for the next runner."""
        self._closing = True
        self._rest()

    async def drain(self, seconds: float) -> None:
        """Wait for what is under way, at most so long."""
        await self._requests_end(seconds)

    async def _requests_end(self, seconds: float) -> None:
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=seconds)

    # --- connections: the owner of runner.mcpserver.connection.Connection ------------------------

    def opened(self, connection: Connection) -> None:
        """Count it."""
        self._connections[connection] = None

    def rested(self, connection: Connection) -> None:
        """Note which has been unused for the longest: it is closed first, should another come."""
        if connection in self._connections:
            del self._connections[connection]
            self._connections[connection] = None
        self._seat()

    def closed(self, connection: Connection) -> None:
        """Forget it."""
        self._connections.pop(connection, None)
        self._seat()

    # --- those that have shown the token ----------------------------------------------------------

    def _admit(self, taken: socket.socket, received: bytes) -> None:
        self._waiting[taken] = received
        self._seat()

    def _seat(self) -> None:
        if not self._waiting:
            return
        seats = min(self.limits.connections, self._share() // 2)
        while self._waiting and (
            len(self._connections) + len(self._opening) < seats or self._close_an_idle_one()
        ):
            taken = next(iter(self._waiting))
            self._opening.add(taken)
            self._tasks.create_task(self._take(taken, self._waiting.pop(taken)))
        if self._waiting and self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._look)
        self._listen()

    def _look(self) -> None:
        self._looking = None
        self._seat()

    async def _take(self, taken: socket.socket, received: bytes) -> None:
        limits = self.limits
        try:
            # asyncio does it only where it knows the protocol; else answers wait for an ACK
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Connection(self._config, self._state, self, received, limits.head_seconds),
                taken,
            )
        except OSError:
            taken.close()  # it is gone again
        finally:
            self._opening.discard(taken)
            self._seat()  # it was counted twice for a moment

    def _close_an_idle_one(self) -> bool:
        idle = next((each for each in self._connections if each.rests), None)
        if idle is not None:
            del self._connections[idle]
            idle.end()
        return idle is not None

    def _turn_out(self) -> None:
        self._lobby.close()
        for taken in self._waiting:
            taken.close()
        self._waiting.clear()
        if self._looking is not None:
            self._looking.cancel()

    # --- those that have not ----------------------------------------------------------------------

    def _listen(self) -> None:
        if not self._listening and not self._closing and not self._exhausted:
            self._listening = True
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _rest(self) -> None:
        if self._listening:
            self._listening = False
            asyncio.get_running_loop().remove_reader(self._socket)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._arrivals.poll(0):
                return  # nobody is shown out for nobody
            if not self._has_room():
                self._rest()  # until one leaves, or has been here for long enough
                return
            try:
                taken, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                self._pause(exc)
                return
            taken.setblocking(False)
            self._lobby.enter(taken)

    def _has_room(self) -> bool:
        room = min(self.limits.guests, self._share() // 2)
        while len(self._lobby) + len(self._waiting) >= room:
            queue = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _QUEUE_FIELD.stop)
            waiting = int.from_bytes(queue[_QUEUE_FIELD], sys.byteorder)
            if not self._lobby.displace(min(_GRACE_SECONDS, _QUEUE_SECONDS * room / (waiting + 1))):
                return False
        return True

    def _pause(self, why: OSError) -> None:
        logger.warning("cannot take connections", extra={"pod": self.run.uid, "reason": why.errno})
        self._rest()
        self._exhausted = True
        asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        self._exhausted = False
        self._listen()
