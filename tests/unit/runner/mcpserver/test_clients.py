"""The SDK's own client, in both eras of the protocol."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from schemas.tools.catalogue import CATALOGUE
from tests.unit.runner.mcpserver.rig import SEEN, Rig, client, structured, until

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize(
    ("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")]
)


@MODES
async def test_a_client_finds_and_calls_the_tools(mesh: Rig, mode: str, version: str) -> None:
    async with AsyncExitStack() as stack:
        agent = await client(stack, mesh.pod("a-pod"), mode)
        assert agent.protocol_version == version
        assert agent.server_info is not None
        assert (agent.server_info.name, agent.server_info.version) == ("agentsmesh", "1.2.3")
        assert [each.name for each in (await agent.list_tools()).tools] == list(CATALOGUE)
        found = await agent.call_tool("observe_terminal", {"pod_key": "other"})
        assert (found.is_error, found.structured_content) == (False, SEEN)
        refused = await agent.call_tool("observe_terminal", {})
        assert refused.is_error


@MODES
async def test_what_goes_with_a_refusal_passes_the_clients_own_checks(
    mesh: Rig, mode: str, version: str
) -> None:
    failure = link_pb2.ToolFailure(reason="Conflict", message="No.", structured=b'{"revision": 4}')

    async def refuse(_: link_pb2.ToolCall) -> link_pb2.ToolResult:
        return link_pb2.ToolResult(failure=failure)

    mesh.controller.answer = refuse
    async with AsyncExitStack() as stack:
        agent = await client(stack, mesh.pod("a-pod"), mode)
        assert agent.protocol_version == version
        await agent.list_tools()
        found = await agent.call_tool(
            "update_channel_document", {"channel_id": "c", "document": ""}
        )
        assert (found.is_error, found.structured_content) == (True, {"revision": 4})


@MODES
async def test_a_client_that_gives_up_a_call_goes_on(mesh: Rig, mode: str, version: str) -> None:
    async with AsyncExitStack() as stack:
        agent = await client(stack, mesh.pod("a-pod"), mode)
        assert agent.protocol_version == version
        answered_before = mesh.controller.answer
        mesh.controller.answer = lambda _: asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks:
            calling = tasks.create_task(agent.call_tool("observe_terminal", {"pod_key": "x"}))
            await until(lambda: mesh.controller.under_way, "it is under way")
            calling.cancel()
        mesh.controller.answer = answered_before
        found = await agent.call_tool("observe_terminal", {"pod_key": "other"})
        assert found.structured_content == SEEN


@MODES
async def test_calls_of_one_client_run_side_by_side(mesh: Rig, mode: str, version: str) -> None:
    together = asyncio.Barrier(8)

    async def answer(_: link_pb2.ToolCall) -> link_pb2.ToolResult:
        await together.wait()
        return structured(SEEN)

    mesh.controller.answer = answer
    arguments: dict[str, Any] = {"pod_key": "other"}
    async with AsyncExitStack() as stack:
        agent = await client(stack, mesh.pod("a-pod"), mode)
        assert agent.protocol_version == version
        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(agent.call_tool("observe_terminal", arguments))
    assert mesh.controller.most == 8
