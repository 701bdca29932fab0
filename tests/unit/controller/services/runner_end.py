"""The runner's end of a stream of asks, on queues; deliveries in memory; placed pods."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import grpc
from meshwire.v1 import link_pb2

from controller.rpc.ports import RunnerKey
from controller.rpc.signals import Signals, Subscription
from controller.services.asks import Asks
from controller.tools.call import ToolError
from schemas.agentpod import AgentPod
from schemas.names import API_VERSION

ORG = "acme"
RUNNER = RunnerKey(ORG, "r1", "uid-r1")
OTHER = RunnerKey(ORG, "r2", "uid-r2")


def pod_manifest(
    name: str = "fix", *, runner: RunnerKey | None = RUNNER, epoch: int = 1, **values: Any
) -> dict[str, Any]:
    """Return an AgentPod that runs on the runner; *values* go into spec and status by name."""
    status: dict[str, Any] = {"phase": values.pop("phase", "Running")}
    if runner is not None:
        status["placement"] = {
            "runnerName": runner.name,
            "runnerUID": runner.uid,
            "epoch": epoch,
            "placedAt": "2027-01-15T08:00:00Z",
        }
    metadata = {
        "name": name,
        "namespace": values.pop("namespace", ORG),
        "uid": values.pop("uid", f"uid-{name}"),
        "resourceVersion": str(values.pop("version", 1)),
        "creationTimestamp": values.pop("created", "2027-01-15T08:00:00Z"),
        "annotations": values.pop("annotations", {}),
        "generation": 1,
    }
    if values.pop("deleting", False):
        metadata |= {"deletionTimestamp": "2027-01-15T09:00:00Z", "finalizers": ["x/y"]}
    return {
        "apiVersion": API_VERSION,
        "kind": "AgentPod",
        "metadata": metadata,
        "spec": {"agentClassName": "stub", **values},
        "status": status,
    }


def pod(name: str = "fix", **values: Any) -> AgentPod:
    return AgentPod.model_validate(pod_manifest(name, **values))


@dataclass
class MemoryDeliveries:
    """Deliveries by runner, and what was reported of them."""

    wanted: list[link_pb2.AskDown] = field(default_factory=list)
    reports: list[link_pb2.DeliveryReport] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    """Raised by the next reports, one each."""
    signals: Signals[str] = field(default_factory=Signals)

    def add(self, number: int, to: str = "uid-fix", text: str = "hi", epoch: int = 1) -> None:
        self.wanted.append(
            link_pb2.AskDown(
                ref=link_pb2.PodRef(pod_uid=to, epoch=epoch),
                deliver=link_pb2.Deliver(id=f"d{number}", text=text),
            )
        )
        self.signals.notify(RUNNER.uid)

    def open(self, runner: RunnerKey) -> Sequence[link_pb2.AskDown]:  # noqa: ARG002 - the port's
        return list(self.wanted)

    def changes(self, runner: RunnerKey) -> AbstractContextManager[Subscription]:
        return self.signals.subscribe(runner.uid)

    async def reported(self, runner: RunnerKey, report: link_pb2.DeliveryReport) -> bool:  # noqa: ARG002
        if self.failures:
            raise self.failures.pop(0)
        self.reports.append(report)
        ended = report.state in {link_pb2.DELIVERY_SUBMITTED, link_pb2.DELIVERY_FAILED}
        if ended:
            self.wanted = [one for one in self.wanted if one.deliver.id != report.id]
            self.signals.notify(runner.uid)
        return ended


@dataclass
class RunnerEnd:
    """One stream, as the runner has it."""

    incoming: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    outgoing: asyncio.Queue[link_pb2.AskDown] = field(default_factory=asyncio.Queue)
    flows: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, the runner's connection takes nothing."""

    def __post_init__(self) -> None:
        self.flows.set()

    async def read(self) -> Any:
        return await self.incoming.get()

    async def write(self, message: link_pb2.AskDown) -> None:
        await self.flows.wait()
        self.outgoing.put_nowait(message)

    async def got(self, kind: str) -> link_pb2.AskDown:
        """Return the next message, which is of that kind."""
        async with asyncio.timeout(5):
            message = await self.outgoing.get()
        assert message.WhichOneof("msg") == kind, message
        return message

    def answer(self, number: int, **message: Any) -> None:
        self.incoming.put_nowait(link_pb2.AskUp(number=number, **message))

    def report(self, down: link_pb2.AskDown, state: link_pb2.DeliveryState) -> None:
        report = link_pb2.DeliveryReport(ref=down.ref, id=down.deliver.id, state=state)
        self.incoming.put_nowait(link_pb2.AskUp(delivery=report))

    def hang_up(self) -> None:
        self.incoming.put_nowait(grpc.aio.EOF)


@contextlib.asynccontextmanager
async def connected(asks: Asks, runner: RunnerKey = RUNNER) -> AsyncIterator[RunnerEnd]:
    """Serve a stream of the runner for as long as the block runs."""
    end = RunnerEnd()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(asks.serve(runner, end.read, end.write))
        await asyncio.sleep(0)
        try:
            yield end
        finally:
            serving.cancel()


async def refusal(awaitable: Any) -> tuple[str, str]:
    """Return reason and message of the ToolError that is raised."""
    try:
        await awaitable
    except ToolError as error:
        return error.reason, error.message
    raise AssertionError("the call was not refused")
