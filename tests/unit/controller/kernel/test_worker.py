"""The kernel reconciles in one order, writes status once, and survives what goes wrong."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from controller.kernel.events import Recorder
from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kernel.reconciler import (
    Patch,
    Plan,
    Reconciler,
    Report,
    Stalled,
    Waiting,
)
from controller.kernel.store import Collection, Store
from controller.kernel.worker import Kernel
from schemas.agentclass import AgentClass, AgentClassStatus
from schemas.conditions import FALSE, READY, TRUE, condition, find
from schemas.names import AGENT_CLASS, ANNOTATION_RECONCILE

pytestmark = pytest.mark.anyio

KEY = Key("AgentClass", "", "a")


@dataclass(frozen=True)
class Snapshot:
    subject: AgentClass


class World:
    """A kernel over an API server in memory, with one class in it."""

    def __init__(self, kube: Any) -> None:
        self.kube = kube
        self.store = Store([Collection(AgentClass)])
        self.queue = WorkQueue(jitter=lambda _, ceiling: min(ceiling, 0.01))
        self.store.listen(AgentClass, lambda _: self.queue.add(KEY))
        self.recorder = Recorder(kube)
        self.passes = 0
        self.plan: Callable[[Any, float], Plan] = lambda *_: Plan()
        self.report: Callable[..., Report] = self.ready

    async def observe(self, _: Key) -> Snapshot | None:
        self.passes += 1
        item = self.store.of(AgentClass).get("", "a")
        return Snapshot(item) if item else None

    def ready(self, _: Any, error: Any, __: float) -> Report:
        status = FALSE if error else TRUE
        reason = error.reason if error else "Ready"
        now = "2027-01-01T00:00:00Z"
        said = condition(READY, status, reason, "", generation=1, now=now)
        return Report(AgentClassStatus(observed_generation=1, conditions=(said,)))

    async def create(self, **metadata: Any) -> None:
        spec = {"executable": "x"}
        manifest = {"metadata": {"name": "a", **metadata}, "spec": spec}
        self.store.apply("AgentClass", await self.kube.create(AGENT_CLASS, "", manifest))

    def reason(self) -> str | None:
        status = AgentClass.model_validate(self.kube.read("AgentClass", "", "a")).status
        ready = find(status.conditions, READY)
        return ready.reason if ready else None

    async def until(self, true: Callable[[], bool]) -> None:
        """Run the kernel until something is true and nothing is left to do."""
        kernel = Kernel(
            kube=self.kube,
            store=self.store,
            queue=self.queue,
            recorder=self.recorder,
            reconcilers=[
                Reconciler(
                    "AgentClass",
                    self.observe,
                    self.plan,
                    self.report,
                )
            ],
        )
        gate = asyncio.Event()
        gate.set()
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(kernel.run(2, gate))
            recording = tasks.create_task(self.recorder.run())
            while not (true() and self.queue.idle):
                await asyncio.sleep(0.002)
            running.cancel()
            await self.recorder.drain(1)
            recording.cancel()


@pytest.fixture
def world(kube: Any) -> World:
    return World(kube)


def status_writes(kube: Any) -> int:
    return len([event for event in kube.writes if event[0] == "MODIFIED"])


async def test_a_status_is_written_once_and_not_again_when_nothing_changes(
    world: Any, kube: Any
) -> None:
    await world.create()
    await world.until(lambda: world.reason() == "Ready")
    for _ in range(5):
        world.queue.add(KEY)
        await world.until(lambda: True)
    assert status_writes(kube) == 1


async def test_a_failure_that_nobody_foresaw_is_tried_again_with_backoff(world: Any) -> None:
    def fails_twice(*_: Any) -> Plan:
        if world.passes <= 2:
            raise RuntimeError("boom")
        return Plan()

    world.plan = fails_twice
    await world.create()
    await world.until(lambda: world.reason() == "Ready")
    assert world.queue.metrics.retries == 2
    assert world.queue.failures(KEY) == 0


async def test_a_failure_that_stays_is_told_in_the_status_without_secrets(
    world: Any, kube: Any
) -> None:
    def fails(*_: Any) -> Plan:
        raise RuntimeError("password=hunter2")

    world.plan = fails
    await world.create()
    await world.until(lambda: world.reason() == "InternalError")
    assert "hunter2" not in str(kube.read("AgentClass", "", "a"))


async def test_an_object_that_fails_does_not_stop_others(world: Any) -> None:
    other = Key("Nobody", "", "x")  # a kind without a reconciler: always an error
    world.queue.add(other)
    await world.create()
    await world.until(lambda: world.reason() == "Ready")
    assert world.queue.failures(other) > 0


async def test_waiting_is_told_and_looked_at_again_after_its_delay(world: Any) -> None:
    def waits_once(*_: Any) -> Plan:
        if world.passes == 1:
            raise Waiting("NotYet", "something else comes first", 0.01)
        return Plan()

    world.plan = waits_once
    await world.create()
    await world.until(lambda: world.reason() == "Ready")
    assert world.passes >= 2


async def test_a_stalled_object_is_told_and_left_alone(world: Any) -> None:
    def stalls(*_: Any) -> Plan:
        raise Stalled("Wrong", "only you can help")

    world.plan = stalls
    await world.create()
    await world.until(lambda: world.reason() == "Wrong")
    passes = world.passes
    await world.until(lambda: True)
    assert world.passes == passes


async def test_a_stale_view_is_refreshed_from_the_api_and_tried_again(
    world: Any, kube: Any
) -> None:
    await world.create()
    await kube.patch(AGENT_CLASS, "", "a", {"metadata": {"labels": {"by": "somebody"}}})
    # the watch has not told us: our version is old, and the write must not go through with it
    await world.until(lambda: world.reason() == "Ready")
    assert world.store.of(AgentClass).get("", "a").metadata.labels == {"by": "somebody"}


async def test_an_object_that_vanished_unseen_is_noticed_on_the_next_write(
    world: Any, kube: Any
) -> None:
    await world.create()
    await kube.delete(AGENT_CLASS, "", "a")
    await world.until(lambda: len(world.store.of(AgentClass)) == 0)


async def test_an_api_server_that_is_away_costs_nothing_but_time(world: Any, kube: Any) -> None:
    await world.create()
    kube.down = True
    await world.until(lambda: world.queue.metrics.retries >= 3)
    kube.down = False
    await world.until(lambda: world.reason() == "Ready")


async def test_an_object_can_be_taken_out_of_our_hands_by_annotation(world: Any) -> None:
    await world.create(annotations={ANNOTATION_RECONCILE: "disabled"})
    await world.until(lambda: world.passes > 0)
    assert world.reason() is None


async def test_the_report_is_held_back_as_long_as_it_asks_for(world: Any) -> None:
    held: list[int] = []

    def hesitates(*given: Any) -> Report:
        report = world.ready(*given)
        if not held:
            held.append(1)
            return Report(report.status, hold_seconds=0.02)
        return report

    world.report = hesitates
    await world.create()
    await world.until(lambda: world.reason() == "Ready")
    assert world.passes >= 2


async def test_a_status_that_never_settles_raises_an_alarm(
    world: Any, kube: Any, caplog: Any
) -> None:
    settled: list[bool] = []

    def restless(snapshot: Any, *given: Any) -> Report:
        if settled:
            return Report(snapshot.subject.status)
        report = world.ready(snapshot, *given)
        stamp = f"pass {world.passes}"
        return Report(report.status.model_copy(update={"last_handled_request_at": stamp}))

    world.report = restless
    await world.create()

    def told() -> bool:
        if any(record.message == "write alarm" for record in caplog.records):
            settled.append(True)
        return bool(settled)

    await world.until(told)
    alarms = [record for record in caplog.records if record.message == "write alarm"]
    assert len(alarms) == 1
    assert alarms[0].levelname == "ERROR"
    assert [o["reason"] for (kind, *_), o in kube.objects.items() if kind == "Event"] == [
        "StatusNotSettling"
    ]


async def test_a_change_of_the_plan_is_carried_out_before_the_status(world: Any, kube: Any) -> None:
    def labels(snapshot: Any, _: float) -> Plan:
        if snapshot.subject.metadata.labels:
            return Plan()
        patch = {"metadata": {"labels": {"ours": "yes"}}}
        return Plan((Patch(AGENT_CLASS, "", "a", patch, why="missing"),), publish=False)

    world.plan = labels
    await world.create()
    await world.until(lambda: world.reason() == "Ready")
    assert [kind for kind, *_ in kube.writes] == ["ADDED", "MODIFIED", "MODIFIED"]
