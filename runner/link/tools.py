"""The runner's end of ``RunnerTools``: calls of agents' tools go up, asks of terminals come down.

There is one connection per certificate, apart from states and from terminal output. It holds the
stream of asks open and carries the calls; a new certificate's connection takes over before the
older one ends, and the older one ends when nothing on it is under way any more.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

import grpc
from meshwire.v1 import link_pb2

from runner.link.asks import AskStream
from runner.link.backoff import Backoff
from runner.link.channel import mutual, tools
from runner.link.errors import Unreachable
from runner.link.identity import Identity
from runner.link.lanes import Lanes

logger = logging.getLogger(__name__)

_RECONNECT_SECONDS: Final = 12.0
"""A call waits so long for a connection that may be coming back: a controller that is started again
takes 3 to 5 seconds, which an agent need not notice."""

_QUIET_SECONDS: Final = 30.0
"""The stream of a new certificate is opened in a moment when nothing is asked on the older one,
which the controller gives up then; or after this long, which is longer than an ask may take."""

_HAND_OVER_SECONDS: Final = _QUIET_SECONDS + 10.0
"""An older certificate's connection is kept at most so long for the next one to open."""

_DRAIN_SECONDS: Final = 40.0
"""Then what is under way on it may still end: longer than any call may take."""

_LASTED_SECONDS: Final = 10.0
"""A stream that was open so long had worked, even if nothing was asked on it."""


class ToolsAway(Unreachable):  # noqa: N818  a state of the world, named like one
    """The controller cannot be reached for a call. The text is one sentence for an agent."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent
        """Whether the controller may have carried out the call all the same."""


class Asks(Protocol):
    """What is asked of the terminals of this runner's pods."""

    async def answer(self, ask: link_pb2.AskDown) -> link_pb2.AskUp:
        """Return the answer to a look, a text or keys, without its number.

        Cancelled when nobody waits for the answer any more. Whatever it raises is answered as
        failed; refusals are answers.
        """
        ...


class DeliveryFeed(Protocol):
    """Reports on deliveries for one stream, of each delivery only the latest."""

    def take(self) -> list[link_pb2.DeliveryReport]:
        """Return what changed since the last call; at first, all that is known."""
        ...

    def close(self) -> None:
        """End the subscription."""
        ...


class Deliveries(Protocol):
    """The prompts that this runner brings to its pods' agents."""

    async def want(self, ref: link_pb2.PodRef, deliver: link_pb2.Deliver) -> None:
        """Take a delivery, durably, once; when it is known already, only report it again."""
        ...

    async def settled(self, delivery_id: str) -> None:
        """Forget a delivery, whose end the controller knows."""
        ...

    def subscribe(self, wake: Callable[[], None]) -> DeliveryFeed:
        """Return a feed of reports; *wake* is called when there is something to take."""
        ...


class Identities(Protocol):
    """What is needed of ``runner.link.keeper.Keeper``."""

    async def valid(self) -> Identity:
        """Return the identity, waiting for one if need be."""
        ...

    async def replaced(self, identity: Identity) -> None:
        """Wait until it is not the current one any more."""
        ...


class ToolsLink:
    """Calls to the controller, and its asks. ``run`` must be running for anything to happen."""

    def __init__(
        self,
        endpoint: str,
        identities: Identities,
        instance_id: str,
        asks: Asks,
        deliveries: Deliveries,
    ) -> None:
        self._endpoint = endpoint
        self._identities = identities
        self._hello = link_pb2.TerminalHello(instance_id=instance_id)
        self._asks = asks
        self._deliveries = deliveries
        self._lanes = Lanes()
        self._lines: list[_Line] = []
        self._added = asyncio.Condition()

    async def run(self) -> None:
        """Serve for ever, on one connection per certificate; the next begins before one ends."""
        async with asyncio.TaskGroup() as tasks:
            older: _Line | None = None
            while True:
                identity = await self._identities.valid()
                line = _Line(lambda call: self._stream(call, tasks), older)
                tasks.create_task(self._hold(line, identity), name="tools connection")
                if older is not None:
                    tasks.create_task(_hand_over(older, line))
                older = line
                await self._identities.replaced(identity)

    async def call(self, request: link_pb2.ToolCall, timeout_seconds: float) -> link_pb2.ToolResult:
        """Have the controller carry out a call, once; cancelled, it is told so.

        Raises:
            ToolsAway: It did not answer in time, or not at all.
        """
        sent = False
        try:
            async with asyncio.timeout(timeout_seconds):
                line = await self._ready(min(_RECONNECT_SECONDS, timeout_seconds))
                sent = True
                return await line.call(request)
        except TimeoutError as exc:
            if not sent:
                raise _away() from exc
            text = (
                f"The controller did not answer within {timeout_seconds:g} s: "
                "look whether it was done before you try again."
            )
            raise ToolsAway(text, sent=True) from exc
        except grpc.aio.AioRpcError as exc:
            raise _explained(exc) from exc

    async def _ready(self, patience_seconds: float) -> "_Line":
        """Return the newest connection that works, waiting for one."""
        for line in reversed(self._lines):
            if line.is_ready():
                return line
        async with asyncio.timeout(patience_seconds):
            async with self._added:
                await self._added.wait_for(lambda: bool(self._lines))
            line = self._lines[-1]
            await line.ready()
            return line

    async def _hold(self, line: "_Line", identity: Identity) -> None:
        async with mutual(self._endpoint, identity) as channel:
            line.channel = channel
            async with self._added:
                self._lines.append(line)
                self._added.notify_all()
            try:
                await line.run()
            finally:
                self._lines.remove(line)

    def _stream(self, call: Any, tasks: asyncio.TaskGroup) -> AskStream:
        return AskStream(call, self._hello, self._asks, self._deliveries, self._lanes, tasks)


class _Line:
    """One connection: the stream of asks, begun again whenever it ends, and the calls beside it."""

    def __init__(self, stream: Callable[[Any], AskStream], older: "_Line | None") -> None:
        self._make_stream = stream
        self._older = older
        self._retired = asyncio.Event()
        self._calls = 0
        self._no_calls = asyncio.Event()
        self._no_calls.set()
        self._stream: AskStream | None = None
        self.opened = asyncio.Event()
        """Set once a stream was open."""
        self.channel: Any = None

    def is_ready(self) -> bool:
        """Whether the connection stands."""
        state = self.channel.get_state(try_to_connect=True)
        return bool(state is grpc.ChannelConnectivity.READY)

    async def ready(self) -> None:
        """Wait until the connection stands."""
        await self.channel.channel_ready()

    async def call(self, request: link_pb2.ToolCall) -> link_pb2.ToolResult:
        """Carry out a call.

        Raises:
            grpc.aio.AioRpcError: It failed.
        """
        self._calls += 1
        self._no_calls.clear()
        try:
            result: link_pb2.ToolResult = await tools(self.channel).Call(request)
            return result
        finally:
            self._calls -= 1
            if not self._calls:
                self._no_calls.set()

    def retire(self) -> None:
        """End once nothing is under way."""
        self._retired.set()

    async def quiet(self) -> None:
        """Wait for a moment when nothing that was asked for waits for its answer."""
        if self._stream is not None:
            await self._stream.quiet.wait()

    async def run(self) -> None:
        """Hold the stream open until retired."""
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self._serve_on())
            await self._retired.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_SECONDS):
                    await self._no_calls.wait()
                    await self.quiet()
            serving.cancel()

    async def _serve_on(self) -> None:
        if self._older is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_QUIET_SECONDS):
                    await self._older.quiet()
            self._older = None
        backoff, loop = Backoff(), asyncio.get_running_loop()
        while not self._retired.is_set():  # else it would take the next one's place
            began = loop.time()
            self._stream = self._make_stream(tools(self.channel).Serve())
            try:
                await self._stream.run(self.opened.set)
            except* grpc.aio.AioRpcError as group:
                exc = group.exceptions[0]
                code = exc.code().name if isinstance(exc, grpc.aio.AioRpcError) else ""
                logger.debug("stream of asks ended", extra={"reason": code})
            if self._stream.worked or loop.time() - began > _LASTED_SECONDS:
                backoff.reset()
            self._stream = None
            await asyncio.sleep(backoff.next_seconds())


async def _hand_over(older: _Line, newer: _Line) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_HAND_OVER_SECONDS):
            await newer.opened.wait()
    older.retire()


def _away() -> ToolsAway:
    return ToolsAway("The controller cannot be reached now: try again in a moment.", sent=False)


def _explained(exc: grpc.aio.AioRpcError) -> ToolsAway:
    match exc.code():
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            text = (
                "The connection to the controller broke during the call: "
                "look whether it was done before you try again."
            )
            return ToolsAway(text, sent=True)
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return ToolsAway("The answer is too large to be sent: ask for less.", sent=True)
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            text = "The controller does not take this runner's certificate: try again later."
            return ToolsAway(text, sent=False)
        case code:
            logger.warning("a tool call failed", extra={"reason": code.name})
            text = f"The controller could not carry it out ({code.name}): try again."
            return ToolsAway(text, sent=True)
