import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from runner.link.asks import AskStream
from runner.link.lanes import LOOKS_AT_ONCE, PER_POD_AT_ONCE, Lanes

pytestmark = pytest.mark.anyio


class Wire:
    """A stream whose other end reads when a test lets it."""

    def __init__(self) -> None:
        self.down: asyncio.Queue[link_pb2.AskDown] = asyncio.Queue()
        self.up: list[link_pb2.AskUp] = []
        self.flows = asyncio.Event()
        self.flows.set()

    async def __aiter__(self) -> AsyncIterator[link_pb2.AskDown]:
        while True:
            yield await self.down.get()

    async def write(self, message: link_pb2.AskUp) -> None:
        await self.flows.wait()
        self.up.append(message)

    def cancel(self) -> None:
        self.flows.set()


class Asks:
    async def answer(self, ask: link_pb2.AskDown) -> link_pb2.AskUp:
        return link_pb2.AskUp(looked=link_pb2.Looked(output="x" * ask.look.lines))


class NoDeliveries:
    def subscribe(self, wake: Any) -> "NoDeliveries":  # noqa: ARG002  the Protocol's
        return self

    def take(self) -> list[link_pb2.DeliveryReport]:
        return []

    def close(self) -> None:
        return None


async def until(true: Any) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


async def test_small_answers_overtake_large_ones() -> None:
    wire, hello = Wire(), link_pb2.TerminalHello(instance_id="i")
    async with asyncio.TaskGroup() as tasks:
        stream = AskStream(wire, hello, Asks(), NoDeliveries(), Lanes(), tasks)  # type: ignore[arg-type]  # delivers nothing
        running = tasks.create_task(stream.run(lambda: None))
        await until(lambda: wire.up)
        wire.flows.clear()
        for number, size in enumerate((100_000, 200_000, 300_000, 5, 6), start=1):
            ref = link_pb2.PodRef(pod_uid=f"pod-{number}")
            ask = link_pb2.AskDown(number=number, ref=ref, look=link_pb2.Look(lines=size))
            wire.down.put_nowait(ask)
        await until(lambda: stream._put == 5)
        assert not stream.quiet.is_set()
        wire.flows.set()
        await asyncio.wait_for(stream.quiet.wait(), 5)
        order = [each.number for each in wire.up[1:]]
        assert [number for number in order if number > 1] == [4, 5, 2, 3]  # 1 may be on its way
        assert sorted(order) == [1, 2, 3, 4, 5]
        running.cancel()


async def test_looks_are_limited_over_all_pods_and_inputs_are_not() -> None:
    lanes, go = Lanes(), asyncio.Event()
    inside: dict[tuple[str, bool], int] = {}

    async def enter(uid: str, *, look: bool) -> None:
        async with lanes.enter(uid, look=look):
            inside[uid, look] = inside.get((uid, look), 0) + 1
            await go.wait()

    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            for _ in range(PER_POD_AT_ONCE + 4):
                for look in (True, False):
                    tasks.create_task(enter(f"pod-{number}", look=look))
        for _ in range(5):
            await asyncio.sleep(0)
        looks = [count for (_, look), count in inside.items() if look]
        inputs = [count for (_, look), count in inside.items() if not look]
        assert (sum(looks), max(looks)) == (LOOKS_AT_ONCE, PER_POD_AT_ONCE)
        assert inputs == [PER_POD_AT_ONCE] * 20
        go.set()
    assert sum(inside.values()) == 2 * 20 * (PER_POD_AT_ONCE + 4)
