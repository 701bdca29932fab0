"""One pod's way in: its listening socket, its token, and how much it may have at once."""

import asyncio
import contextlib
import hashlib
import hmac
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from uvicorn import Config
from uvicorn.server import ServerState

from runner.drivers.terminal_values import McpSocket
from runner.mcpserver.connection import Connection
from runner.mcpserver.ports import Limits, Run

logger = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 1.0
"""Without accepting, when the machine has no descriptors left."""

_END_SECONDS: Final = 5.0
"""Requests of a closing door get so long to notice."""


class Door:
    """Takes connections for one run of a pod, and knows who may come in.

    The socket is a duplicate of one that the pod's shim holds: connections that come while
    nobody accepts wait there, and closing ours ends nothing.
    """

    def __init__(
        self,
        run: Run,
        held: McpSocket,
        alive: Callable[[], bool],
        listed: Callable[[], Awaitable[None]],
        limits: Limits,
        share: Callable[[], int],
    ) -> None:
        self.run = run
        self.limits = limits
        self.turns = asyncio.Semaphore(limits.calls)
        self._socket: socket.socket = held.socket
        self._token_sha256 = held.token_sha256
        self._alive = alive
        self._listed: Callable[[], Awaitable[None]] | None = listed
        self._share = share
        self._state = ServerState()
        self._connections: dict[Connection, None] = {}
        self._opening: set[socket.socket] = set()
        self._listening = False
        self._closing = False
        self._next_request = 0.0

    @property
    def alive(self) -> bool:
        """Whether the run is on: its token opens nothing when it has ended."""
        return self._alive()

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
        if self._closing:
            connection.abort()

    def rested(self, connection: Connection) -> None:
        """Note which has been unused for the longest: it is closed first, should another come."""
        if connection in self._connections:
            del self._connections[connection]
            self._connections[connection] = None
        self._listen()

    def closed(self, connection: Connection) -> None:
        """Forget it."""
        self._connections.pop(connection, None)
        self._listen()

    def _listen(self) -> None:
        if not self._listening and not self._closing:
            self._listening = True
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _rest(self) -> None:
        if self._listening:
            self._listening = False
            asyncio.get_running_loop().remove_reader(self._socket)

    def _accept(self) -> None:
        if (
            len(self._connections) + len(self._opening) >= self._share()
            and not self._close_an_idle_one()
        ):
            self._rest()  # until one ends or rests
            return
        try:
            taken, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as exc:
            logger.warning(
                "cannot take connections", extra={"pod": self.run.uid, "reason": exc.errno}
            )
            self._rest()
            asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self._listen)
            return
        self._opening.add(taken)
        self._tasks.create_task(self._take(taken))

    async def _take(self, taken: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            with contextlib.suppress(OSError):  # it is gone again
                taken.setblocking(False)
                # asyncio does it only where it knows the protocol; else answers wait for an ACK
                taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.connect_accepted_socket(
                    lambda: Connection(self._config, self._state, self, self.limits.head_seconds),
                    taken,
                )
        finally:
            self._opening.discard(taken)
            self._listen()  # it was counted twice for a moment

    def _close_an_idle_one(self) -> bool:
        connections = list(self._connections)
        idle = [each for each in connections if each.is_mute]
        idle += [each for each in connections if each.rests]
        for connection in idle[:1]:
            del self._connections[connection]
            connection.end()
        return bool(idle)
