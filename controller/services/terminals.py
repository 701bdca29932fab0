"""Joins people who look at a pod's terminal with the runner that has it.

A view is one viewer of one pod. Bytes come only as credit allows: the viewer grants credit, and we
pass on no more than ``WINDOW_BYTES`` beyond what the viewer's connection has really taken. So a
view never holds more than a window, and a slow viewer stops its own bytes on the runner and nobody
else's. Towards the runner a view holds the newest size, the sum of credit, and a window of input.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2

from controller.rpc.ports import PodPlace, RunnerKey
from controller.rpc.race import first_done
from controller.rpc.refusal import refuse
from controller.rpc.splice import RawOutput
from controller.services.newest import Newest

logger = logging.getLogger(__name__)

WINDOW_BYTES: Final = 512 * 1024
"""Output on its way to one viewer, and input on its way from it, each at most this much."""

_QUANTUM_BYTES: Final = WINDOW_BYTES // 2
"""Credit is passed on in pieces of this size, unless the runner has none left."""

_MAX_MESSAGES: Final = 4096
"""Messages waiting in one view: a runner that sends thousands of tiny ones breaks the protocol."""

_LEAST_COST: Final = 256
"""Of a piece of a recording: so a window of them is no more messages than may wait in a view."""

_MAX_TOLD_BYTES: Final = 4 * 1024 * 1024
"""Of one view, all that no credit is needed for: a screen, a list of kept refs. Each comes once."""

MAX_VIEWS_PER_POD: Final = 32
MAX_VIEWS_PER_RUNNER: Final = 1024

LINK_WAIT_SECONDS: Final = 3.0
"""How long a new view waits for a runner that is just coming back."""

Upward = link_pb2.TerminalUp | RawOutput
"""What a runner sends; output is never taken apart."""

Order = link_pb2.OpenView | link_pb2.OpenPort | link_pb2.ExportTranscript | link_pb2.RestoreWork
"""What a view can be of."""

_ORDERS: Final[dict[type[Order], str]] = {
    link_pb2.OpenView: "open",
    link_pb2.OpenPort: "open_port",
    link_pb2.ExportTranscript: "export",
    link_pb2.RestoreWork: "restore",
}


class View:
    """One viewer of one pod's terminal."""

    def __init__(self, number: int, place: PodPlace, ready: Callable[["View"], None]) -> None:
        self.number = number
        self.place = place
        self._ready = ready
        self._up: deque[Upward] = deque()
        self._arrived = asyncio.Event()
        self._ended: link_pb2.ViewEnded | None = None
        self._offset = 0
        # output: cumulative bytes
        self._allowed = 0
        self._granted = 0
        self._received = 0
        self._passed = 0
        # what needs no credit
        self._told: set[str] = set()
        self._told_bytes = 0
        # towards the runner
        self._control: deque[link_pb2.TerminalDown] = deque()
        self._credit = 0
        self._size: link_pb2.TerminalSize | None = None
        self._input: deque[link_pb2.Input] = deque()
        self._input_ended = False
        self._unacked: deque[tuple[int, int]] = deque()
        self._unacked_bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    # --- from the runner --------------------------------------------------------------------------

    def deliver(self, up: Upward) -> None:
        """Take a message of the runner; never waits."""
        if self._ended is not None:
            return
        if isinstance(up, RawOutput):
            self._received += up.length
            if self._received > self._granted:
                self._broke("more output than there was credit for")
                return
        elif not self._is_kept(up):
            return
        if len(self._up) >= _MAX_MESSAGES:
            self._broke("too many messages")
            return
        self._up.append(up)
        self._arrived.set()

    def _is_kept(self, up: link_pb2.TerminalUp) -> bool:
        """Take a message that is no output; say whether the viewer shall have it."""
        match up.WhichOneof("msg"):
            case "ended":
                self.end(up.ended)
                return False
            case "input_ack":
                self._acked(up.input_ack.seq)
                return True
            case "recorded":
                self._received += _cost(up.recorded)
                if self._received > self._granted:
                    self._broke("more of a recording than there was credit for")
            case "opened" | "gap" | "end" | "work" as kind:
                if self._is_too_much(kind, up.ByteSize()):
                    self._broke(f"{kind} too often, or too much of it")
            case _:
                return False
        return self._ended is None

    def _is_too_much(self, kind: str, size_bytes: int) -> bool:
        """Count a message that needs no credit; say whether it is more than a view can need."""
        if kind == "gap":
            return size_bytes > _LEAST_COST  # many may come, each of a few bytes
        self._told_bytes += size_bytes
        again = kind in self._told
        self._told.add(kind)
        return again or self._told_bytes > _MAX_TOLD_BYTES

    def end(self, ended: link_pb2.ViewEnded) -> None:
        """End the view after what has already come; the first reason counts."""
        if self._ended is None:
            self._ended = ended
            self._arrived.set()
            self._room.set()

    def _broke(self, what: str) -> None:
        logger.warning("runner broke the terminal protocol", extra={"reason": what})
        self.end(link_pb2.ViewEnded(reason="Failed", message=f"the runner sent {what}"))

    def _acked(self, seq: int) -> None:
        while self._unacked and self._unacked[0][0] <= seq:
            self._unacked_bytes -= self._unacked.popleft()[1]
        if self._unacked_bytes < WINDOW_BYTES:
            self._room.set()

    # --- to the viewer ----------------------------------------------------------------------------

    async def next(self) -> Upward | link_pb2.ViewEnded:
        """Return what comes next; after a ViewEnded nothing comes."""
        while not self._up:
            if self._ended is not None:
                if not self._ended.offset:
                    self._ended.offset = self._offset
                return self._ended
            self._arrived.clear()
            await self._arrived.wait()
        return self._up.popleft()

    def passed(self, up: Upward) -> None:
        """Note that the viewer's connection has taken the message."""
        if isinstance(up, RawOutput):
            self._passed += up.length
            self._offset = up.offset + up.length
            self._grant()
            return
        match up.WhichOneof("msg"):
            case "gap":
                self._offset = up.gap.to_offset
            case "opened":
                self._offset = up.opened.offset
            case "recorded":
                self._passed += _cost(up.recorded)
                self._grant()
            case _:
                pass

    # --- from the viewer --------------------------------------------------------------------------

    def allow(self, count: int) -> None:
        """Take credit of the viewer."""
        self._allowed += count
        self._grant()

    def resize(self, size: link_pb2.TerminalSize) -> None:
        """Ask for a size; the newest wins."""
        self._size = size
        self._ready(self)

    async def type(self, data: link_pb2.Input) -> None:
        """Pass input on, in order; waits while a window of it is not acknowledged."""
        await self._room.wait()
        self._input.append(data)
        self._unacked.append((data.seq, len(data.data)))
        self._unacked_bytes += len(data.data)
        if self._unacked_bytes >= WINDOW_BYTES or len(self._unacked) >= _MAX_MESSAGES:
            self._room.clear()
        self._ready(self)

    def end_input(self) -> None:
        """Say, behind all input, that no more comes."""
        self._input_ended = True
        self._ready(self)

    def _grant(self) -> None:
        limit = min(self._allowed, self._passed + WINDOW_BYTES)
        more = limit - self._granted
        if more <= 0 or (more < _QUANTUM_BYTES and self._granted > self._received):
            return
        self._granted = limit
        self._credit += more
        self._ready(self)

    # --- to the runner ----------------------------------------------------------------------------

    def ask(self, **message: Any) -> None:
        """Send a message before everything else: open or close."""
        self._control.append(link_pb2.TerminalDown(view=self.number, **message))
        self._ready(self)

    def take(self) -> link_pb2.TerminalDown | None:
        """Return the next message for the runner, or None."""
        if self._control:
            return self._control.popleft()
        if self._size is not None:
            size, self._size = self._size, None
            return link_pb2.TerminalDown(view=self.number, resize=size)
        if self._credit:
            credit, self._credit = self._credit, 0
            return link_pb2.TerminalDown(view=self.number, credit=link_pb2.Credit(bytes=credit))
        if self._input:
            return link_pb2.TerminalDown(view=self.number, input=self._input.popleft())
        if self._input_ended:
            self._input_ended = False
            return link_pb2.TerminalDown(view=self.number, end=link_pb2.CloseView())
        return None


class TerminalLink:
    """The terminal stream of one runner, with all views on it."""

    def __init__(self, runner: RunnerKey) -> None:
        self.runner = runner
        self._views: dict[int, View] = {}
        self._last_view = 0
        self._ready: deque[View] = deque()
        self._waiting: set[int] = set()
        self._wake = asyncio.Event()
        self._closed = asyncio.Event()

    def open(self, place: PodPlace, request: Order) -> View:
        """Begin a view. Raises Refusal if there are too many."""
        on_pod = sum(1 for view in self._views.values() if view.place.uid == place.uid)
        if on_pod >= MAX_VIEWS_PER_POD or len(self._views) >= MAX_VIEWS_PER_RUNNER:
            refuse(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"too many viewers: at most {MAX_VIEWS_PER_POD} per pod and "
                f"{MAX_VIEWS_PER_RUNNER} per runner",
            )
        self._last_view += 1
        view = View(self._last_view, place, self._mark)
        self._views[view.number] = view
        view.ask(**{_ORDERS[type(request)]: request})
        return view

    def forget(self, view: View) -> None:
        """End a view from the viewer's side; what the runner still sends for it is dropped."""
        if self._views.pop(view.number, None) is not None:
            view.ask(close=link_pb2.CloseView())

    @property
    def closed(self) -> bool:
        """Whether it ends."""
        return self._closed.is_set()

    def close(self) -> None:
        """End the stream, and with it all views."""
        self._closed.set()

    async def run(
        self, read: Callable[[], Awaitable[Any]], write: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Carry messages until the stream ends; then every view is ended with a sentence."""
        try:
            await first_done(self._read(read), self._write(write), self._until_closed())
        finally:
            for view in self._views.values():
                view.end(away(view.place))
            self._views.clear()

    async def _read(self, read: Callable[[], Awaitable[Any]]) -> None:
        while (up := await read()) is not grpc.aio.EOF:
            view = self._views.get(up.view)
            if view is not None:
                view.deliver(up)

    async def _write(self, write: Callable[[Any], Awaitable[None]]) -> None:
        """Send one message of each view that has some, in turns."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ready:
                view = self._ready.popleft()
                self._waiting.discard(view.number)
                message = view.take()
                if message is not None:
                    self._mark(view)  # it may have more; the others come first
                    await write(message)

    async def _until_closed(self) -> None:
        await self._closed.wait()

    def _mark(self, view: View) -> None:
        if view.number not in self._waiting:
            self._waiting.add(view.number)
            self._ready.append(view)
            self._wake.set()


class Terminals:
    """The terminal streams of all runners."""

    def __init__(self, *, link_wait_seconds: float = LINK_WAIT_SECONDS) -> None:
        self._link_wait_seconds = link_wait_seconds
        self._links: Newest[TerminalLink] = Newest()

    async def serve(
        self,
        runner: RunnerKey,
        read: Callable[[], Awaitable[Any]],
        write: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Carry the terminals of the runner until the stream ends; the newest stream counts."""
        link = TerminalLink(runner)
        with self._links.kept(runner.uid, link):
            await link.run(read, write)

    async def open(
        self, place: PodPlace, runner: RunnerKey, request: Order
    ) -> tuple[TerminalLink, View] | None:
        """Begin a view on the pod; None if its runner stays away. Raises Refusal."""
        link = await self._links.get(runner.uid, self._link_wait_seconds)
        if link is None:
            return None
        return link, link.open(place, request)

    async def links(self, namespace: str) -> list[TerminalLink]:
        """Return the streams of all connected runners of a namespace.

        Where there is none it waits a moment for one that is just coming back.
        """
        return await self._links.some(
            lambda link: link.runner.namespace == namespace, self._link_wait_seconds
        )


def _cost(piece: link_pb2.Recorded) -> int:
    """Return what a piece of a recording costs of the credit."""
    return max(_LEAST_COST, piece.ByteSize())


def away(place: PodPlace) -> link_pb2.ViewEnded:
    """Return the end of a view whose runner is not connected."""
    name = place.runner.name if place.runner else ""
    return link_pb2.ViewEnded(
        reason="RunnerAway",
        message=f"runner {name} is not connected: its agents go on, attach again when it is back",
    )
