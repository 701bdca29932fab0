"""A pod's connections: how many, how long, and whose socket it is."""

import asyncio
import dataclasses
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest
from meshwire.v1 import link_pb2

from runner.converge.states import State
from runner.drivers.terminal_values import McpSocket
from runner.mcpserver.ports import Limits
from tests.unit.runner.mcpserver.rig import (
    SEEN,
    Answer,
    Pod,
    Rig,
    Wire,
    ask,
    call,
    request,
    structured,
    tool,
    until,
)

pytestmark = pytest.mark.anyio


class Gate:
    """Lets calls end when the test says so."""

    def __init__(self, rig: Rig) -> None:
        self.opened = asyncio.Event()
        rig.controller.answer = self

    async def __call__(self, _: link_pb2.ToolCall) -> link_pb2.ToolResult:
        await self.opened.wait()
        return structured(SEEN)


def established(pod: Pod) -> int:
    """Return how many connections to the pod's port this process has accepted."""
    return sum(
        1
        for each in psutil.Process().net_connections("tcp4")
        if each.laddr.port == pod.port and each.status == psutil.CONN_ESTABLISHED
    )


async def test_more_connections_than_allowed_wait_and_are_served(rig: Rig) -> None:
    rig.limits = Limits(connections=8, guests=4, calls=4)
    gate = Gate(rig)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        pod = rig.pod("a-pod")
        calls = [tasks.create_task(ask(pod, tool(number=number))) for number in range(24)]
        await until(lambda: rig.controller.under_way == 4, "the first calls are under way")
        await until(lambda: established(pod) == 12, "no more connections are taken than allowed")
        gate.opened.set()
        for each in calls:
            assert (await each).status == 200
        serving.cancel()


async def test_an_idle_connection_makes_room_for_a_new_one(rig: Rig) -> None:
    rig.limits = Limits(connections=2)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        pod = rig.pod("a-pod")
        first, second = await Wire.to(pod.port), await Wire.to(pod.port)
        for wire in (first, second):
            wire.send(request(pod, tool()))
            await wire.answer()
        assert not (await call(pod))["isError"]
        await first.ended()
        second.send(request(pod, tool()))
        assert (await second.answer()).status == 200
        for wire in (first, second):
            await wire.close()
        serving.cancel()


async def test_connections_that_say_nothing_make_room_only_for_each_other(rig: Rig) -> None:
    """However many they are, and though they are newer: the agent's is left alone."""
    rig.limits = Limits(connections=2, guests=2, head_seconds=60.0)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        pod = rig.pod("a-pod")
        agent = await Wire.to(pod.port)
        agent.send(request(pod, tool()))
        await agent.answer()
        mute = [await Wire.to(pod.port) for _ in range(5)]
        for wire in mute[:3]:
            await wire.ended()
        await until(lambda: established(pod) == 3, "the two newest stay")
        assert not (await call(pod))["isError"]
        await mute[3].ended()
        agent.send(request(pod, tool()))
        assert (await agent.answer()).status == 200
        for wire in (agent, *mute):
            await wire.close()
        serving.cancel()


async def test_a_stranger_that_goes_on_sending_makes_room_at_once(rig: Rig) -> None:
    rig.limits = Limits(guests=1, head_seconds=60.0)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        pod = rig.pod("a-pod")
        stranger = await Wire.to(pod.port)
        stranger.send(request(pod, b"{", authorization=None, content_length="99999999"))
        assert (await stranger.answer()).status == 403
        assert not (await call(pod))["isError"]
        await stranger.ended()
        await stranger.close()
        serving.cancel()


async def test_a_head_in_pieces_is_put_together(mesh: Rig) -> None:
    pod = mesh.pod("a-pod")
    wire = await Wire.to(pod.port)
    for byte in request(pod, tool()):
        wire.send(bytes([byte]))
        await asyncio.sleep(0)
    assert (await wire.answer()).status == 200
    await wire.close()


async def test_an_answer_that_is_being_read_is_not_cut_off_by_the_next_connection(
    rig: Rig,
) -> None:
    """It takes the seat when the answer is out."""
    rig.limits = Limits(connections=1)
    text = "x" * 8_000_000

    async def large(_: link_pb2.ToolCall) -> link_pb2.ToolResult:
        return structured(SEEN | {"output": text})

    rig.controller.answer = large
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        pod = rig.pod("a-pod")
        first = await Wire.to(pod.port)
        first.send(request(pod, tool()))
        await until(lambda: rig.controller.calls, "it has called")
        second = tasks.create_task(call(pod))
        assert (await first.answer()).json["result"]["structuredContent"]["output"] == text
        assert not (await second)["isError"]
        await first.close()
        serving.cancel()


async def test_whoever_sends_no_head_is_dropped(rig: Rig) -> None:
    """At first, and after a request: a byte now and then does not count."""
    rig.limits = Limits(head_seconds=0.2)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        pod = rig.pod("a-pod")
        silent, slow, later = [await Wire.to(pod.port) for _ in range(3)]
        later.send(request(pod, tool()))
        await later.answer()
        later.send(b"POST /mcp")
        slow.send(b"POST ")

        async def drip() -> None:
            while not slow.writer.is_closing():
                slow.send(b"x")
                await asyncio.sleep(0.02)

        dripping = tasks.create_task(drip())
        await silent.ended()
        await slow.ended()
        await later.ended()
        dripping.cancel()
        for wire in (silent, slow, later):
            await wire.close()
        serving.cancel()


async def test_a_slow_answer_is_not_mistaken_for_a_slow_agent(rig: Rig) -> None:
    rig.limits = Limits(head_seconds=0.05)
    gate = Gate(rig)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        calling = tasks.create_task(call(rig.pod("a-pod")))
        await until(lambda: rig.controller.under_way, "the call is under way")
        await asyncio.sleep(0.15)  # it is this time that must pass without harm
        gate.opened.set()
        assert not (await calling)["isError"]
        serving.cancel()


async def test_an_unused_connection_is_closed(rig: Rig) -> None:
    rig.limits = Limits(idle_seconds=0.05)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        pod = rig.pod("a-pod")
        wire = await Wire.to(pod.port)
        wire.send(request(pod, tool()))
        await wire.answer()
        await wire.ended()
        await wire.close()
        serving.cancel()


async def test_an_agent_that_reads_no_answers_is_dropped(rig: Rig) -> None:
    rig.limits = Limits(idle_seconds=0.2)

    async def large(_: link_pb2.ToolCall) -> link_pb2.ToolResult:
        return structured(SEEN | {"output": "x" * 8_000_000})

    rig.controller.answer = large
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        pod = rig.pod("a-pod")
        loop = asyncio.get_running_loop()
        with socket.socket() as deaf:
            deaf.setblocking(False)
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(deaf, ("127.0.0.1", pod.port))
            await loop.sock_sendall(deaf, request(pod, tool()))
            await until(lambda: rig.controller.calls, "it has called")
            await until(lambda: not established(pod), "it is dropped")
        serving.cancel()


async def test_a_pod_that_asks_too_often_is_slowed_down(rig: Rig) -> None:
    rig.limits = Limits(requests_per_second=20)
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        pod = rig.pod("a-pod")
        began = loop.time()
        for _ in range(30):
            assert not (await call(pod))["isError"]
        assert loop.time() - began > 0.4  # 20 pass at once, 10 take half a second
        serving.cancel()


async def test_closing_the_door_leaves_the_shims_socket_open(rig: Rig) -> None:
    """What is sent while nobody accepts waits, and the next runner answers it."""
    pod = rig.pod("a-pod")
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        assert not (await call(pod))["isError"]
        serving.cancel()
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(ask(pod, tool(number=number))) for number in range(3)]
        await until(lambda: backlog(rig) >= 3, "they are in the backlog")
        serving = tasks.create_task(rig.server().run())
        answers: list[Answer] = [await each for each in waiting]
        serving.cancel()
    assert [each.json["id"] for each in answers] == [0, 1, 2]


def backlog(rig: Rig) -> int:
    """Return how many connections wait in the only pod's socket (tcpi_unacked of a listener)."""
    ((listener, _),) = rig.shims.held.values()
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int.from_bytes(info[24:28], "little")


async def test_the_end_of_a_run_ends_its_calls(mesh: Rig) -> None:
    Gate(mesh)
    pod = mesh.pod("a-pod")
    wire = await Wire.to(pod.port)
    wire.send(request(pod, tool()))
    await until(lambda: mesh.controller.under_way, "the call is under way")
    mesh.move("a-pod", State.SUCCEEDED)
    await until(lambda: mesh.controller.cancelled, "the call is cancelled")
    await wire.ended()
    await wire.close()


async def test_a_runner_that_stops_lets_calls_end_and_takes_no_new_ones(rig: Rig) -> None:
    gate = Gate(rig)
    pod = rig.pod("a-pod")
    async with asyncio.TaskGroup() as tasks:
        server = rig.server()
        serving = tasks.create_task(server.run())
        calling = tasks.create_task(call(pod))
        await until(lambda: rig.controller.under_way, "the call is under way")
        closing = tasks.create_task(server.close())
        await asyncio.sleep(0)
        late = tasks.create_task(call(pod))
        await until(lambda: backlog(rig) == 1, "the late one waits")
        assert not closing.done()
        gate.opened.set()
        assert not (await calling)["isError"]
        await closing
        serving.cancel()
        await asyncio.wait([serving])
        assert len(rig.controller.calls) == 1
        serving = tasks.create_task(rig.server().run())
        assert not (await late)["isError"]
        serving.cancel()


async def test_a_restart_of_the_pod_gets_a_door_of_its_own(mesh: Rig) -> None:
    before = mesh.pod("a-pod")
    assert not (await call(before))["isError"]
    mesh.move("a-pod", State.FAILED)
    after = mesh.pod("a-pod", restart=1)
    assert not (await call(after))["isError"]
    mesh.put(dataclasses.replace(mesh.rows["a-pod"], name="renamed"))
    assert not (await call(after))["isError"]


async def test_a_pod_without_a_server_is_asked_once(mesh: Rig) -> None:
    mesh.shims.without.add(mesh.places.run("plain", 7, 0))
    mesh.pod("plain")
    assert not (await call(mesh.pod("a-pod")))["isError"]
    mesh.put(dataclasses.replace(mesh.rows["plain"], name="again"))
    assert not (await call(mesh.pod("another")))["isError"]
    assert mesh.shims.asked == 3


async def test_a_shim_that_does_not_answer_at_first_is_asked_again(mesh: Rig) -> None:
    held: dict[Any, Any] = {}
    pod = mesh.pod("a-pod")
    held, mesh.shims.held = mesh.shims.held, held
    await until(lambda: mesh.shims.asked >= 2, "it was asked again")
    mesh.shims.held = held
    assert not (await call(pod))["isError"]


async def test_a_shim_that_answers_nonsense_is_asked_again(
    mesh: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    fetch = mesh.shims.mcp

    async def nonsense(run_dir: Path) -> McpSocket:
        mesh.shims.mcp = fetch  # type: ignore[method-assign]
        raise ValueError(run_dir)

    mesh.shims.mcp = nonsense  # type: ignore[method-assign]
    assert not (await call(mesh.pod("a-pod")))["isError"]
    assert "the MCP server of a pod failed" in caplog.text


async def test_an_sdk_that_fails_is_begun_anew(rig: Rig) -> None:
    async with asyncio.TaskGroup() as tasks:
        server = rig.server()
        serving = tasks.create_task(server.run())
        pod = rig.pod("a-pod")
        assert not (await call(pod))["isError"]
        assert server._loaded is not None
        manager = (await server._loaded)._manager
        assert manager is not None
        assert manager._task_group is not None
        manager._task_group.start_soon(_fail)
        answers = []
        while not answers or answers[-1].status != 200:
            answers.append(await ask(pod, tool()))
            assert len(answers) < 1000
            await asyncio.sleep(0.01)
        assert {each.status for each in answers} == {200, 503}
        assert {each.headers.get("retry-after") for each in answers} == {None, "1"}
        serving.cancel()


async def _fail() -> None:
    await asyncio.sleep(0)
    raise RuntimeError("a bug of the SDK")


async def test_connections_of_all_pods_leave_descriptors_to_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (32, 32))
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        one, other = rig.pod("pod-one"), rig.pod("pod-two")
        for pod in (one, other):
            await call(pod)  # both are there
        Gate(rig)
        calls = [tasks.create_task(ask(pod, tool())) for pod in (one, other) for _ in range(12)]
        await until(lambda: established(one) == established(other) == 8, "each has its share")
        for each in calls:
            each.cancel()
        serving.cancel()
