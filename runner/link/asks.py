"""One stream of asks: each is a task here, and the answers go up as they come.

What is small overtakes what is large. Reports on deliveries go up whenever there are new ones, all
of them at first; deliveries themselves are taken one after the other, in their order.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
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
    ) -> None:
        self._call = call
        self._hello = hello
        self._asks = asks
        self._deliveries = deliveries
        self._lanes = lanes
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._out: asyncio.PriorityQueue[tuple[bool, int, link_pb2.AskUp]] = asyncio.PriorityQueue()
        self._put = 0
        self._deliver: asyncio.Queue[link_pb2.AskDown] = asyncio.Queue(_DELIVERIES_WAITING)
        self._reports = asyncio.Event()
        self.worked = False
        """Whether anything came."""

    @property
    def busy(self) -> bool:
        """Whether something asked for is not answered yet."""
        return bool(self._tasks) or not self._out.empty()

    async def run(
        self, on_open: Callable[[], None], on_answer: Callable[[], Awaitable[None]]
    ) -> None:
        """Serve until the stream ends.

        Raises:
            grpc.aio.AioRpcError: It broke.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                around = [
                    tasks.create_task(self._write_all(on_open, on_answer)),
                    tasks.create_task(self._take_deliveries()),
                    tasks.create_task(self._report_deliveries()),
                ]
                await self._read_all(tasks)
                for task in (*around, *self._tasks.values()):
                    task.cancel()
        finally:
            self._call.cancel()

    async def _write_all(
        self, on_open: Callable[[], None], on_answer: Callable[[], Awaitable[None]]
    ) -> None:
        try:
            await self._call.write(link_pb2.AskUp(hello=self._hello))
            on_open()
            while True:
                _, _, message = await self._out.get()
                await self._call.write(message)
                await on_answer()
        except asyncio.InvalidStateError:
            return  # the stream ended: the reader tells how

    def _send(self, message: link_pb2.AskUp) -> None:
        self._put += 1
        self._out.put_nowait((message.ByteSize() > _SMALL_BYTES, self._put, message))

    async def _read_all(self, tasks: asyncio.TaskGroup) -> None:
        async for message in self._call:
            self.worked = True
            self._take(tasks, message)

    def _take(self, tasks: asyncio.TaskGroup, message: link_pb2.AskDown) -> None:
        kind = message.WhichOneof("msg")
        if kind in _ASKS:
            self._begin(tasks, message)
        elif kind == "cancel":
            if (task := self._tasks.get(message.number)) is not None:
                task.cancel()
        elif kind in _STATES:
            if not self._deliver.full():
                self._deliver.put_nowait(message)
        elif message.number:
            self._fail(message.number, "The runner does not know what is asked: upgrade it.")

    def _begin(self, tasks: asyncio.TaskGroup, ask: link_pb2.AskDown) -> None:
        number = ask.number
        if number in self._tasks:
            return
        if len(self._tasks) >= _WAITING:
            self._fail(number, "Too much is asked of this runner's terminals: try again later.")
            return
        task = tasks.create_task(self._answer(ask), name=f"ask {number}")
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

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
