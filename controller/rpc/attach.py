"""Attach, on the public port: people look at a pod's terminal and type into it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2

from controller.rpc.caller import Caller, current_caller
from controller.rpc.ports import Placement, PodPlace
from controller.rpc.race import first_done
from controller.rpc.recheck import RECHECK_SECONDS, recheck
from controller.rpc.refusal import Refusal, refuse
from controller.rpc.rights import demand, placed, read_open
from controller.rpc.splice import RawOutput
from controller.services.access import LOOK_ON, TYPE, Access
from controller.services.terminals import Terminals, Upward, View, away

logger = logging.getLogger(__name__)

Write = Callable[[link_pb2.AttachOut | bytes], Awaitable[None]]
"""Sends a message to the viewer."""

_MAX_SIDE: Final = 2000
"""No terminal is wider or higher."""


class Attach:
    """Translates between the wire and the service, for callers that the API server recognised."""

    def __init__(
        self,
        terminals: Terminals,
        access: Access,
        placement: Placement,
        *,
        recheck_seconds: float = RECHECK_SECONDS,
    ) -> None:
        self._terminals = terminals
        self._access = access
        self._placement = placement
        self._recheck_seconds = recheck_seconds

    async def Attach(  # noqa: N802 - the name of the RPC
        self,
        request_iterator: Any,  # noqa: ARG002 - messages are read from the context
        context: Any,
    ) -> None:
        """View a pod's terminal and, if the caller may, type into it."""
        caller = current_caller()
        wish: link_pb2.AttachOpen = await read_open(context, "AttachOpen")
        await self._authorise(caller, wish, fresh=False)
        place, runner = placed(self._placement, wish.namespace, wish.pod)
        opened = await self._terminals.open(place, runner, _order(place, wish))
        if opened is None:
            await context.write(link_pb2.AttachOut(ended=away(place)))
            return
        link, view = opened
        write = _in_turn(context)
        logger.info(
            "viewer attached",
            extra={"key": f"{place.namespace}/{place.name}", "user": caller.user.name},
        )
        try:
            await first_done(
                self._tell(write, place, wish),
                _read_viewer(context, view, read_only=wish.read_only),
                _write_viewer(write, view),
                recheck(lambda: self._authorise(caller, wish, fresh=True), self._recheck_seconds),
            )
        finally:
            link.forget(view)

    async def _tell(self, write: Write, place: PodPlace, wish: link_pb2.AttachOpen) -> None:
        """Say why nothing moves while the pod is suspended, and when it goes on."""
        if place.runner is None or not (wish.follow or wish.recording):
            await asyncio.Event().wait()  # such a view is of what was, and ends
            return
        told = ""
        with self._placement.changes(place.runner) as changes:
            while (now := self._placement.pod(place.uid)) is not None:
                if now.suspended != told:
                    told = now.suspended
                    await write(link_pb2.AttachOut(note=_note(wish.pod, told)))
                await changes.wait()
        await asyncio.Event().wait()

    async def _authorise(self, caller: Caller, wish: link_pb2.AttachOpen, *, fresh: bool) -> None:
        """Ask whether the caller may have what it wishes. Raises Refusal, KubeError."""
        right = LOOK_ON if wish.read_only else TYPE
        await demand(self._access, caller, right, (wish.namespace, wish.pod), fresh=fresh)


def _order(
    place: PodPlace, wish: link_pb2.AttachOpen
) -> link_pb2.OpenView | link_pb2.ExportTranscript:
    ref = link_pb2.PodRef(pod_uid=place.uid, epoch=place.epoch)
    if wish.recording:
        return link_pb2.ExportTranscript(ref=ref)
    request = link_pb2.OpenView(
        ref=ref,
        start=wish.start,
        from_offset=wish.from_offset,
        follow=wish.follow,
        tail_lines=wish.tail_lines,
    )
    if wish.HasField("size") and not wish.read_only and _sane(wish.size):
        request.size.CopyFrom(wish.size)
    return request


async def _read_viewer(context: Any, view: View, *, read_only: bool) -> None:
    """Take what the viewer sends; one that has nothing more to say may still look on."""
    while (message := await context.read()) is not grpc.aio.EOF:
        match message.WhichOneof("msg"):
            case "credit":
                view.allow(message.credit.bytes)
            case "input" | "resize" if read_only:
                raise Refusal(
                    grpc.StatusCode.PERMISSION_DENIED,
                    "the terminal was opened read-only: attach without it to type",
                )
            case "input":
                await view.type(message.input)
            case "resize":
                if _sane(message.resize):
                    view.resize(message.resize)
            case "open":
                refuse(grpc.StatusCode.INVALID_ARGUMENT, "AttachOpen comes once")
            case _:
                continue  # of a newer client
    await asyncio.Event().wait()


def _in_turn(context: Any) -> Write:
    """Return what writes to the viewer: gRPC takes one message at a time."""
    turn = asyncio.Lock()

    async def write(message: link_pb2.AttachOut | bytes) -> None:
        async with turn:
            await context.write(message)

    return write


def _note(pod: str, suspended: str) -> link_pb2.ViewNote:
    return link_pb2.ViewNote(
        text=f"{pod} is suspended: {suspended}" if suspended else f"{pod} goes on"
    )


async def _write_viewer(write: Write, view: View) -> None:
    """Pass on what the runner sends until the view ends."""
    while True:
        up = await view.next()
        if isinstance(up, link_pb2.ViewEnded):
            await write(link_pb2.AttachOut(ended=up))
            return
        await write(_passed_on(up))
        view.passed(up)


def _passed_on(up: Upward) -> link_pb2.AttachOut | bytes:
    if isinstance(up, RawOutput):
        return up.attach_out()
    match up.WhichOneof("msg"):
        case "opened":
            return link_pb2.AttachOut(opened=up.opened)
        case "gap":
            return link_pb2.AttachOut(gap=up.gap)
        case "recorded":
            return link_pb2.AttachOut(recorded=up.recorded)
        case _:
            return link_pb2.AttachOut(input_ack=up.input_ack)


def _sane(size: link_pb2.TerminalSize) -> bool:
    return 0 < size.cols <= _MAX_SIDE and 0 < size.rows <= _MAX_SIDE
