"""A tool call from an agent to its answer: same runner, another runner, a bare SDK server.

The way is: the SDK's client (as an agent has it), the pod's socket, its runner, the controller,
which authorises, the target's runner and its terminal, and back. The floor is the SDK's own server
with one tool that answers the same text. Then 200 pods poll each other's terminals once a second,
alone and while a pod prints without end to a viewer.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from bench.mesh import PROGRAM, Mesh, mesh, pod, shell_class
from bench.processes import cpu_seconds, environment, parents
from bench.report import Row, percentile
from bench.second import NAME as SECOND
from bench.second import second_runner

CALLS: Final = 400
WARM_UP: Final = 50
POLLERS: Final = int(os.environ.get("BENCH_POLLERS", "200"))
POLL_SECONDS: Final = 20.0
_LINES: Final = "; ".join(f"echo line {number} of the target" for number in range(60))

_PRINT: Final = "while :; do yes all work and no play | head -n 100000; sleep 0.1; done"
"""Up to 22 MB a second: without a pause it would fill the disk."""

FLOOR: Final = '''
import sys
from mcp.server.mcpserver import MCPServer
server = MCPServer("floor")

@server.tool()
async def observe_terminal(pod_key: str) -> dict[str, str]:
    """Answer about as much as a terminal shows."""
    return {"pod_key": pod_key, "output": "line 42 of the target\\n" * 50}

server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]), stateless_http=True,
           json_response=True)
'''


@dataclass(frozen=True, slots=True)
class Door:
    """Where a pod's agent finds its tools."""

    url: str
    token: str


@dataclass(frozen=True, slots=True)
class Load:
    """What a time of polling cost."""

    seconds: list[float]
    """Of each call."""
    runner: float
    """Processors that the runner used."""
    controller: float
    failed: int


def measure() -> list[Row]:
    """Return latencies and loads."""
    with (
        tempfile.TemporaryDirectory() as text,
        mesh(max_pods=POLLERS + 10) as running,
        second_runner(running, Path(text)),
    ):
        rows = _latencies(running)
        return rows + _polling(running)


def _latencies(running: Mesh) -> list[Row]:
    running.apply(shell_class("talker", f"{_LINES}; exec sleep 100000"))
    running.apply(
        *(_placed(name, "talker", where) for name, where in _PLACES),
        *(_binding("caller", name) for name in ("near", "far")),
    )
    _ready(running, *(name for name, _ in _PLACES))
    door = _door(running, "caller")
    took = asyncio.run(_called(door, {"pod_key": "near"}, {"pod_key": "far"}))
    with _floor() as floor:
        (bare,) = asyncio.run(_called(floor, {"pod_key": "near"}))
    near, far = took
    return [
        Row("tool call, p50", "ms", _ms(near, 50), "bare SDK server", _ms(bare, 50), "≤ 10"),
        Row("tool call, p99", "ms", _ms(near, 99), "bare SDK server", _ms(bare, 99)),
        Row("across runners, p50", "ms", _ms(far, 50), "bare SDK server", _ms(bare, 50), "≤ 15"),
        Row("across runners, p99", "ms", _ms(far, 99), "bare SDK server", _ms(bare, 99)),
    ]


_PLACES: Final = (("caller", "local"), ("near", "local"), ("far", SECOND))


async def _called(door: Door, *arguments: dict[str, Any]) -> list[list[float]]:
    """Return how long calls took, for each of the arguments, called in turns."""
    headers = {"Authorization": f"Bearer {door.token}"}
    took: list[list[float]] = [[] for _ in arguments]
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(door.url, http_client=http)) as client,
    ):
        await client.list_tools()
        for number in range(WARM_UP + CALLS):
            for each, times in zip(arguments, took, strict=True):
                began = time.perf_counter()
                result = await client.call_tool("observe_terminal", each)
                if number >= WARM_UP:
                    times.append(time.perf_counter() - began)
                if result.is_error:
                    raise RuntimeError(f"the call failed: {result.content}")
    return took


def _polling(running: Mesh) -> list[Row]:
    names = [f"poller-{number}" for number in range(POLLERS)]
    for at in range(0, POLLERS, 20):
        part = names[at : at + 20]
        running.apply(*(_placed(name, "talker", "local") for name in part))
        _ready(running, *part)
    after = [*names[1:], names[0]]
    running.apply(*(_binding(*pair) for pair in zip(names, after, strict=True)))
    doors = [_door(running, name) for name in names]
    processes = {p["name"]: p["pid"] for p in running.status()["processes"]}
    alone = asyncio.run(_poll(doors, after, processes))
    with _printing(running):
        beside = asyncio.run(_poll(doors, after, processes))
    return [*_told("polling", alone, ""), *_told("polling beside bulk output", beside, "")]


def _told(what: str, load: Load, goal: str) -> list[Row]:
    note = f"{len(load.seconds)} calls of {POLLERS} pods, {load.failed} failed"
    p50, p99 = _ms(load.seconds, 50), _ms(load.seconds, 99)
    return [
        Row(f"{what}, p50", "ms", p50, "-", 0, goal, note),
        Row(f"{what}, p99", "ms", p99, "-", 0),
        Row(f"{what}: CPU of the runner", "cores", load.runner, "-", 0),
        Row(f"{what}: CPU of the controller", "cores", load.controller, "-", 0),
    ]


class Line:
    """A pod's connection, by hand: the measuring side shall cost little."""

    def __init__(self, door: Door, target: str) -> None:
        self._host, _, self._port = door.url.split("/")[2].partition(":")
        params = {"name": "observe_terminal", "arguments": {"pod_key": target}}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        body = json.dumps(call).encode()
        head = (
            f"POST /mcp HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Authorization: Bearer {door.token}\r\nContent-Type: application/json\r\n"
            "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._request = head.encode() + body

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(self._host, int(self._port))

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    async def call(self) -> bool:
        """Call the tool; return whether it worked."""
        self._writer.write(self._request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        body = await self._reader.readexactly(length)
        return b" 200 " in head.split(b"\r\n", 1)[0] and b'"isError":true' not in body


async def _poll(doors: list[Door], targets: list[str], processes: dict[str, int]) -> Load:
    """Let every pod look at its target once a second."""
    took: list[float] = []
    failed = 0
    end = time.monotonic() + POLL_SECONDS + 2

    async def poll(line: Line, delay: float) -> None:
        nonlocal failed
        await line.open()
        await asyncio.sleep(delay)
        while time.monotonic() < end:
            began = time.perf_counter()
            failed += not await line.call()
            spent = time.perf_counter() - began
            took.append(spent)
            await asyncio.sleep(max(0.0, 1 - spent))
        line.close()

    async with asyncio.TaskGroup() as tasks:
        for number, pair in enumerate(zip(doors, targets, strict=True)):
            tasks.create_task(poll(Line(*pair), number / len(doors)))
        await asyncio.sleep(2)
        took.clear()
        before = {name: cpu_seconds(processes[name]) for name in ("runner", "controller")}
        began = time.monotonic()
        await asyncio.sleep(POLL_SECONDS - 1)
        spent = time.monotonic() - began
        used = {name: cpu_seconds(processes[name]) - before[name] for name in before}
        seen = list(took)
    return Load(seen, used["runner"] / spent, used["controller"] / spent, failed)


@contextlib.contextmanager
def _printing(running: Mesh) -> Iterator[None]:
    """Have a pod print without end, and somebody look."""
    running.apply(shell_class("printer", _PRINT))
    running.apply(_placed("printer", "printer", "local"))
    _ready(running, "printer")
    argv = [PROGRAM, "logs", "printer", "-n", "default", "-f"]
    argv += ["--kubeconfig", str(running.kubeconfig)]
    viewer = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        viewer.send_signal(signal.SIGTERM)
        viewer.wait(20)
        running.kubectl("delete", "agentpod", "printer", "-n", "default", "--timeout=60s")


@contextlib.contextmanager
def _floor() -> Iterator[Door]:
    """Serve one tool with the SDK and nothing else."""
    port = "19876"
    server = subprocess.Popen(
        [sys.executable, "-c", FLOOR, port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx2.TransportError):
                httpx2.get(f"http://127.0.0.1:{port}/", timeout=1)
                break
            time.sleep(0.1)
        yield Door(f"http://127.0.0.1:{port}/mcp", "none")
    finally:
        server.terminate()
        server.wait(20)


def _door(running: Mesh, name: str) -> Door:
    """Return the pod's door, as its agent's environment says it: below a sandbox that has none."""
    (run,) = running.runs(name)
    below, found = parents(), [run["child_pid"]]
    for pid in found:
        lines = environment(pid).split("\0")
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        if "AGENTSMESH_MCP_URL" in values:
            return Door(values["AGENTSMESH_MCP_URL"], values["AGENTSMESH_MCP_TOKEN"])
        found += [child for child, parent in below.items() if parent == pid]
    raise RuntimeError(f"nothing in {name} has an address of tools")


def _placed(name: str, agent: str, runner: str) -> dict[str, Any]:
    manifest = pod(name, agent, repository=False)
    manifest["spec"]["runnerName"] = runner
    return manifest


def _binding(initiator: str, target: str) -> dict[str, Any]:
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "PodBinding",
        "metadata": {"name": f"{initiator}-{target}", "namespace": "default"},
        "spec": {"initiator": initiator, "target": target, "scopes": ["terminal:read"]},
    }


def _ready(running: Mesh, *names: str) -> None:
    pods = [f"agentpod/{name}" for name in names]
    running.kubectl("wait", "-n", "default", *pods, "--for=condition=Ready", "--timeout=120s")


def _ms(seconds: list[float], percent: float) -> float:
    return percentile(seconds, percent) * 1000
