"""RunnerTools: calls of agents' tools, and the runner's stream of asks."""

import asyncio
import logging
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2

from controller.rpc.caller import current_caller
from controller.rpc.refusal import refuse
from controller.rpc.sessions import Sessions
from controller.services.asks import Asks
from controller.tools.toolbox import Toolbox

logger = logging.getLogger(__name__)

_HELLO_SECONDS: Final = 10.0


class RunnerTools:
    """Translates between the wire and the services."""

    def __init__(self, toolbox: Toolbox, asks: Asks, sessions: Sessions) -> None:
        self._toolbox = toolbox
        self._asks = asks
        self._sessions = sessions

    async def Call(  # noqa: N802 - the name of the RPC
        self,
        request: link_pb2.ToolCall,
        context: Any,  # noqa: ARG002 - gRPC's
    ) -> link_pb2.ToolResult:
        """Carry out one call; whatever happens, the agent gets an answer in words."""
        try:
            return await self._toolbox.call(current_caller().runner, request)
        except Exception:
            logger.exception("a call of a tool failed")
            failure = link_pb2.ToolFailure(
                reason="Failed",
                message="the controller failed at this call: tell a person to see its log",
            )
            return link_pb2.ToolResult(failure=failure)

    async def Serve(  # noqa: N802 - the name of the RPC
        self,
        request_iterator: Any,  # noqa: ARG002 - messages are read from the context
        context: Any,
    ) -> None:
        """Let terminals of the caller's pods be looked at, typed into and given prompts."""
        runner = current_caller().runner
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                first = await context.read()
        except TimeoutError:
            refuse(grpc.StatusCode.DEADLINE_EXCEEDED, "no TerminalHello came: send it first")
        if not isinstance(first, link_pb2.AskUp) or first.WhichOneof("msg") != "hello":
            refuse(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be TerminalHello")
        current = self._sessions.instance(runner)
        if current is not None and current != first.hello.instance_id:
            refuse(
                grpc.StatusCode.FAILED_PRECONDITION,
                "another instance of the runner holds the session",
                "DuplicateRunner",
            )
        await self._asks.serve(runner, context.read, context.write)
