"""RunnerTools: calls of agents' tools, and the runner's stream of asks."""

import logging
from typing import Any

from meshwire.v1 import link_pb2

from controller.rpc.caller import current_caller
from controller.rpc.hello import greeted
from controller.rpc.sessions import Sessions
from controller.services.asks import Asks
from controller.tools.toolbox import Toolbox

logger = logging.getLogger(__name__)


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
        runner = await greeted(context, self._sessions, link_pb2.AskUp)
        await self._asks.serve(runner, context.read, context.write)
