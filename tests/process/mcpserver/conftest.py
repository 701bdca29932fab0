"""A real runner with real pods, and a controller that carries out calls as the test says."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from meshwire.v1 import link_pb2, link_pb2_grpc

from tests.process.runner.daemon.conftest import Controller, Daemon, Pod
from tests.unit.runner.mcpserver.rig import Pod as Agent
from tests.unit.runner.mcpserver.rig import until


@dataclass
class Tools(link_pb2_grpc.RunnerToolsServicer):
    """Carries out calls."""

    calls: list[link_pb2.ToolCall] = field(default_factory=list)
    cancelled: int = 0
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    """Calls of list_runners wait for it."""

    async def Call(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self.calls.append(request)
        try:
            if request.tool == "list_runners":
                await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        found = b'{"runners":[]}' if request.tool == "list_runners" else b'{"pods":[]}'
        return link_pb2.ToolResult(structured=found)

    async def Serve(self, request_iterator: Any, context: Any) -> None:  # noqa: N802, ARG002
        async for _ in request_iterator:
            pass


@pytest.fixture
async def controller() -> AsyncIterator[Controller]:
    made = Controller()
    made.tools = tools = Tools()  # type: ignore[attr-defined]
    key, chain = made.authority.server()
    runners, public = grpc.aio.server(), grpc.aio.server()
    link_pb2_grpc.add_RunnerControlServicer_to_server(made, runners)
    link_pb2_grpc.add_RunnerTerminalServicer_to_server(made, runners)
    link_pb2_grpc.add_RunnerToolsServicer_to_server(tools, runners)
    link_pb2_grpc.add_EnrollmentServicer_to_server(made, public)
    mutual = grpc.ssl_server_credentials(
        [(key, chain)], made.authority.root_pem, require_client_auth=True
    )
    made.port = runners.add_secure_port("127.0.0.1:0", mutual)
    made.public_port = public.add_secure_port(
        "127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)])
    )
    await runners.start()
    await public.start()
    yield made
    await runners.stop(0)
    await public.stop(0)


@pytest.fixture
def tools(controller: Controller) -> Tools:
    found: Tools = controller.tools  # type: ignore[attr-defined]
    return found


@pytest.fixture
async def daemon(controller: Controller, tmp_path: Path) -> AsyncIterator[Daemon]:
    made = Daemon(controller, tmp_path)
    made.write_token()
    await made.start()
    yield made
    await made.stop_everything()


class Agents:
    """Starts pods that tell where their MCP server is, as their agent is told."""

    def __init__(self, controller: Controller, directory: Path) -> None:
        self.controller = controller
        self.directory = directory
        self.pods: list[Pod] = []

    async def start(self, uid: str) -> Agent:
        file = self.directory / f"{uid}.env"
        told = f'printf "%s %s\\n" "$AGENTSMESH_MCP_URL" "$AGENTSMESH_MCP_TOKEN" > {file}'
        self.pods.append(Pod(uid, f"{told}; read x"))
        await self.controller.want(*self.pods)
        await self.controller.until_state(uid, link_pb2.RUNNING)
        await until(lambda: file.exists() and file.read_text().endswith("\n"), "it was told")
        url, token = file.read_text().split()
        return Agent(uid, int(url.split(":")[2].removesuffix("/mcp")), token)

    async def end(self, uid: str) -> None:
        for pod in self.pods:
            if pod.uid == uid:
                pod.desired = link_pb2.STOP
        await self.controller.want(*self.pods)
        async with self.controller.changed:
            await self.controller.changed.wait_for(
                lambda: self.controller.observed[uid].state in (link_pb2.SUCCEEDED, link_pb2.FAILED)
            )


@pytest.fixture
def agents(controller: Controller, daemon: Daemon) -> Agents:  # noqa: ARG001  it must run
    return Agents(controller, daemon.directory)
