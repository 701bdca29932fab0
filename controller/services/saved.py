"""Finds on which runner the work of a pod is kept: the pod, and its placement, may be long gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from meshwire.v1 import link_pb2

from controller.rpc.ports import PodPlace, RunnerKey
from controller.rpc.splice import RawOutput
from controller.services.terminals import TerminalLink, Terminals, View

ANSWER_SECONDS: Final = 30.0
"""A runner that does not say by then whether it has the work is passed over."""

_NOT_KEPT: Final = "NotKept"


@dataclass(frozen=True, slots=True)
class Work:
    """A runner's answer that it has the work, and the view over which it comes."""

    found: link_pb2.WorkFound
    runner: RunnerKey
    view: View


@dataclass(frozen=True, slots=True)
class Nothing:
    """No runner that is connected has it."""

    asked: int
    """So many runners were asked."""
    message: str
    """What one of them has to say nevertheless; empty if nothing."""


class SavedWork:
    """Asks the connected runners of a namespace."""

    def __init__(self, terminals: Terminals, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._terminals = terminals
        self._answer_seconds = answer_seconds

    @asynccontextmanager
    async def find(self, request: link_pb2.RestoreRequest) -> AsyncIterator[Work | Nothing]:
        """Give the latest work that is kept under this name or uid; its view ends with the block.

        Raises:
            Refusal: A runner has too many views.
        """
        views: list[tuple[TerminalLink, View]] = []
        try:
            views.extend(
                (link, link.open(_place(link.runner, request), _order(request)))
                for link in await self._terminals.links(request.namespace)
            )
            yield await self._best(views)
        finally:
            for link, view in views:
                link.forget(view)

    async def _best(self, views: list[tuple[TerminalLink, View]]) -> Work | Nothing:
        async with asyncio.TaskGroup() as asking:
            tasks = [asking.create_task(self._answer(link, view)) for link, view in views]
        answers = [task.result() for task in tasks]
        works = [answer for answer in answers if isinstance(answer, Work)]
        if works:
            return max(works, key=lambda work: work.found.saved_unix_ms)
        said = [answer for answer in answers if isinstance(answer, str) and answer]
        return Nothing(len(views), said[0] if said else "")

    async def _answer(self, link: TerminalLink, view: View) -> Work | str:
        """Return the work, or what the runner says instead; empty if it just has nothing."""
        try:
            async with asyncio.timeout(self._answer_seconds):
                up = await view.next()
        except TimeoutError:
            return f"runner {link.runner.name} does not answer"
        if isinstance(up, link_pb2.ViewEnded):
            return "" if up.reason == _NOT_KEPT else up.message
        if isinstance(up, RawOutput) or up.WhichOneof("msg") != "work":
            return ""
        return Work(up.work, link.runner, view)


def _order(request: link_pb2.RestoreRequest) -> link_pb2.RestoreWork:
    return link_pb2.RestoreWork(
        pod_uid=_uid(request.pod),
        namespace=request.namespace,
        pod=request.pod,
        have=request.have,
    )


def _uid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        return ""


def _place(runner: RunnerKey, request: link_pb2.RestoreRequest) -> PodPlace:
    """Return a place for views of a pod that may be nowhere any more."""
    return PodPlace(f"kept {request.pod}", request.namespace, request.pod, runner, 0)
