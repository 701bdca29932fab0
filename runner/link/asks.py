"""One stream of asks: each is a task here, and the answers go up as they come.

What is small overtakes what is large. When the stream ends, looks end with it; what is being typed
is typed to its end, for half of it would be worse, and nobody is told. Reports on deliveries go up
whenever there are new ones, all of them at first; deliveries themselves are taken one after the
other, in their order.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from meshwire.v1 import link_pb2

from runner.link.lanes import Lanes

if TYPE_CHECKING:
    from runner.link.tools import Asks, Deliveries

logger = logging.getLogger(__name__)

_WAITING: Final = 4096
"""Asks that may wait for their turn; more are refused."""

_DELIVERIES_WAITING: Final = 1024
"""More are dropped: the controller sends them again until they are settled."""

_SMALL_BYTES: Final = 64 * 1024

_ASKS: Final = frozenset({"look", "text", "keys"})
_STATES: Final = frozenset({"deliver", "settled"})


class AskStream:
    """The runner's end of one ``RunnerTools.Serve``."""

    def __init__(
        self,
        call: Any,
        hello: link_pb2.TerminalHello,
        asks: "Asks",
        deliveries: "Deliveries",
        lanes: Lanes,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._call = call
        self._hello = hello
        self._asks = asks
        self._deliveries = deliveries
        self._lanes = lanes
        self._owner = tasks
        """Of what is asked: typing outlives the stream."""
        self._tasks: dict[int, tuple[asyncio.Task[None], bool]] = {}
        """By number, and whether it is a look."""
        self._out: asyncio.PriorityQueue[tuple[bool, int, link_pb2.AskUp]] = asyncio.PriorityQueue()
        self._put = 0
        self._deliver: asyncio.Queue[link_pb2.AskDown] = asyncio.Queue(_DELIVERIES_WAITING)
        self._reports = asyncio.Event()
        self.quiet = asyncio.Event()
        """Set while nothing that was asked for waits for its answer."""
        self.quiet.set()
        self.worked = False
        """Whether anything came."""

    async def run(self, on_open: Callable[[], None]) -> None:
        """Serve until the stream ends.

        Raises:
            grpc.aio.AioRpcError: It broke.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                around = [
                    tasks.create_task(self._write_all(on_open)),
                    tasks.create_task(self._take_deliveries()),
                    tasks.create_task(self._report_deliveries()),
                ]
                await self._read_all()
                for task in around:
                    task.cancel()
        finally:
            self._call.cancel()
            for task, is_look in self._tasks.values():
                if is_look:
                    task.cancel()
            self.quiet.set()

    async def _write_all(self, on_open: Callable[[], None]) -> None:
        try:
            await self._call.write(link_pb2.AskUp(hello=self._hello))
            on_open()
            while True:
                _, _, message = await self._out.get()
                await self._call.write(message)
                self._settle()
        except asyncio.InvalidStateError:
            return  # the stream ended: the reader tells how

    def _settle(self) -> None:
        if not self._tasks and self._out.empty():
            self.quiet.set()

    def _send(self, message: link_pb2.AskUp) -> None:
        self._put += 1
        self._out.put_nowait((message.ByteSize() > _SMALL_BYTES, self._put, message))

    async def _read_all(self) -> None:
        async for message in self._call:
            self.worked = True
            self._take(message)

    def _take(self, message: link_pb2.AskDown) -> None:
        kind = message.WhichOneof("msg")
        if kind in _ASKS:
            self._begin(message)
        elif kind == "cancel":
            if (found := self._tasks.get(message.number)) is not None:
                found[0].cancel()
        elif kind in _STATES:
            if not self._deliver.full():
                self._deliver.put_nowait(message)
        elif message.number:
            self._fail(message.number, "The runner does not know what is asked: upgrade it.")

    def _begin(self, ask: link_pb2.AskDown) -> None:
        number = ask.number
        if number in self._tasks:
            return
        if len(self._tasks) >= _WAITING:
            self._fail(number, "Too much is asked of this runner's terminals: try again later.")
            return
        task = self._owner.create_task(self._answer(ask), name=f"ask {number}")
        self._tasks[number] = task, ask.HasField("look")
        self.quiet.clear()
        task.add_done_callback(lambda _: self._ended(number))

    def _ended(self, number: int) -> None:
        del self._tasks[number]
        self._settle()

    async def _answer(self, ask: link_pb2.AskDown) -> None:
        try:
            async with self._lanes.enter(ask.ref.pod_uid, look=ask.HasField("look")):
                answer = await self._asks.answer(ask)
        except Exception:
            logger.exception("an ask failed", extra={"key": ask.ref.pod_uid})
            self._fail(ask.number, "The runner could not do it: its log says why.")
            return
        answer.number = ask.number
        self._send(answer)

    def _fail(self, number: int, message: str) -> None:
        failed = link_pb2.AskFailed(reason="Failed", message=message)
        self._send(link_pb2.AskUp(number=number, failed=failed))

    async def _take_deliveries(self) -> None:
        while True:
            message = await self._deliver.get()
            try:
                if message.HasField("deliver"):
                    await self._deliveries.want(message.ref, message.deliver)
                else:
                    await self._deliveries.settled(message.settled.id)
            except Exception:  # the controller sends it again
                logger.exception("a delivery was not taken", extra={"key": message.ref.pod_uid})

    async def _report_deliveries(self) -> None:
        feed = self._deliveries.subscribe(self._reports.set)
        try:
            while True:
                self._reports.clear()
                for report in feed.take():
                    self._send(link_pb2.AskUp(delivery=report))
                await self._reports.wait()
        finally:
            feed.close()
