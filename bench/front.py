"""Tool calls at the runner's end alone: what the MCP server adds, and 200 pods that poll.

The controller answers at once, so that only the front is measured. ``python -m bench.front ours``
is the runner, in a process of its own; against it stands the SDK's own application on uvicorn.
"""

import asyncio
import contextlib
import hashlib
import json
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from meshwire.v1 import link_pb2

from bench.report import Row, percentile

PODS = 200
CALLS = 1000
POLL_SECONDS = 10.0
IDLE_SECONDS = 5.0
CREDENTIAL = "of every pod here"
RESULT: dict[str, Any] = {
    "pod_key": "other",
    "output": "a line as an agent prints it\n" * 50,
    "cursor_x": 0,
    "cursor_y": 0,
    "total_lines": 50,
    "has_more": False,
}
LEGACY, MODERN = "2025-11-25", "2026-07-28"


# --- the runner ----------------------------------------------------------------------------------


class _Controller:
    async def call(self, request: link_pb2.ToolCall, timeout_seconds: float) -> link_pb2.ToolResult:
        assert request.tool
        assert timeout_seconds > 0
        return link_pb2.ToolResult(structured=json.dumps(RESULT).encode())

    async def tools_listed(self, uid: str) -> None:
        assert uid

    def hook(self, uid: str, body: Mapping[str, Any]) -> None:
        """Take what an agent's hook says: nothing, here."""


async def _serve_ours(ports: list[int]) -> None:
    from runner.converge.places import Places
    from runner.converge.reports import Reports
    from runner.converge.states import Row as Pod
    from runner.converge.states import State
    from runner.drivers.terminal_values import McpSocket
    from runner.mcpserver.ports import Limits
    from runner.mcpserver.server import McpServer

    places = Places(Path(tempfile.gettempdir()))
    held: dict[Path, socket.socket] = {}
    rows: dict[str, Pod] = {}
    digest = hashlib.sha256(CREDENTIAL.encode()).hexdigest()
    for number in range(PODS):
        uid = f"pod-{number}"
        held[places.run(uid, 1, 0)] = listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        ports.append(listener.getsockname()[1])
        rows[uid] = Pod(uid, 1, "bench", uid, State.RUNNING)

    class Shims:
        async def mcp(self, run_dir: Path) -> McpSocket:
            address, port = held[run_dir].getsockname()
            return McpSocket(held[run_dir].dup(), address, port, digest)

    controller = _Controller()
    unpaced = Limits(requests_per_second=1e6)
    server = McpServer(
        lambda: rows, Reports(), places, Shims(), controller, controller, "bench", unpaced
    )
    await server.run()


async def _serve_sdk(ports: list[int]) -> None:
    import uvicorn
    from mcp.server.lowlevel.server import Server
    from mcp_types import CallToolResult, TextContent

    from runner.mcpserver.tools import offered

    async def call(_context: Any, _params: Any) -> CallToolResult:
        text = json.dumps(RESULT)
        content = [TextContent(type="text", text=text)]
        return CallToolResult(content=[*content], structured_content=json.loads(text))

    schemas = {tool.name: tool.input_schema for tool in offered()}
    sdk: Server[Any] = Server("sdk", on_call_tool=call, get_tool_input_schema=schemas.get)
    app = sdk.streamable_http_app(json_response=True, stateless_http=True)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else 40 ms a call
    ports.append(listener.getsockname()[1])
    config = uvicorn.Config(app, http="h11", log_config=None, access_log=False)
    await uvicorn.Server(config).serve([listener])


async def _serve(which: str) -> None:
    """Serve until standard input ends; say how late the loop is whenever asked."""
    ports: list[int] = []
    late: list[float] = []
    loop = asyncio.get_running_loop()

    async def beat() -> None:
        while True:
            due = loop.time() + 0.05
            await asyncio.sleep(0.05)
            late.append(loop.time() - due)

    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(_serve_ours(ports) if which == "ours" else _serve_sdk(ports))
        await asyncio.sleep(0.1)
        print(json.dumps(ports), flush=True)
        beating: asyncio.Task[None] | None = None
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if line == "beat":
                late.clear()
                beating = tasks.create_task(beat())
            elif beating is not None:
                beating.cancel()
                print(percentile(late, 99), flush=True)
        serving.cancel()


# --- agents --------------------------------------------------------------------------------------


@dataclass
class _Server:
    """The other process."""

    process: asyncio.subprocess.Process
    ports: list[int]

    def cpu_seconds(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss / 1e6)

    def begin_beating(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"beat\n")

    async def late_ms(self) -> float:
        """End the beating; return by how much it was late, p99."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"late\n")
        return float(await self.process.stdout.readline()) * 1000


@contextlib.asynccontextmanager
async def _started(which: str) -> AsyncIterator[_Server]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.front", which, stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield _Server(process, json.loads(await process.stdout.readline()))
    finally:
        process.kill()
        await process.wait()


class _Agent:
    """One connection that calls a tool again and again."""

    def __init__(self, port: int, version: str = LEGACY) -> None:
        params: dict[str, Any] = {
            "name": "observe_terminal",
            "arguments": {"pod_key": "other", "lines": 50},
        }
        headers = {
            "host": f"127.0.0.1:{port}",
            "authorization": f"Bearer {CREDENTIAL}",
            "accept": "application/json, text/event-stream",
            "content-type": "application/json",
            "mcp-protocol-version": version,
        }
        if version == MODERN:
            headers |= {"mcp-method": "tools/call", "mcp-name": "observe_terminal"}
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": version,
                "io.modelcontextprotocol/clientCapabilities": {},
            }
        said = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        body = json.dumps(said).encode()
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(["POST /mcp HTTP/1.1", *lines, f"content-length: {len(body)}", "", ""])
        self._port = port
        self._request = head.encode() + body

    async def open(self) -> "_Agent":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def call(self) -> float:
        """Call once; return how many milliseconds it took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await self._reader.readexactly(size)
        took = (loop.time() - began) * 1000
        if b'"isError":false' not in body:
            raise RuntimeError(f"a call failed: {body[:200]!r}")
        return took

    def close(self) -> None:
        self._writer.close()


@dataclass(frozen=True)
class _Figures:
    p50: float
    p99: float
    cpu: float
    """Milliseconds a call, or percent of a processor."""


async def _alone(server: _Server, version: str) -> _Figures:
    agent = await _Agent(server.ports[0], version).open()
    for _ in range(100):
        await agent.call()
    before = server.cpu_seconds()
    took = [await agent.call() for _ in range(CALLS)]
    cpu = (server.cpu_seconds() - before) / CALLS * 1000
    agent.close()
    return _Figures(percentile(took, 50), percentile(took, 99), cpu)


async def _polling(agents: list[_Agent], server: _Server) -> tuple[_Figures, float]:
    """Have each agent call once a second; return that and how late the server's loop is."""
    took: list[float] = []
    loop = asyncio.get_running_loop()

    async def poll(agent: _Agent, offset_seconds: float) -> None:
        await asyncio.sleep(offset_seconds)
        end = loop.time() + POLL_SECONDS
        while loop.time() < end:
            due = loop.time() + 1.0
            took.append(await agent.call())
            await asyncio.sleep(max(0.0, due - loop.time()))

    server.begin_beating()
    before, began = server.cpu_seconds(), loop.time()
    async with asyncio.TaskGroup() as tasks:
        for number, agent in enumerate(agents):
            tasks.create_task(poll(agent, number / len(agents)))
    cpu = (server.cpu_seconds() - before) / (loop.time() - began) * 100
    return _Figures(percentile(took, 50), percentile(took, 99), cpu), await server.late_ms()


async def _measured() -> list[Row]:
    eras = (LEGACY, MODERN)
    async with _started("sdk") as server:
        theirs = {era: await _alone(server, era) for era in eras}
        their_memory = server.memory_mb()
    async with _started("ours") as server:
        ours = {era: await _alone(server, era) for era in eras}
        agents = [await _Agent(port).open() for port in server.ports]
        for agent in agents:
            await agent.call()
        polled, late = await _polling(agents, server)
        before = server.cpu_seconds()
        await asyncio.sleep(IDLE_SECONDS)
        idle = (server.cpu_seconds() - before) / IDLE_SECONDS * 100
        memory = server.memory_mb()
        for agent in agents:
            agent.close()
    rows, sdk, often = [], "the SDK alone", f"front, {PODS} pods call once a second"
    for era in eras:
        mine, other = ours[era], theirs[era]
        rows += [
            Row(f"front, tool call, {era}, p50", "ms", mine.p50, sdk, other.p50),
            Row(f"front, tool call, {era}, p99", "ms", mine.p99, sdk, other.p99),
            Row(f"front, tool call, {era}, CPU", "ms", mine.cpu, sdk, other.cpu, "3 ms"),
        ]
    return [
        *rows,
        Row(f"{often}, p50", "ms", polled.p50, "-", 0.0),
        Row(f"{often}, p99", "ms", polled.p99, "-", 0.0),
        Row(f"{often}, CPU", "%", polled.cpu, "-", 0.0),
        Row(f"{often}, loop late p99", "ms", late, "-", 0.0),
        Row(f"front, {PODS} connected pods that do nothing, CPU", "%", idle, "-", 0.0, "0 %"),
        Row(f"front, memory with {PODS} pods", "MB", memory, sdk, their_memory),
    ]


def measure() -> list[Row]:
    """Return the rows of this benchmark."""
    return asyncio.run(_measured())


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
