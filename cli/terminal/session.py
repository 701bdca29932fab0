"""A viewer's session: it survives the restart of everything but the agent."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

from meshwire.v1 import link_pb2

from cli.errors import CommandError, NotFound, Unreachable
from cli.terminal.address import Address
from cli.terminal.stream import Stream

_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 3.0
_QUIET_SECONDS: Final = 2.0
"""An interruption that is over so soon is not mentioned."""
_API_PATIENCE: Final = 2.0
_CONTROLLER_PATIENCE: Final = 15.0
"""So many seconds are tried for a first view, once the API server has said where the controller is;
afterwards there is no end to it: the agent goes on, and so does who watches it."""


class Screen(Protocol):
    """Where output goes."""

    async def write(self, data: bytes) -> None:
        """Show *data*; return when it has been shown."""
        ...

    def tell(self, text: str) -> None:
        """Show a line of our own."""
        ...

    def note(self, text: str) -> None:
        """Show a line of our own that moves nothing of what the agent shows."""
        ...


class Desk(Protocol):
    """Knows where the controller is."""

    def address(self) -> Address:
        """Return it; blocking. Raises CommandError."""
        ...


class Session:
    """Follows one pod's terminal across as many connections as it takes."""

    def __init__(
        self,
        desk: Desk,
        screen: Screen,
        opening: Callable[[], link_pb2.AttachOpen],
        *,
        redraw: bool,
        greeting: str = "",
    ) -> None:
        self._desk = desk
        self._screen = screen
        self._opening = opening
        self._redraw = redraw
        """After a longer interruption: draw the screen anew instead of filling up.

        Without it a screen that comes is not shown."""
        self._greeting = greeting
        """Told once the pod is found."""
        self._offset: int | None = None
        self._opened_times = 0
        self._patience_seconds = _API_PATIENCE
        self._lost_at: float | None = None
        self._told = False
        self._note = ""
        """Said before the screen came: it goes on top of that."""
        self.stream: Stream | None = None
        """The present connection; None while there is none."""
        self.connected = asyncio.Event()
        self.acknowledged = asyncio.Condition()
        self._sent = self._acked = 0

    @property
    def unconfirmed(self) -> int:
        """How many messages of input nobody has confirmed."""
        return self._sent - self._acked

    async def run(self) -> link_pb2.ViewEnded:
        """Show the terminal until its end and return that.

        Raises:
            CommandError: The first connection could not be made, or a later one was refused.
        """
        began, wait = time.monotonic(), _FIRST_WAIT
        while True:
            opened = self._opened_times
            try:
                ended = await self._connect()
                if ended.reason != "RunnerAway":
                    return ended
                raise Unreachable(ended.message)
            except Unreachable as exc:
                waited = time.monotonic() - began
                if self._opened_times == 0 and waited > self._patience_seconds:
                    raise
                self._mention(exc)
            if self._opened_times > opened:
                wait = _FIRST_WAIT
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, _LONGEST_WAIT)

    async def type(self, data: bytes) -> bool:
        """Send input; return False if there is no connection to send it on."""
        if self.stream is None or not self.connected.is_set():
            return False
        self._sent += 1
        self.stream.send(link_pb2.AttachIn(input=link_pb2.Input(seq=self._sent, data=data)))
        return True

    def resize(self, cols: int, rows: int) -> None:
        """Tell the agent the size of the viewer's terminal."""
        if self.stream is not None:
            size = link_pb2.TerminalSize(cols=cols, rows=rows)
            self.stream.send(link_pb2.AttachIn(resize=size))

    async def confirmed(self, at_most: int) -> None:
        """Return when no more than *at_most* messages of input are unconfirmed."""
        async with self.acknowledged:
            await self.acknowledged.wait_for(lambda: self.unconfirmed <= at_most)

    async def _connect(self) -> link_pb2.ViewEnded:
        address = await asyncio.to_thread(self._desk.address)
        opening = self._opening()
        self._patience_seconds = _CONTROLLER_PATIENCE
        opening.namespace = address.namespace
        if self._offset is not None and not (self._redraw and self._told):
            opening.start = link_pb2.VIEW_START_OFFSET
            opening.from_offset = self._offset
            opening.tail_lines = 0
        async with Stream(address, opening) as stream:
            self.stream = stream
            try:
                return await self._show(stream)
            finally:
                self.stream = None
                self.connected.clear()

    async def _show(self, stream: Stream) -> link_pb2.ViewEnded:
        async for message in stream.receive():
            match message.WhichOneof("msg"):
                case "opened":
                    await self._opened(message.opened)
                case "output":
                    await self._output(stream, message.output)
                case "gap":
                    self._gap(message.gap)
                case "input_ack":
                    async with self.acknowledged:
                        self._acked = max(self._acked, message.input_ack.seq)
                        self.acknowledged.notify_all()
                case "note":
                    self._noted(message.note.text)
                case "ended":
                    return message.ended
                case _:
                    continue  # of a newer controller
        raise Unreachable("the controller closed the connection")

    async def _opened(self, opened: link_pb2.ViewOpened) -> None:
        if self.unconfirmed:
            self._screen.tell("the connection was lost: what was typed last may not have arrived")
        elif self._told:
            self._screen.tell("connected again")
        async with self.acknowledged:
            self._acked = self._sent
            self.acknowledged.notify_all()
        self._lost_at, self._told = None, False
        if self._greeting and not self._opened_times:
            self._screen.tell(self._greeting)
        if opened.screen and self._redraw:
            await self._screen.write(opened.screen)
        if self._offset is None or opened.screen:
            self._offset = opened.offset
        self._opened_times += 1
        self.connected.set()
        if self._note:
            self._screen.note(self._note)
            self._note = ""

    def _noted(self, text: str) -> None:
        if self.connected.is_set():
            self._screen.note(text)
        else:
            self._note = text

    async def _output(self, stream: Stream, output: link_pb2.Output) -> None:
        """Show what is new in *output*; what was shown already is passed over."""
        end = output.offset + len(output.data)
        seen = max(0, (self._offset or 0) - output.offset)
        if seen < len(output.data):
            await self._screen.write(output.data[seen:])
            self._offset = end
        stream.used(len(output.data))

    def _gap(self, gap: link_pb2.Gap) -> None:
        count = gap.to_offset - max(gap.from_offset, self._offset or 0)
        if count > 0:
            self._screen.tell(f"{count} bytes of output are no longer kept")
            self._offset = gap.to_offset

    def _mention(self, exc: CommandError) -> None:
        """Say that the connection is lost, once, if it stays so."""
        if self._lost_at is None:
            self._lost_at = time.monotonic()
        if not self._told and time.monotonic() - self._lost_at > _QUIET_SECONDS:
            self._told = True
            self._screen.tell(f"{exc}; trying again")


def check(ended: link_pb2.ViewEnded, pod: str) -> None:
    """Raise the error that the end of a view stands for, if it does."""
    if ended.reason == "NoSuchPod":
        raise NotFound(ended.message or f"there is no terminal of {pod}")
    if ended.reason not in {"Exited", "EndOfTranscript"}:
        raise CommandError(ended.message or f"the terminal of {pod} ended: {ended.reason}")


def sentence(ended: link_pb2.ViewEnded) -> str:
    """Return how the agent ended."""
    if ended.signal:
        return f"the agent was ended by signal {ended.signal}"
    return f"the agent ended with exit code {ended.exit_code}"
