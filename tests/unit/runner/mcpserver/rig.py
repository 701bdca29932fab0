"""An MCP server over pods whose sockets, tokens and journal are the test's, and a plain client."""

import asyncio
import dataclasses
import hashlib
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from meshwire.v1 import link_pb2

from runner.converge.places import Places
from runner.converge.reports import Reports, observed
from runner.converge.states import Row, State
from runner.drivers.terminal_values import McpSocket, NotOffered, NotRunning
from runner.mcpserver.ports import Limits
from runner.mcpserver.server import McpServer
from runner.shim.listening import BACKLOG

Answering = Callable[[link_pb2.ToolCall], Awaitable[link_pb2.ToolResult]]

SEEN: dict[str, Any] = {
    "pod_key": "other",
    "output": "größe\n",
    "cursor_x": 0,
    "cursor_y": 1,
    "total_lines": 1,
    "has_more": False,
}


def structured(value: object) -> link_pb2.ToolResult:
    """Return a result that the controller might give."""
    return link_pb2.ToolResult(structured=json.dumps(value).encode())


async def see(_: link_pb2.ToolCall) -> link_pb2.ToolResult:
    """Answer like observe_terminal."""
    return structured(SEEN)


class Controller:
    """What calls arrive at: keeps them, and answers as the test says."""

    def __init__(self) -> None:
        self.answer: Answering = see
        self.calls: list[link_pb2.ToolCall] = []
        self.timeouts: list[float] = []
        self.under_way = 0
        self.most = 0
        self.cancelled = 0

    async def call(self, request: link_pb2.ToolCall, timeout_seconds: float) -> link_pb2.ToolResult:
        self.calls.append(request)
        self.timeouts.append(timeout_seconds)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await self.answer(request)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1


class Shims:
    """The sockets of runs, as their shims hold them."""

    def __init__(self) -> None:
        self.held: dict[Path, tuple[socket.socket, str]] = {}
        self.without: set[Path] = set()
        self.asked = 0

    async def mcp(self, run_dir: Path) -> McpSocket:
        self.asked += 1
        if run_dir in self.without:
            raise NotOffered("it was started without an MCP server")
        if run_dir not in self.held:
            raise NotRunning("no shim answers")
        listener, sha256 = self.held[run_dir]
        address, port = listener.getsockname()
        return McpSocket(listener.dup(), address, port, sha256)


class Readiness:
    """Hears which agents have asked for their tools."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.hooks: list[tuple[str, dict[str, Any]]] = []

    async def tools_listed(self, uid: str) -> None:
        self.heard.append(uid)

    def hook(self, uid: str, body: Mapping[str, Any]) -> None:
        self.hooks.append((uid, dict(body)))


@dataclass
class Pod:
    """A pod, as its agent knows it."""

    uid: str
    port: int
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Rig:
    """The server and what is around it."""

    places: Places
    limits: Limits = field(default_factory=Limits)
    rows: dict[str, Row] = field(default_factory=dict)
    reports: Reports = field(default_factory=Reports)
    controller: Controller = field(default_factory=Controller)
    shims: Shims = field(default_factory=Shims)
    readiness: Readiness = field(default_factory=Readiness)

    def server(self) -> McpServer:
        """Return a server over the same pods: a new one takes over where another ended."""
        return McpServer(
            lambda: self.rows,
            self.reports,
            self.places,
            self.shims,
            self.controller,
            self.readiness,
            "1.2.3",
            self.limits,
        )

    def pod(
        self, uid: str, state: State = State.RUNNING, restart: int = 0, hooks: str = "claude"
    ) -> Pod:
        """Begin a run; its socket listens from now on."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        listener.setblocking(False)
        token = f"token-of-{uid}-{restart}"
        digest = hashlib.sha256(token.encode()).hexdigest()
        self.shims.held[self.places.run(uid, 7, restart)] = (listener, digest)
        desired = link_pb2.PodDesired()
        desired.spec.activity.hooks = hooks
        said = desired.SerializeToString()
        self.put(Row(uid, 7, "team", uid, state, restart=restart, desired=said))
        return Pod(uid, listener.getsockname()[1], token)

    def put(self, row: Row) -> None:
        """Journal a row."""
        self.rows[row.uid] = row
        self.reports.put(observed(row))

    def move(self, uid: str, state: State) -> None:
        """Have the pod go on to another state."""
        self.put(dataclasses.replace(self.rows[uid], state=state))

    def close(self) -> None:
        """End the shims."""
        for listener, _ in self.shims.held.values():
            listener.close()


class Wire:
    """A connection to a pod's server that sends what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, port: int) -> "Wire":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Answer:
        async with asyncio.timeout(20):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (each.partition(":") for each in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(first.split()[1]), headers, body)

    async def ended(self) -> None:
        """Wait until the server has closed the connection."""
        async with asyncio.timeout(20):
            with suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def request(
    pod: Pod,
    body: bytes = b"",
    method: str = "POST",
    path: str = "/mcp",
    **headers: str | None,
) -> bytes:
    """Return a request as an agent sends it; a header that is None is left out."""
    fields: dict[str, str | None] = {
        "host": f"127.0.0.1:{pod.port}",
        "authorization": f"Bearer {pod.token}",
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "content-length": str(len(body)),
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def rpc(method: str, number: int | None = 1, **params: Any) -> bytes:
    """Return a JSON-RPC message; without a number it is a notification."""
    said: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(said if number is None else said | {"id": number}).encode()


def tool(name: str = "observe_terminal", number: int = 1, **arguments: Any) -> bytes:
    """Return a call of a tool."""
    return rpc("tools/call", number, name=name, arguments=arguments or {"pod_key": "other"})


async def ask(pod: Pod, body: bytes = b"", **how: Any) -> Answer:
    """Send one request on a connection of its own."""
    wire = await Wire.to(pod.port)
    try:
        wire.send(request(pod, body, **how))
        return await wire.answer()
    finally:
        await wire.close()


async def call(pod: Pod, name: str = "observe_terminal", **arguments: Any) -> dict[str, Any]:
    """Call a tool; return the result."""
    answered = await ask(pod, tool(name, **arguments))
    assert answered.status == 200, answered
    result: dict[str, Any] = answered.json["result"]
    return result


async def client(stack: AsyncExitStack, pod: Pod, mode: str) -> Client:
    """Connect the SDK's own client, as an agent would be configured."""
    headers = {"Authorization": f"Bearer {pod.token}"}
    http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=30))
    transport = streamable_http_client(pod.url, http_client=http)
    return await stack.enter_async_context(Client(transport, mode=mode))


async def until(true: Callable[[], Any], what: str, seconds: float = 20.0) -> None:
    """Poll the world until something holds there."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)
    assert true(), what
