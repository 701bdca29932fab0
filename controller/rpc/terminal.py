"""RunnerTerminal: the runner's stream of terminals, on a connection of its own."""

from typing import Any

from meshwire.v1 import link_pb2

from controller.rpc.hello import greeted
from controller.rpc.sessions import Sessions
from controller.services.terminals import Terminals


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
        runner = await greeted(context, self._sessions, link_pb2.TerminalUp)
        await self._terminals.serve(runner, context.read, context.write)
