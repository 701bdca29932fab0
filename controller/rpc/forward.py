"""Ports.Forward, on the public port: one TCP connection of a person into a pod's own network."""

import asyncio
import logging
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2

from controller.rpc.caller import Caller, current_caller
from controller.rpc.ports import Placement
from controller.rpc.race import first_done
from controller.rpc.recheck import RECHECK_SECONDS, recheck
from controller.rpc.refusal import refuse
from controller.rpc.rights import demand, placed, read_open
from controller.rpc.splice import RawOutput
from controller.services.access import FORWARD, Access
from controller.services.forwarding import WINDOW_BYTES, Sending
from controller.services.terminals import Terminals, Upward, View, away

logger = logging.getLogger(__name__)

_LAST_PORT: Final = 65535


class PortsDoor:
    """Translates between the wire and the runner's view of a port."""

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

    async def Forward(  # noqa: N802 - the name of the RPC
        self,
        request_iterator: Any,  # noqa: ARG002 - messages are read from the context
        context: Any,
    ) -> None:
        """Carry one connection until either side ends it."""
        caller = current_caller()
        wish = await _read_open(context)
        await self._authorise(caller, wish, fresh=False)
        place, runner = placed(self._placement, wish.namespace, wish.pod)
        order = link_pb2.OpenPort(
            ref=link_pb2.PodRef(pod_uid=place.uid, epoch=place.epoch), port=wish.port
        )
        opened = await self._terminals.open(place, runner, order)
        if opened is None:
            await context.write(link_pb2.ForwardOut(ended=away(place)))
            return
        link, view = opened
        logger.info(
            "port forwarded",
            extra={"key": f"{place.namespace}/{place.name}", "user": caller.user.name},
        )
        sending = Sending()
        try:
            await first_done(
                _read_client(context, view, sending),
                _write_client(context, view, sending),
                recheck(lambda: self._authorise(caller, wish, fresh=True), self._recheck_seconds),
            )
        finally:
            link.forget(view)

    async def _authorise(self, caller: Caller, wish: link_pb2.ForwardOpen, *, fresh: bool) -> None:
        """Ask whether the caller may reach the pod's ports. Raises Refusal, KubeError."""
        await demand(self._access, caller, FORWARD, (wish.namespace, wish.pod), fresh=fresh)


async def _read_open(context: Any) -> link_pb2.ForwardOpen:
    """Return the client's first message. Raises Refusal."""
    wish: link_pb2.ForwardOpen = await read_open(context, "ForwardOpen")
    if wish.port > _LAST_PORT:
        refuse(grpc.StatusCode.INVALID_ARGUMENT, f"a port is a number up to {_LAST_PORT}")
    return wish


async def _read_client(context: Any, view: View, sending: Sending) -> None:
    """Take what the client sends; one that has nothing more to send may still receive."""
    while (message := await context.read()) is not grpc.aio.EOF:
        match message.WhichOneof("msg"):
            case "credit":
                view.allow(message.credit.bytes)
            case "data":
                await view.type(sending.piece(message.data))
            case "end":
                if sending.end():
                    view.end_input()
            case "open":
                refuse(grpc.StatusCode.INVALID_ARGUMENT, "ForwardOpen comes once")
            case _:
                continue  # of a newer client
    await asyncio.Event().wait()


async def _write_client(context: Any, view: View, sending: Sending) -> None:
    """Pass on what the runner sends until the connection ends."""
    while True:
        up = await view.next()
        if isinstance(up, link_pb2.ViewEnded):
            await context.write(link_pb2.ForwardOut(ended=up))
            return
        for out in _passed_on(up, sending):
            await context.write(out)
        view.passed(up)


def _passed_on(up: Upward, sending: Sending) -> list[link_pb2.ForwardOut]:
    if isinstance(up, RawOutput):
        return [
            link_pb2.ForwardOut(data=up.wire[len(up.wire) - up.length :])
        ]  # data is its last field
    match up.WhichOneof("msg"):
        case "opened":
            window = link_pb2.Credit(bytes=WINDOW_BYTES)
            return [link_pb2.ForwardOut(opened=up.opened), link_pb2.ForwardOut(credit=window)]
        case "end":
            return [link_pb2.ForwardOut(end=up.end)]
        case "input_ack" if credit := sending.taken(up.input_ack.seq):
            return [link_pb2.ForwardOut(credit=link_pb2.Credit(bytes=credit))]
        case _:
            return []
