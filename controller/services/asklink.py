"""The stream of one runner on which it is asked: numbered asks, one answer each, and deliveries.

Asks for one pod never hold up those for another: each pod has its lane, and lanes are served in
turns. What waits is bounded in number and in bytes.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc
from meshwire.v1 import link_pb2

from controller.rpc.ports import Changes, RunnerKey
from controller.rpc.race import first_done
from controller.store.errors import StoreError

logger = logging.getLogger(__name__)

MAX_ASKS: Final = 2048
MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
"""Of asks that are not sent yet."""
RESEND_SECONDS: Final = 15.0
"""A delivery that is still open is sent again after this time, in case a report was lost."""
_MAX_REPORTS: Final = 1024
_ROOM: Final = 16
"""Deliveries that wait to be sent; the others wait in the store."""
_CONTROL: Final = ""
"""The lane of cancellations: served first."""
_DELIVERIES: Final = "deliveries"


class DeliverySource(Protocol):
    """What is to be delivered. Deliveries are states: told as often as asked, done once."""

    def open(self, runner: RunnerKey) -> Sequence[link_pb2.AskDown]:
        """Return what the runner shall deliver now, each with ``ref`` and ``deliver``.

        From memory. Those to one pod in their order. The pods are placed on the runner, at the
        epoch of ``ref``.
        """
        ...

    def changes(self, runner: RunnerKey) -> AbstractContextManager[Changes]:
        """Listen for changes of ``open(runner)``."""
        ...

    async def reported(self, runner: RunnerKey, report: link_pb2.DeliveryReport) -> bool:
        """Take a report, durably. Return whether the delivery has ended: the runner may forget it.

        Also True for what is not known (any more). The report is a claim: check that the pod is, or
        was, the runner's.

        Raises:
            StoreError: It cannot be written at the moment; the runner will report again.
        """
        ...


class BrokenError(Exception):
    """The stream ended before the answer came."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("the stream of asks ended")
        self.sent = sent
        """False: the runner has surely not seen the ask."""


class FullError(Exception):
    """Too many asks wait for this runner."""


@dataclass(slots=True, eq=False)
class _Ask:
    """One ask under way."""

    message: link_pb2.AskDown
    size: int
    """Of the message, in bytes."""
    answer: asyncio.Future[link_pb2.AskUp]
    sent: bool = False


class AskLink:
    """One stream, from its hello to its end."""

    def __init__(
        self,
        runner: RunnerKey,
        deliveries: DeliverySource,
        *,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.runner = runner
        self._source = deliveries
        self._ticks = ticks
        self._closed = asyncio.Event()
        self._last_number = 0
        self._asks: dict[int, _Ask] = {}
        self._waiting_bytes = 0
        self._lanes: dict[str, deque[link_pb2.AskDown]] = {}
        self._turns: deque[str] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._reports: asyncio.Queue[link_pb2.DeliveryReport] = asyncio.Queue(_MAX_REPORTS)
        self._told: dict[tuple[str, int], float] = {}
        """When which delivery (id and epoch) was sent last."""

    @property
    def closed(self) -> bool:
        """Whether nothing can be asked here any more."""
        return self._closed.is_set()

    def close(self) -> None:
        """End the stream."""
        self._closed.set()

    async def ask(self, message: link_pb2.AskDown) -> link_pb2.AskUp:
        """Send the ask under a number of its own and return its answer; cancelled, take it back.

        Raises:
            BrokenError: The stream has ended.
            FullError: Too much waits already.
        """
        if self.closed:
            raise BrokenError(sent=False)
        size = message.ByteSize()
        if len(self._asks) >= MAX_ASKS or self._waiting_bytes + size > MAX_WAITING_BYTES:
            raise FullError
        self._last_number += 1
        numbered = link_pb2.AskDown(number=self._last_number)
        numbered.MergeFrom(message)
        ask = _Ask(numbered, size, asyncio.get_running_loop().create_future())
        self._asks[numbered.number] = ask
        self._waiting_bytes += size
        self._put(message.ref.pod_uid, numbered)
        try:
            return await ask.answer
        finally:
            if self._asks.pop(numbered.number, None) is not None:
                self._take_back(ask)

    async def run(
        self, read: Callable[[], Awaitable[Any]], write: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Carry messages until the stream ends; asks without an answer are broken then."""
        try:
            await first_done(
                self._read(read),
                self._write(write),
                self._deliver(),
                self._record(),
                self._until_closed(),
            )
        finally:
            self._closed.set()
            asks, self._asks = self._asks, {}
            for ask in asks.values():
                if not ask.answer.done():
                    ask.answer.set_exception(BrokenError(sent=ask.sent))

    # --- asks -------------------------------------------------------------------------------------

    async def _read(self, read: Callable[[], Awaitable[Any]]) -> None:
        while (up := await read()) is not grpc.aio.EOF:
            match up.WhichOneof("msg"):
                case "looked" | "done" | "failed":
                    ask = self._asks.get(up.number)
                    if ask is not None and ask.sent and not ask.answer.done():
                        del self._asks[up.number]
                        ask.answer.set_result(up)
                case "delivery":
                    with contextlib.suppress(asyncio.QueueFull):  # it will be told, and tell, again
                        self._reports.put_nowait(up.delivery)
                case _:
                    pass

    async def _write(self, write: Callable[[Any], Awaitable[None]]) -> None:
        """Send one message of each lane that has some, in turns; cancellations first."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (message := self._next()) is not None:
                await write(message)

    async def _until_closed(self) -> None:
        await self._closed.wait()

    def _put(self, lane: str, message: link_pb2.AskDown) -> None:
        waiting = self._lanes.setdefault(lane, deque())
        waiting.append(message)
        if len(waiting) == 1 and lane != _CONTROL:
            self._turns.append(lane)
        self._wake.set()

    def _next(self) -> link_pb2.AskDown | None:
        if control := self._lanes.get(_CONTROL):
            return control.popleft()
        if not self._turns:
            return None
        lane = self._turns.popleft()
        waiting = self._lanes[lane]
        message = waiting.popleft()
        if waiting:
            self._turns.append(lane)
        else:
            del self._lanes[lane]
        if lane == _DELIVERIES:
            self._room.set()
        elif (ask := self._asks.get(message.number)) is not None:
            ask.sent = True
            self._waiting_bytes -= ask.size
        return message

    def _take_back(self, ask: _Ask) -> None:
        """Nobody waits for the answer any more."""
        number, lane = ask.message.number, ask.message.ref.pod_uid
        if ask.sent:
            if not self.closed:
                cancel = link_pb2.AskDown(number=number, cancel=link_pb2.CancelAsk())
                cancel.ref.CopyFrom(ask.message.ref)
                self._put(_CONTROL, cancel)
            return
        self._waiting_bytes -= ask.size
        waiting = self._lanes[lane]
        waiting.remove(ask.message)
        if not waiting:
            del self._lanes[lane]
            self._turns.remove(lane)

    # --- deliveries -------------------------------------------------------------------------------

    async def _deliver(self) -> None:
        """Send what is open, now and whenever it changes."""
        with self._source.changes(self.runner) as changes:
            while True:
                try:
                    await self._tell(self._source.open(self.runner))
                except Exception:
                    logger.exception("deliveries not sent")  # asks go on all the same
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RESEND_SECONDS):
                        await changes.wait()

    async def _tell(self, deliveries: Sequence[link_pb2.AskDown]) -> None:
        now = self._ticks()
        told: dict[tuple[str, int], float] = {}
        waited = False
        for down in deliveries:
            key = (down.deliver.id, down.ref.epoch)
            told[key] = self._told.get(key, now - RESEND_SECONDS)
            if now - told[key] >= RESEND_SECONDS:
                waited |= await self._room_for_delivery()
                if waited and not self._is_open(key):
                    continue  # settled meanwhile: behind that word it would begin anew
                self._put(_DELIVERIES, down)
                told[key] = now
        self._told = told

    async def _record(self) -> None:
        """Record what was reported, one after the other, and say when it is on record."""
        while True:
            report = await self._reports.get()
            try:
                ended = await self._source.reported(self.runner, report)
            except StoreError as exc:
                logger.warning("delivery not recorded", extra={"reason": str(exc)})
            except Exception:
                logger.exception("delivery not recorded")  # asks go on all the same
            else:
                if ended:
                    settled = link_pb2.DeliverySettled(id=report.id)
                    await self._room_for_delivery()
                    self._put(_DELIVERIES, link_pb2.AskDown(ref=report.ref, settled=settled))

    def _is_open(self, key: tuple[str, int]) -> bool:
        still = self._source.open(self.runner)
        return any((down.deliver.id, down.ref.epoch) == key for down in still)

    async def _room_for_delivery(self) -> bool:
        """Wait until one more may be put; return whether that took any time."""
        waited = False
        while len(self._lanes.get(_DELIVERIES, ())) >= _ROOM:
            self._room.clear()
            await self._room.wait()
            waited = True
        return waited
