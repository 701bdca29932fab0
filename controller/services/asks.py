"""Asks runners to look at, type into and deliver prompts to the terminals of their pods.

Each runner has one stream; the newest counts. A look that a broken stream has swallowed is asked
again once; typing never is, for it may have happened. Prompts are states: all that is open is sent
on every new stream, until the runner has reported its end.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from meshwire.v1 import link_pb2

from controller.kernel.redact import redact
from controller.rpc.ports import RunnerKey
from controller.services.asklink import AskLink, BrokenError, DeliverySource, FullError
from controller.services.newest import Newest
from controller.tools.call import ToolError
from schemas.agentpod import AgentPod

ANSWER_SECONDS: Final = 27.0
"""So long may an answer take: longer than a runner types, less than a call of a tool may."""
LINK_WAIT_SECONDS: Final = 3.0
"""How long an ask waits for a runner that is just coming back."""

_REASONS: Final = {
    "NoSuchPod": "NotRunning",
    "NotRunning": "NotRunning",
    "UnknownKey": "InvalidArgument",
    "TooSlow": "Unavailable",
}
"""What a runner says, in the words of tools; any other reason is ``Failed``."""


class Asks:
    """The streams of all runners."""

    def __init__(
        self,
        deliveries: DeliverySource,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        link_wait_seconds: float = LINK_WAIT_SECONDS,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deliveries = deliveries
        self._answer_seconds = answer_seconds
        self._link_wait_seconds = link_wait_seconds
        self._ticks = ticks
        self._links: Newest[AskLink] = Newest()

    async def serve(
        self,
        runner: RunnerKey,
        read: Callable[[], Awaitable[Any]],
        write: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Carry asks and deliveries of the runner until the stream ends; the newest counts."""
        link = AskLink(runner, self._deliveries, ticks=self._ticks)
        with self._links.kept(runner.uid, link):
            await link.run(read, write)

    async def ask(self, pod: AgentPod, **message: Any) -> link_pb2.AskUp:
        """Ask the pod's runner one thing: ``look``, ``text`` or ``keys``; return its answer.

        Nobody is asked for leave here. Cancelled, the ask is taken back as far as it can be.

        Raises:
            ToolError: There is no answer, or it says no. The sentence says what may have happened.
        """
        placement = pod.status.placement
        if placement is None:
            raise ToolError("NotRunning", f"pod {pod.metadata.name} has not started yet: wait")
        runner = RunnerKey(pod.metadata.namespace, placement.runner_name, placement.runner_uid)
        ref = link_pb2.PodRef(pod_uid=pod.metadata.uid, epoch=placement.epoch)
        down = link_pb2.AskDown(ref=ref, **message)
        limit = asyncio.timeout(self._answer_seconds)
        try:
            async with limit:
                up = await self._answered(runner, down)
        except TimeoutError:
            said = f"runner {runner.name} did not answer within {self._answer_seconds:g} s"
            raise ToolError("Unavailable", f"{said}: {_how_to_go_on(down)}") from None
        return _checked(pod, down, up)

    async def _answered(self, runner: RunnerKey, down: link_pb2.AskDown) -> link_pb2.AskUp:
        """Return the answer; ask again once where that changes nothing."""
        try:
            return await (await self._link(runner)).ask(down)
        except BrokenError as broken:
            if broken.sent and not _repeatable(down):
                raise _broken(runner, down) from None
        except FullError:
            raise _full(runner) from None
        try:
            return await (await self._link(runner)).ask(down)
        except BrokenError as broken:
            raise (_broken(runner, down) if broken.sent else _away(runner)) from None
        except FullError:
            raise _full(runner) from None

    async def _link(self, runner: RunnerKey) -> AskLink:
        """Return the runner's stream; wait a moment for one that is just coming back."""
        link = await self._links.get(runner.uid, self._link_wait_seconds)
        if link is None:
            raise _away(runner)
        return link


def _checked(pod: AgentPod, down: link_pb2.AskDown, up: link_pb2.AskUp) -> link_pb2.AskUp:
    """Return the answer if it is one to this ask and no refusal."""
    kind = up.WhichOneof("msg")
    if kind == "failed":
        reason = _REASONS.get(up.failed.reason, "Failed")
        name = pod.metadata.name
        said = redact(up.failed.message, 500) or "its runner does not say why"
        raise ToolError(reason, f"the terminal of pod {name}: {said}")
    if kind != ("looked" if _repeatable(down) else "done"):
        raise ToolError("Failed", "the runner gave no answer to what it was asked: update it")
    return up


def _repeatable(down: link_pb2.AskDown) -> bool:
    return bool(down.WhichOneof("msg") == "look")


def _how_to_go_on(down: link_pb2.AskDown) -> str:
    if _repeatable(down):
        return "try again"
    return "it may or may not have been typed: look before you repeat it"


def _broken(runner: RunnerKey, down: link_pb2.AskDown) -> ToolError:
    said = f"the connection to runner {runner.name} broke before it answered"
    return ToolError("Unavailable", f"{said}: {_how_to_go_on(down)}")


def _away(runner: RunnerKey) -> ToolError:
    said = f"runner {runner.name} is not connected: its agents go on, try again later"
    return ToolError("Unavailable", said)


def _full(runner: RunnerKey) -> ToolError:
    said = f"too many calls wait for runner {runner.name}: nothing was done, try again in a moment"
    return ToolError("Unavailable", said)
