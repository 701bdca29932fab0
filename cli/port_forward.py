"""``agentsmesh port-forward POD [LOCAL:]PORT``: a pod's own network, at ports of this machine."""

import asyncio
import signal
import socket
import struct
import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2, link_pb2_grpc

from cli.door import door, metadata, refused
from cli.errors import CommandError, NotAllowed, NotFound, Unreachable
from cli.port_forward_arguments import Pair
from cli.terminal.address import Address, Desk

ADDRESS: Final = "127.0.0.1"
WINDOW_BYTES: Final = 512 << 10
"""So much may be on its way from the pod, for each connection."""
_CREDIT_STEP: Final = WINDOW_BYTES // 4
_READ_BYTES: Final = 64 << 10
_ATTEMPTS: Final = 4
"""A connection that finds nobody is tried so often, with a wait between: a restart is short."""
_WAIT_SECONDS: Final = 1.0
_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""Closing tells the other side that something went wrong."""
_ERRORS: Final[dict[str, type[CommandError]]] = {"NoSuchPod": NotFound, "RunnerAway": Unreachable}


def port_forward(arguments: Namespace) -> int:
    """Listen and lead every connection into the pod, until interrupted."""
    return asyncio.run(_Forwarding(Desk(arguments), str(arguments.pod), arguments.ports).run())


class _Ended(Exception):  # noqa: N818 - named after what happened
    """The connection ended, as the other side says."""

    def __init__(self, ended: link_pb2.ViewEnded) -> None:
        super().__init__(" ".join(ended.message.split())[:500] or ended.reason)
        self.reason = ended.reason

    def error(self) -> CommandError:
        """Return what that means to the command."""
        return _ERRORS.get(self.reason, CommandError)(str(self))


class _Way:
    """The way to the controller: found when it is first gone, and anew after it led nowhere."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = asyncio.Lock()
        self._held = AsyncExitStack()
        self._found: tuple[Address, Any] | None = None

    async def found(self) -> tuple[Address, Any]:
        """Return the address and a channel to it. Raises CommandError."""
        async with self._lock:
            if self._found is None:
                address = await asyncio.to_thread(self._desk.address)
                self._found = address, await self._held.enter_async_context(door(address))
            return self._found

    def lost(self, way: tuple[Address, Any]) -> None:
        """Note that it leads nowhere any more; connections that stand on it go on."""
        if self._found is way:
            self._found = None

    async def close(self) -> None:
        """Close all channels."""
        await self._held.aclose()


class _Forwarding:
    """The listeners of one command."""

    def __init__(self, desk: Desk, pod: str, pairs: list[Pair]) -> None:
        self._way = _Way(desk)
        self._pod = pod
        self._pairs = pairs
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Serve until interrupted. Raises CommandError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            await self._check()
            async with AsyncExitStack() as stack:
                for pair in self._pairs:
                    server = await self._listen(pair)
                    stack.callback(server.close)
                    local = server.sockets[0].getsockname()[1]
                    print(f"Forwarding from {ADDRESS}:{local} -> {pair.remote}", flush=True)
                await self._stop.wait()
        finally:
            await self._way.close()
        return 0

    async def _check(self) -> None:
        """See that the pod's ports can be reached. Raises CommandError."""
        try:
            await self._carry(0, None)
        except _Ended as exc:
            if exc.reason != "Closed":
                raise exc.error() from exc

    async def _listen(self, pair: Pair) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(pair.remote, reader, writer)

        try:
            return await asyncio.start_server(serve, ADDRESS, pair.local)
        except OSError as exc:
            raise CommandError(
                f"port {pair.local} of {ADDRESS} cannot be listened on ({exc.strerror}): name "
                f"another one, such as :{pair.remote} for any that is free"
            ) from exc

    async def _serve(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        ordinary = False
        try:
            await self._carry(port, _Local(reader, writer))
        except _Ended as exc:
            ordinary = exc.reason == "Closed"
            if not ordinary:
                _say(str(exc))
        except CommandError as exc:
            _say(str(exc))
        except OSError:
            pass  # of this side: whoever connected went away
        finally:
            if ordinary:
                writer.close()
            else:
                _reset(writer)
            with suppress(OSError):
                await writer.wait_closed()

    async def _carry(self, port: int, local: "_Local | None") -> None:
        """Carry one connection to its end. Raises _Ended, CommandError, OSError of this side."""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_WAIT_SECONDS)
            way = await self._way.found()
            carrying = _Carrying(way, self._pod, port, local)
            try:
                await carrying.run()
            except (Unreachable, NotAllowed):
                self._way.lost(way)
                if carrying.opened or attempt == _ATTEMPTS - 1:
                    raise
        raise Unreachable("the controller cannot be reached")


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection so that whoever connected sees that it was not an ordinary end."""
    with suppress(OSError):
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()


class _Local:
    """This machine's side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer


class _Carrying:
    """One call."""

    def __init__(self, way: tuple[Address, Any], pod: str, port: int, local: _Local | None) -> None:
        self._address, self._channel = way
        self._wish = link_pb2.ForwardOpen(namespace=self._address.namespace, pod=pod, port=port)
        self._local = local
        self._outgoing: asyncio.Queue[link_pb2.ForwardIn] = asyncio.Queue()
        self._room = 0
        self._more_room = asyncio.Event()
        self._owed = 0
        self.opened = False
        """Whether the pod took the connection."""

    async def run(self) -> None:
        """Carry it. Raises _Ended, CommandError, OSError of this side; never returns."""
        stub = link_pb2_grpc.PortsStub(self._channel)  # type: ignore[no-untyped-call] # generated
        call = stub.Forward(self._requests(), metadata=metadata(self._address))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive(call))
                tasks.create_task(self._send())
        except* (CommandError, OSError, _Ended) as group:
            raise _first(group) from None
        finally:
            call.cancel()

    async def _requests(self) -> AsyncIterator[link_pb2.ForwardIn]:
        yield link_pb2.ForwardIn(open=self._wish)
        yield link_pb2.ForwardIn(credit=link_pb2.Credit(bytes=WINDOW_BYTES))
        while True:
            yield await self._outgoing.get()

    async def _send(self) -> None:
        """Send what this side sends, as far as the pod's side takes it."""
        if self._local is None:
            return
        while True:
            while self._room <= 0:
                self._more_room.clear()
                await self._more_room.wait()
            data = await self._local.reader.read(min(_READ_BYTES, self._room))
            if not data:
                self._outgoing.put_nowait(link_pb2.ForwardIn(end=link_pb2.CloseView()))
                return
            self._room -= len(data)
            self._outgoing.put_nowait(link_pb2.ForwardIn(data=data))

    async def _receive(self, call: Any) -> None:
        try:
            async for message in call:
                await self._take(message)
        except grpc.aio.AioRpcError as exc:
            raise refused(exc, "ports of pods") from exc
        raise Unreachable("the controller closed the connection")

    async def _take(self, message: link_pb2.ForwardOut) -> None:
        match message.WhichOneof("msg"):
            case "opened":
                self.opened = True
            case "credit":
                self._room += message.credit.bytes
                self._more_room.set()
            case "data" if self._local is not None:
                self._local.writer.write(message.data)
                await self._local.writer.drain()
                self._used(len(message.data))
            case "end" if self._local is not None:
                self._local.writer.write_eof()
            case "ended":
                raise _Ended(message.ended)
            case _:
                return  # of a newer controller

    def _used(self, count: int) -> None:
        self._owed += count
        if self._owed >= _CREDIT_STEP:
            credit = link_pb2.Credit(bytes=self._owed)
            self._outgoing.put_nowait(link_pb2.ForwardIn(credit=credit))
            self._owed = 0


def _first(group: BaseExceptionGroup[Exception]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _say(text: str) -> None:
    print(f"agentsmesh: {text}", file=sys.stderr, flush=True)
