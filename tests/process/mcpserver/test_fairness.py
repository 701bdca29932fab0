"""Slow calls, many calls and rude agents: what others notice of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from meshwire.v1 import link_pb2

from runner.converge.places import Places
from runner.mcpserver.ports import Limits
from tests.unit.runner.mcpserver.rig import SEEN, Pod, Rig, Wire, ask, request, structured, tool

pytestmark = pytest.mark.anyio

SLOW_SECONDS = 5.0
RUDE = 100.0
"""Requests of a pod in a second: fewer than this machine could serve."""
NOTICED_SECONDS = 4.5
"""A busy machine makes everything late, but not so late; the figures are in bench/."""


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(Places(tmp_path), Limits(requests_per_second=RUDE))
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        yield rig
        serving.cancel()
    rig.close()


class Heart:
    """Beats as the runner's loop lets it."""

    def __init__(self) -> None:
        self.late_seconds: list[float] = []

    async def beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 0.02
            await asyncio.sleep(0.02)
            self.late_seconds.append(loop.time() - due)


def part(values: list[float], share: float) -> float:
    """Return the value below which this share of them lies."""
    return sorted(values)[int(len(values) * share)]


async def polled(pod: Pod, seconds: float, every: float) -> list[float]:
    """Call again and again; return how long each call took."""
    loop, took = asyncio.get_running_loop(), []
    wire = await Wire.to(pod.port)
    wire.send(request(pod, tool()))
    await wire.answer()  # its door is open
    await asyncio.sleep(every * (hash(pod.uid) % 97) / 97)  # not all at the same moment
    end = loop.time() + seconds
    while loop.time() < end:
        began = loop.time()
        wire.send(request(pod, tool()))
        assert (await wire.answer()).json["result"]["structuredContent"] == SEEN
        took.append(loop.time() - began)
        await asyncio.sleep(every)
    await wire.close()
    return took


async def test_slow_calls_of_one_pod_delay_nobody_else(mesh: Rig) -> None:
    slow = mesh.pod("slow")

    async def answer(sent: link_pb2.ToolCall) -> link_pb2.ToolResult:
        if sent.caller.pod_uid == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        return structured(SEEN)

    mesh.controller.answer = answer
    heart, loop = Heart(), asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(heart.beat())
        await polled(mesh.pod("first"), 0.1, 0.0)  # everything is loaded
        heart.late_seconds.clear()
        began = loop.time()
        wires = [await Wire.to(slow.port) for _ in range(32)]
        for number, wire in enumerate(wires):
            wire.send(request(slow, tool(number=number)))
        others = [
            tasks.create_task(polled(mesh.pod(f"pod-{number}"), SLOW_SECONDS - 0.5, 0.1))
            for number in range(8)
        ]
        took = [each for other in others for each in await other]
        assert loop.time() - began < SLOW_SECONDS
        assert mesh.controller.under_way == 16
        for wire in wires[:16]:
            assert (await wire.answer()).status == 200
        for wire in wires:
            await wire.close()
        beating.cancel()
    print(f"other calls p50 {part(took, 0.5) * 1e3:.1f} p99 {part(took, 0.99) * 1e3:.1f} ms;")
    print(f"heart late p99 {part(heart.late_seconds, 0.99) * 1e3:.1f} ms")
    assert part(took, 0.99) < NOTICED_SECONDS
    assert part(heart.late_seconds, 0.99) < NOTICED_SECONDS


async def test_an_agent_that_asks_without_end_does_not_take_the_loop(mesh: Rig) -> None:
    """64 connections that send as fast as they can are slowed down to what one pod may have."""
    rude, polite, loop = mesh.pod("rude"), mesh.pod("polite"), asyncio.get_running_loop()
    answered = 0

    async def flood(wire: Wire) -> None:
        nonlocal answered
        while True:
            wire.send(request(rude, tool()))
            await wire.answer()
            answered += 1

    heart = Heart()
    async with asyncio.TaskGroup() as tasks:
        await polled(polite, 0.1, 0.0)
        beating = tasks.create_task(heart.beat())
        wires = [await Wire.to(rude.port) for _ in range(64)]
        floods = [tasks.create_task(flood(wire)) for wire in wires]
        began = loop.time()
        await polled(polite, 1.5, 0.05)  # what passes at once has passed
        before, heart.late_seconds = answered, []
        took = await polled(polite, 2.0, 0.02)
        rate = (answered - before) / 2.0
        for each in floods:
            each.cancel()
        beating.cancel()
    for wire in wires:
        await wire.close()
    print(f"{rate:.0f}/s of the rude one in {loop.time() - began:.1f} s;")
    print(f"polite p50 {part(took, 0.5) * 1e3:.1f} p99 {part(took, 0.99) * 1e3:.1f} ms")
    assert rate < 1.15 * RUDE
    assert part(took, 0.99) < NOTICED_SECONDS
    assert part(heart.late_seconds, 0.99) < NOTICED_SECONDS


async def test_strangers_at_a_pods_socket_do_not_shut_its_agent_out(mesh: Rig) -> None:
    """Whoever shares the machine's network can reach it: some send nothing, some no token."""
    pod = mesh.pod("a-pod")
    stranger = Pod("", pod.port, "wrong")

    async def flood() -> None:
        while True:
            assert (await ask(stranger, tool())).status == 403

    async with asyncio.TaskGroup() as tasks:
        await polled(pod, 0.1, 0.0)
        silent = [await Wire.to(pod.port) for _ in range(40)]
        floods = [tasks.create_task(flood()) for _ in range(20)]
        heart = Heart()
        beating = tasks.create_task(heart.beat())
        took = await polled(pod, 2.0, 0.05)
        for each in (*floods, beating):
            each.cancel()
    for wire in silent:
        await wire.close()
    print(f"its own calls p50 {part(took, 0.5) * 1e3:.1f} p99 {part(took, 0.99) * 1e3:.1f} ms")
    assert part(took, 0.99) < NOTICED_SECONDS
    assert part(heart.late_seconds, 0.99) < NOTICED_SECONDS


async def test_a_large_call_does_not_hold_up_others_for_long(mesh: Rig) -> None:
    large, small = mesh.pod("large"), mesh.pod("small")
    document = "\\n".join("x" * 79 for _ in range(12_000))
    body = tool("update_channel_document", channel_id="c", document=document)
    assert len(body) > 900_000
    heart = Heart()
    async with asyncio.TaskGroup() as tasks:
        await polled(small, 0.1, 0.0)
        beating = tasks.create_task(heart.beat())
        wire = await Wire.to(large.port)
        for _ in range(10):
            wire.send(request(large, body))
            assert (await wire.answer()).status == 200
        await wire.close()
        beating.cancel()
    sent = json.loads(mesh.controller.calls[-1].arguments)
    assert sent["document"] == document
    print(f"heart late at most {max(heart.late_seconds) * 1e3:.0f} ms")
    assert max(heart.late_seconds) < NOTICED_SECONDS
