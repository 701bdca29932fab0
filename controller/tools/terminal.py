"""The tools that look at and drive another pod's terminal: authorise, then ask its runner.

There is no shortcut for a pod on the caller's own runner: one way, one answer.
"""

from meshwire.v1 import link_pb2

from controller.services.asks import Asks
from controller.services.authoriser import Authoriser
from controller.tools.call import Caller, Handler
from schemas.names import Scope
from schemas.tools.terminal import (
    Observation,
    ObserveTerminal,
    Pressed,
    SendTerminalKey,
    SendTerminalText,
    Typed,
)


class Terminal:
    """Looks at terminals and types into them."""

    def __init__(self, authoriser: Authoriser, asks: Asks) -> None:
        self._authoriser = authoriser
        self._asks = asks

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by tool."""
        return {
            "observe_terminal": self.observe_terminal,
            "send_terminal_text": self.send_terminal_text,
            "send_terminal_key": self.send_terminal_key,
        }

    async def observe_terminal(self, caller: Caller, arguments: ObserveTerminal) -> Observation:
        """Return the last lines of the terminal, and its screen if that was asked for."""
        pod = self._authoriser.target(caller, arguments.pod_key, Scope.TERMINAL_READ)
        look = link_pb2.Look(
            lines=arguments.lines, raw=arguments.raw, include_screen=arguments.include_screen
        )
        seen = (await self._asks.ask(pod, look=look)).looked
        return Observation(
            pod_key=arguments.pod_key,
            output=seen.output,
            screen=seen.screen if arguments.include_screen else None,
            cursor_x=seen.cursor_x,
            cursor_y=seen.cursor_y,
            total_lines=seen.total_lines,
            has_more=seen.has_more,
        )

    async def send_terminal_text(self, caller: Caller, arguments: SendTerminalText) -> Typed:
        """Type the text, as it is."""
        pod = self._authoriser.target(caller, arguments.pod_key, Scope.TERMINAL_WRITE)
        await self._asks.ask(pod, text=link_pb2.TypeText(data=arguments.text.encode()))
        return Typed(pod_key=arguments.pod_key, characters=len(arguments.text))

    async def send_terminal_key(self, caller: Caller, arguments: SendTerminalKey) -> Pressed:
        """Press the keys, all of them or none."""
        pod = self._authoriser.target(caller, arguments.pod_key, Scope.TERMINAL_WRITE)
        await self._asks.ask(pod, keys=link_pb2.PressKeys(keys=arguments.keys))
        return Pressed(pod_key=arguments.pod_key, keys=len(arguments.keys))
