"""``agentsmesh channel read`` and ``send``: talk where the pods talk, at the controller's door."""

import asyncio
import secrets
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2, link_pb2_grpc

from cli import channel_text
from cli.door import door, metadata, refused
from cli.errors import CommandError, Unreachable
from cli.terminal.address import Address, Desk

_PATIENCE_SECONDS: Final = 15.0
"""So long the controller is tried for, once the API server has said where it is."""
_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 3.0
_QUIET_SECONDS: Final = 2.0
"""An interruption that is over so soon is not mentioned."""
_CALL_SECONDS: Final = 20.0
_MAX_CHARACTERS: Final = 32_768


def read(arguments: Namespace) -> int:
    """Print the messages of a channel; with --follow also those to come, until interrupted."""
    shown = channel_text.document if arguments.output == "json" else channel_text.text

    def show(message: link_pb2.ChannelMessage) -> None:
        print(shown(message), flush=arguments.follow)

    asyncio.run(_Reader(arguments, Desk(arguments), show).run())
    return 0


def send(arguments: Namespace) -> int:
    """Send a message; it is stored once, however often the connection breaks meanwhile."""
    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    if not text or len(text) > _MAX_CHARACTERS:
        raise CommandError(f"a message has 1 to {_MAX_CHARACTERS} characters, not {len(text)}")
    request = link_pb2.ChannelSend(
        channel=arguments.channel,
        content=text.encode("utf-8", errors="replace").decode("utf-8"),
        mentions=arguments.mention,
        reply_to=arguments.reply_to,
        idempotency_key=secrets.token_hex(16),
    )
    answer = asyncio.run(_send(Desk(arguments), request))
    if arguments.output == "json":
        print(channel_text.document(answer))
    else:
        print(f"message {answer.sequence} sent to {arguments.channel}")
    for pod in answer.undeliverable:
        print(f"agentsmesh: pod {pod} gets no prompt: it has ended or takes none", file=sys.stderr)
    return 0


async def _send(desk: Desk, request: link_pb2.ChannelSend) -> link_pb2.ChannelMessage:
    """Return the message as it is stored; the key keeps a repeat from being another one."""
    began, wait = time.monotonic(), _FIRST_WAIT
    while True:
        address = await asyncio.to_thread(desk.address)
        request.namespace = address.namespace
        try:
            async with _door(address) as door:
                answer = await door.Send(request, metadata=metadata(address), timeout=_CALL_SECONDS)
                assert isinstance(answer, link_pb2.ChannelMessage)  # noqa: S101 - the stub's type
                return answer
        except grpc.aio.AioRpcError as exc:
            failed = _refusal(exc)
        if not isinstance(failed, Unreachable) or time.monotonic() - began > _PATIENCE_SECONDS:
            raise failed
        await asyncio.sleep(wait)
        wait = min(wait * 1.5, _LONGEST_WAIT)


class _Reader:
    """Reads a channel across as many connections as it takes: no message twice, none left out."""

    def __init__(
        self, arguments: Namespace, desk: Desk, show: Callable[[link_pb2.ChannelMessage], None]
    ) -> None:
        self._channel = str(arguments.channel)
        self._follow = bool(arguments.follow)
        self._last: int | None = arguments.last
        self._desk = desk
        self._show = show
        self._position: int | None = None
        """The sequence of the newest message that was shown; None: none yet."""
        self._went_well_at = time.monotonic()
        self._connected = False
        self._told = False

    async def run(self) -> None:
        """Read to the end, or for ever. Raises CommandError."""
        if self._last == 0:
            await self._patiently(self._skip)
        if self._last != 0 or self._follow:
            await self._patiently(self._read)

    async def _patiently(self, step: Callable[[], Awaitable[None]]) -> None:
        wait = _FIRST_WAIT
        while True:
            before = self._position
            try:
                await step()
            except Unreachable as exc:
                away = time.monotonic() - self._went_well_at
                if away > _PATIENCE_SECONDS and not (self._follow and self._connected):
                    raise
                self._mention(exc, away)
            else:
                return
            if self._position != before:
                wait = _FIRST_WAIT
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, _LONGEST_WAIT)

    async def _skip(self) -> None:
        """Take note of where the channel ends now."""
        self._position = 0
        request = link_pb2.ChannelRead(channel=self._channel, limit=1, newest=True)
        async for message in self._messages(request):
            self._position = message.sequence

    async def _read(self) -> None:
        request = link_pb2.ChannelRead(channel=self._channel, follow=self._follow)
        if self._position is not None:
            request.after_sequence = self._position
        elif self._last is not None:
            request.limit, request.newest = self._last, True
        async for message in self._messages(request):
            self._show(message)
            self._position = message.sequence
        if self._follow:
            raise Unreachable("the controller closed the connection")

    async def _messages(
        self, request: link_pb2.ChannelRead
    ) -> AsyncIterator[link_pb2.ChannelMessage]:
        """Yield what comes on one connection. Raises CommandError."""
        address = await asyncio.to_thread(self._desk.address)
        request.namespace = address.namespace
        began = time.monotonic()
        try:
            async with _door(address) as door:
                async for message in door.Read(request, metadata=metadata(address)):
                    self._well()
                    yield message
        except grpc.aio.AioRpcError as exc:
            if time.monotonic() - began > _QUIET_SECONDS:
                self._well()  # it stood so long
            raise _refusal(exc) from exc

    def _well(self) -> None:
        self._went_well_at, self._connected = time.monotonic(), True
        if self._told:
            print("[agentsmesh] connected again", file=sys.stderr, flush=True)
        self._told = False

    def _mention(self, exc: CommandError, away: float) -> None:
        """Say that the connection is lost, once, if it stays so."""
        if not self._told and away > _QUIET_SECONDS:
            self._told = True
            print(f"[agentsmesh] {exc}; trying again", file=sys.stderr, flush=True)


@asynccontextmanager
async def _door(address: Address) -> AsyncIterator[Any]:
    """Give a stub of the service on a connection of its own."""
    async with door(address) as channel:
        yield link_pb2_grpc.ChannelsStub(channel)  # type: ignore[no-untyped-call] # generated


def _refusal(error: grpc.aio.AioRpcError) -> CommandError:
    return refused(error, "channels")
