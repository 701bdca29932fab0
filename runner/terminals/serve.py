"""Serves views over a connection of its own, so that output never delays a state.

The controller opens and closes views; each is a task here. All that views send goes through
one bounded queue: whoever produces faster than the link carries waits, each view alike.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import grpc
from meshwire.v1 import link_pb2

from runner.converge.places import Places
from runner.converge.states import Row
from runner.drivers.worktree_kept import KeptWork
from runner.link.backoff import Backoff
from runner.link.channel import mutual, terminal
from runner.link.identity import Identity
from runner.terminals.export import ExportView
from runner.terminals.ports import PortView, connector
from runner.terminals.restore import RestoreView
from runner.terminals.view import Drawing, Subject, Terminals, View

logger = logging.getLogger(__name__)

_OPENING: Final = frozenset({"open", "open_port", "export", "restore"})
_QUEUE_MESSAGES: Final = 16
_DRAIN_SECONDS: Final = 3600.0
"""A connection with an older certificate ends with its last view, or after this long."""


class Identities(Protocol):
    """What is needed of ``runner.link.keeper.Keeper``."""

    async def valid(self) -> Identity:
        """Return the identity, waiting for one if need be."""
        ...

    async def replaced(self, identity: Identity) -> None:
        """Wait until it is not the current one any more."""
        ...


Served = View | PortView | RestoreView | ExportView
"""What is opened on a stream."""

OpenView = Callable[[int, link_pb2.TerminalDown, Any], Served | None]
"""Takes its number, what was ordered, and what sends; None: there is no such pod."""


class TerminalServer:
    """The runner's end of ``RunnerTerminal.Serve``."""

    def __init__(
        self,
        endpoint: str,
        identities: Identities,
        instance_id: str,
        rows: Callable[[], Mapping[str, Row]],
        places: Places,
        terminals: Terminals,
        drawing: Drawing,
        works: KeptWork,
    ) -> None:
        self._endpoint = endpoint
        self._identities = identities
        self._instance_id = instance_id
        self._rows = rows
        self._places = places
        self._terminals = terminals
        self._drawing = drawing
        self._works = works

    async def run(self) -> None:
        """Serve for ever, on one connection per certificate; the next begins before one ends."""
        async with asyncio.TaskGroup() as tasks:
            backoff = Backoff()
            while True:
                identity = await self._identities.valid()
                served = tasks.create_task(self._serve(identity))
                replaced = tasks.create_task(self._identities.replaced(identity))
                await asyncio.wait({served, replaced}, return_when=asyncio.FIRST_COMPLETED)
                replaced.cancel()
                if not served.done():
                    continue  # it drains on its own while the next connection takes new views
                if served.result():
                    backoff.reset()
                await asyncio.sleep(backoff.next_seconds())

    async def _serve(self, identity: Identity) -> bool:
        """Hold one connection until it ends; return whether it ever worked."""
        async with mutual(self._endpoint, identity) as channel:
            connection = Connection(terminal(channel).Serve(), self.open_view)
            try:
                async with asyncio.TaskGroup() as tasks:
                    held = tasks.create_task(connection.run(self._instance_id))
                    draining = tasks.create_task(self._drain(identity, connection))
                    await held
                    draining.cancel()
            except* grpc.aio.AioRpcError as group:
                exc = group.exceptions[0]
                code = exc.code().name if isinstance(exc, grpc.aio.AioRpcError) else ""
                logger.debug("terminal connection ended", extra={"reason": code})
            return connection.worked

    async def _drain(self, identity: Identity, connection: "Connection") -> None:
        await self._identities.replaced(identity)
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                await connection.idle.wait()
        except TimeoutError:
            logger.info("ended views on a connection with an older certificate")
        connection.close()

    def open_view(self, number: int, message: link_pb2.TerminalDown, send: Any) -> Served | None:
        """Return the view that was ordered, or None when there is no such pod here."""
        if message.WhichOneof("msg") == "open_port":
            return self._open_port(number, message.open_port, send)
        if message.WhichOneof("msg") == "restore":
            return RestoreView(number, message.restore, self._works, send)
        if message.WhichOneof("msg") == "export":
            return self._export(number, message.export, send)
        order = message.open
        row = self._rows().get(order.ref.pod_uid)
        if row is None or (order.ref.epoch and order.ref.epoch != row.epoch):
            return None
        size = row.pod().spec.terminal
        subject = Subject(
            transcript_dir=self._places.transcript(row.uid),
            run_dir=self._places.run(row.uid, row.epoch, row.restart),
            exit_code=row.exit_code,
            signal=row.signal,
            cols=size.cols or 120,
            rows=size.rows or 40,
        )
        return View(number, order, subject, self._terminals, self._drawing, send)

    def _export(self, number: int, order: link_pb2.ExportTranscript, send: Any) -> Served | None:
        row = self._rows().get(order.ref.pod_uid)
        if row is None or (order.ref.epoch and order.ref.epoch != row.epoch):
            return None
        size = row.pod().spec.terminal
        directory = self._places.transcript(row.uid)
        return ExportView(number, directory, size.cols or 120, size.rows or 40, send)

    def _open_port(self, number: int, order: link_pb2.OpenPort, send: Any) -> PortView | None:
        row = self._rows().get(order.ref.pod_uid)
        if row is None or (order.ref.epoch and order.ref.epoch != row.epoch):
            return None
        run_dir = self._places.run(row.uid, row.epoch, row.restart)
        return PortView(number, order.port, connector(run_dir), send)


class Connection:
    """One stream, its views, and the queue of what they send."""

    def __init__(
        self,
        call: Any,
        open_view: OpenView,
    ) -> None:
        self._call = call
        self._open_view = open_view
        self._views: dict[int, tuple[Served, asyncio.Task[None]]] = {}
        self._out: asyncio.Queue[link_pb2.TerminalUp | bytes] = asyncio.Queue(_QUEUE_MESSAGES)
        self._closed = asyncio.Event()
        self.idle = asyncio.Event()
        """Set while no view is open."""
        self.idle.set()
        self.worked = False

    def close(self) -> None:
        """End the stream and every view on it."""
        self._closed.set()

    async def run(self, instance_id: str) -> None:
        """Serve until the stream ends.

        Raises:
            grpc.aio.AioRpcError: It broke.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write_all(instance_id))
                reader = tasks.create_task(self._read_all(tasks))
                closing = tasks.create_task(self._closed.wait())
                await asyncio.wait({reader, closing}, return_when=asyncio.FIRST_COMPLETED)
                for task in (writer, reader, closing, *(each[1] for each in self._views.values())):
                    task.cancel()
        finally:
            self._call.cancel()

    async def _write_all(self, instance_id: str) -> None:
        try:
            hello = link_pb2.TerminalHello(instance_id=instance_id)
            await self._call.write(link_pb2.TerminalUp(hello=hello))
            while True:
                await self._call.write(await self._out.get())
        except asyncio.InvalidStateError:
            return  # the stream ended: the reader tells how

    async def _read_all(self, tasks: asyncio.TaskGroup) -> None:
        async for message in self._call:
            self.worked = True
            self._take(tasks, message)

    def _take(self, tasks: asyncio.TaskGroup, message: link_pb2.TerminalDown) -> None:
        number, kind = message.view, message.WhichOneof("msg")
        if kind in _OPENING:
            self._open(tasks, number, message)
            return
        view, task = self._views.get(number, (None, None))
        if view is None or task is None:
            return
        match kind:
            case "credit":
                view.credit(message.credit.bytes)
            case "input" if not view.take(message.input):
                text = "The agent does not read what is typed."
                self._abandon(tasks, number, "Failed", text)
            case "resize":
                view.take(message.resize)
            case "end" if isinstance(view, PortView):
                view.take(message.end)
            case "close":
                task.cancel()
            case _:
                return  # nothing that this version knows

    def _open(self, tasks: asyncio.TaskGroup, number: int, order: link_pb2.TerminalDown) -> None:
        if number in self._views:
            return
        view = self._open_view(number, order, self._out.put)
        if view is None:
            text = "The runner does not have this pod."
            ended = link_pb2.ViewEnded(reason="NoSuchPod", message=text)
            tasks.create_task(self._out.put(link_pb2.TerminalUp(view=number, ended=ended)))
            return
        task = tasks.create_task(self._serve_view(number, view), name=f"view {number}")
        self._views[number] = (view, task)
        self.idle.clear()
        task.add_done_callback(lambda _: self._closed_view(number))

    async def _serve_view(self, number: int, view: Served) -> None:
        try:
            await view.run()
        except Exception:
            logger.exception("a view failed", extra={"view": number})
            ended = link_pb2.ViewEnded(reason="Failed", message="The runner could not serve it.")
            await self._out.put(link_pb2.TerminalUp(view=number, ended=ended))

    def _closed_view(self, number: int) -> None:
        self._views.pop(number, None)
        if not self._views:
            self.idle.set()

    def _abandon(self, tasks: asyncio.TaskGroup, number: int, reason: str, message: str) -> None:
        self._views[number][1].cancel()
        ended = link_pb2.ViewEnded(reason=reason, message=message)
        tasks.create_task(self._out.put(link_pb2.TerminalUp(view=number, ended=ended)))
