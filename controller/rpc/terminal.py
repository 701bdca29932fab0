"""RunnerTerminal: the runner's stream of terminals, on a connection of its own."""

import asyncio
from typing import Any

import grpc
from meshwire.v1 import link_pb2

from controller.rpc.caller import current_caller
from controller.rpc.refusal import refuse
from controller.rpc.sessions import Sessions
from controller.services.terminals import Terminals

_HELLO_SECONDS = 10.0


class RunnerTerminal:
    """Translates between the wire and the service."""

    def __init__(self, terminals: Terminals, sessions: Sessions) -> None:
        self._terminals = terminals
        self._sessions = sessions

    async def Serve(  # noqa: N802 - the name of the RPC
        self,
        request_iterator: Any,  # noqa: ARG002 - messages are read from the context
        context: Any,
    ) -> None:
        """Let views be opened onto the terminals of the caller's pods."""
        runner = current_caller().runner
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                first = await context.read()
        except TimeoutError:
            refuse(grpc.StatusCode.DEADLINE_EXCEEDED, "no TerminalHello came: send it first")
        if not isinstance(first, link_pb2.TerminalUp) or first.WhichOneof("msg") != "hello":
            refuse(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be TerminalHello")
        current = self._sessions.instance(runner)
        if current is not None and current != first.hello.instance_id:
            refuse(
                grpc.StatusCode.FAILED_PRECONDITION,
                "another instance of the runner holds the session",
                "DuplicateRunner",
            )
        await self._terminals.serve(runner, context.read, context.write)
