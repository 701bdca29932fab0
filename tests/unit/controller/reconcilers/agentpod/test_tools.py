"""A pod says whether its agent has asked for its tools."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
async def mesh(mesh: Any) -> Any:
    await mesh.organization()
    await mesh.agent_class(mcp={"format": "claude"})
    await mesh.agent_class("toolless")
    (await mesh.runner()).connect()
    await mesh.settle()
    return mesh


async def test_an_agent_that_lists_its_tools_is_seen_to(mesh: Any) -> None:
    await mesh.pod()
    await mesh.settle()
    waits = mesh.condition("ToolsListed")
    assert (waits["status"], waits["reason"]) == ("False", "Waiting")
    mesh.runners["r1"].tools_listed_ms = 1_800_000_003_500
    await mesh.settle()
    listed = mesh.condition("ToolsListed")
    assert (listed["status"], listed["reason"]) == ("True", "ToolsListed")
    assert listed["message"] == "the agent listed its tools at 2027-01-15T08:00:03Z"


async def test_what_was_listed_stays_listed(mesh: Any) -> None:
    uid = await mesh.pod()
    mesh.runners["r1"].tools_listed_ms = 1_800_000_003_500
    await mesh.settle()
    mesh.runners["r1"].tools_listed_ms = 0
    mesh.runners["r1"].end(uid)
    await mesh.settle()
    assert mesh.status()["phase"] == "Succeeded"
    assert mesh.condition("ToolsListed")["status"] == "True"


async def test_an_agent_that_ended_before_does_not_wait_any_more(mesh: Any) -> None:
    uid = await mesh.pod()
    await mesh.settle()
    mesh.runners["r1"].end(uid)
    await mesh.settle()
    said = mesh.condition("ToolsListed")
    assert (said["status"], said["reason"]) == ("False", "NotListed")


async def test_nothing_is_said_of_agents_that_are_not_told_of_tools(mesh: Any) -> None:
    await mesh.pod(agentClassName="toolless")
    await mesh.settle()
    assert mesh.status()["phase"] == "Running"
    assert mesh.condition("ToolsListed") is None
