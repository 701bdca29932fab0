"""One connection of a person to a port inside a pod's own network.

Bytes come out only as credit allows, and go in as the pod takes them: each is acknowledged when
the pod's socket has it. Either side may end its half.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from meshwire.v1 import link_pb2

from runner.drivers.sandbox.dial import DialError, NotThereError, dial, own_network
from runner.drivers.terminal_observe import identity_of, observe
from runner.drivers.terminal_values import Alive
from runner.terminals.wire import encoded

_READ_BYTES: Final = 64 * 1024
_INPUT_MESSAGES: Final = 2048
"""More than the controller has under way."""

_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""Closing forgets what is unsent, and tells the other side so."""

Send = Callable[[link_pb2.TerminalUp | bytes], Awaitable[None]]
Connect = Callable[[int], Awaitable[socket.socket | None]]
"""Takes a port; gives None for port 0, when it could connect. Raises DialError."""


def connector(run_dir: Path | None) -> Connect:
    """Return what connects to ports of the run."""
    return partial(_connect, run_dir)


async def _connect(run_dir: Path | None, port: int) -> socket.socket | None:
    network = await asyncio.to_thread(_network, run_dir)
    try:
        return await dial(network, port) if port else None
    finally:
        os.close(network)


def _network(run_dir: Path | None) -> int:
    if run_dir is None or not isinstance(observe(run_dir), Alive):
        raise NotThereError("The pod's agent does not run.")
    identity = identity_of(run_dir) or {}
    return own_network(int(identity.get("child_pid", 0)), identity.get("child_start_time"))


class PortView:
    """Serves one connection until it ends. ``run`` does the work; the rest only leave word."""

    def __init__(self, number: int, port: int, connect: Connect, send: Send) -> None:
        self._number = number
        self._port = port
        self._connect = connect
        self._send = send
        self._credit = 0
        self._credited = asyncio.Event()
        self._input: asyncio.Queue[link_pb2.Input | None] = asyncio.Queue(_INPUT_MESSAGES)

    def credit(self, bytes_more: int) -> None:
        """Allow so many more bytes of output."""
        self._credit += bytes_more
        self._credited.set()

    def take(self, message: link_pb2.Input | link_pb2.TerminalSize | link_pb2.CloseView) -> bool:
        """Queue what is to be sent, or its end; False when so much is queued that it must end."""
        if isinstance(message, link_pb2.TerminalSize):
            return True
        try:
            self._input.put_nowait(message if isinstance(message, link_pb2.Input) else None)
        except asyncio.QueueFull:
            return False
        return True

    async def run(self) -> None:
        """Serve until both halves have ended, or until cancelled."""
        try:
            sock = await self._connect(self._port)
        except DialError as exc:
            await self._end(exc.reason, exc.message)
            return
        except OSError as exc:
            await self._end("Failed", f"The pod's network cannot be entered: {exc.strerror}.")
            return
        await self._send(link_pb2.TerminalUp(view=self._number, opened=_OPENED))
        if sock is None:
            await self._end("Closed")
            return
        with sock:
            # until both halves have ended, its end comes too early for the pod, who shall know
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reason, message = await self._serve(sock)
        await self._end(reason, message)

    async def _serve(self, sock: socket.socket) -> tuple[str, str]:
        broken = ""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._out(sock))
                tasks.create_task(self._in(sock))
        except* OSError as group:
            broken = getattr(group.exceptions[0], "strerror", None) or "it broke"
        if broken:
            return "Reset", f"The pod ended the connection to port {self._port}: {broken}."
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes(8))
        return "Closed", ""

    async def _out(self, sock: socket.socket) -> None:
        loop, offset = asyncio.get_running_loop(), 0
        while True:
            while self._credit <= 0:
                self._credited.clear()
                await self._credited.wait()
            data = await loop.sock_recv(sock, min(_READ_BYTES, self._credit))
            if not data:
                await self._send(link_pb2.TerminalUp(view=self._number, end=link_pb2.CloseView()))
                return
            self._credit -= len(data)
            await self._send(encoded(self._number, offset, memoryview(data)))
            offset += len(data)

    async def _in(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while (message := await self._input.get()) is not None:
            await loop.sock_sendall(sock, message.data)
            ack = link_pb2.InputAck(seq=message.seq)
            await self._send(link_pb2.TerminalUp(view=self._number, input_ack=ack))
        sock.shutdown(socket.SHUT_WR)

    async def _end(self, reason: str, message: str = "") -> None:
        ended = link_pb2.ViewEnded(reason=reason, message=message)
        await self._send(link_pb2.TerminalUp(view=self._number, ended=ended))


_OPENED: Final = link_pb2.ViewOpened(running=True)
