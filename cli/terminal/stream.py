"""One call of ``Attach``: opened, read, written, and its errors put into the user's words."""

import asyncio
import types
from collections.abc import AsyncIterator
from typing import Final, Self

import grpc
from meshwire.v1 import link_pb2, link_pb2_grpc

from cli.errors import CommandError, NotAllowed, NotFound, Unreachable
from cli.terminal.address import Address

WINDOW_BYTES: Final = 512 << 10
"""So much output may be on its way; a viewer that is slower than its agent holds up nobody else."""
_CREDIT_STEP: Final = WINDOW_BYTES // 4
_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 20_000),  # a laptop that slept notices that nobody is there
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.enable_retries", 0),
)
_LOOPBACK: Final = ("127.", "localhost:", "[::1]")


class Stream:
    """A view of a terminal. Use as an asynchronous context."""

    def __init__(self, address: Address, opening: link_pb2.AttachOpen) -> None:
        self._address = address
        self._opening = opening
        self._outgoing: asyncio.Queue[link_pb2.AttachIn | None] = asyncio.Queue()
        """None: nothing more."""
        self._owed = 0

    async def __aenter__(self) -> Self:
        credentials = grpc.ssl_channel_credentials(root_certificates=self._address.roots)
        direct = self._address.endpoint.startswith(_LOOPBACK)
        options = [*_OPTIONS, *([("grpc.enable_http_proxy", 0)] if direct else [])]
        self._channel = grpc.aio.secure_channel(self._address.endpoint, credentials, options)
        self.send(link_pb2.AttachIn(open=self._opening))
        self.send(link_pb2.AttachIn(credit=link_pb2.Credit(bytes=WINDOW_BYTES)))
        stub = link_pb2_grpc.AttachStub(self._channel)  # type: ignore[no-untyped-call] # generated
        self._call = stub.Attach(
            _Requests(self._outgoing), metadata=(("authorization", self._address.token),)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._outgoing.put_nowait(None)
        self._call.cancel()
        await self._channel.close()

    def send(self, message: link_pb2.AttachIn) -> None:
        """Have *message* sent, in order."""
        self._outgoing.put_nowait(message)

    def used(self, count: int) -> None:
        """Say that *count* bytes of output have been dealt with: so many more may come."""
        self._owed += count
        if self._owed >= _CREDIT_STEP:
            self.send(link_pb2.AttachIn(credit=link_pb2.Credit(bytes=self._owed)))
            self._owed = 0

    async def receive(self) -> AsyncIterator[link_pb2.AttachOut]:
        """Yield what comes; the last one is a ``ViewEnded``.

        Raises:
            CommandError: The call was refused, or it broke (Unreachable).
        """
        try:
            async for message in self._call:
                yield message
                if message.WhichOneof("msg") == "ended":
                    return
        except grpc.aio.AioRpcError as exc:
            raise refusal(exc.code(), exc.details() or "") from exc
        raise Unreachable("the controller closed the connection")


class _Requests:
    """What is sent, as gRPC reads it.

    No generator: gRPC lets go of it while it waits, and Python would complain on the user's screen
    that it cannot close one then.
    """

    def __init__(self, outgoing: asyncio.Queue[link_pb2.AttachIn | None]) -> None:
        self._outgoing = outgoing

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> link_pb2.AttachIn:
        message = await self._outgoing.get()
        if message is None:
            raise StopAsyncIteration
        return message


def refusal(code: grpc.StatusCode, details: str) -> CommandError:
    """Return the error that a call which ended with *code* stands for."""
    said = " ".join(details.split())[:500] or code.name
    match code:
        case grpc.StatusCode.NOT_FOUND:
            return NotFound(said)
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return NotAllowed(said)
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.FAILED_PRECONDITION:
            return CommandError(said)
        case grpc.StatusCode.UNIMPLEMENTED:
            return CommandError("the controller has no terminals: it is older than this program")
        case _:
            return Unreachable(f"the controller cannot be reached: {said}")
