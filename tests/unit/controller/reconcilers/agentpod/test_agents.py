"""A pod goes to a runner that has its agent's program, and waits until there is one."""

from typing import Any

import pytest
from meshwire.v1 import link_pb2

pytestmark = pytest.mark.anyio


@pytest.fixture
async def lone(mesh: Any) -> Any:
    """Return the only runner; it looks for agents and has found nothing yet."""
    await mesh.organization()
    await mesh.agent_class()
    runner = await mesh.runner()
    await mesh.settle()
    _connect(mesh, runner)
    return runner


def _connect(mesh: Any, runner: Any) -> None:
    info = link_pb2.RunnerInfo(version="1", isolations=["bubblewrap"])
    hello = link_pb2.Hello(info=info, protocol_max=1, features=["agents"])
    mesh.fleet.connected(runner.key, hello)
    runner.connected = True


def _answers(mesh: Any, runner: Any, **answer: str) -> None:
    asked = mesh.fleet.catalogue().agents
    found = [link_pb2.AgentFound(looked_for=each, **answer) for each in asked]
    mesh.fleet.found(runner.key, link_pb2.AgentsFound(agents=found))


def _scheduled(mesh: Any) -> tuple[str, str, str]:
    said = mesh.condition("Scheduled")
    return said["status"], said["reason"], said["message"]


async def test_the_pod_waits_until_its_program_is_found(mesh: Any, lone: Any) -> None:
    assert [each.name for each in mesh.fleet.catalogue().agents] == ["greeter"]
    await mesh.pod()
    await mesh.settle()
    assert _scheduled(mesh)[:2] == ("False", "AgentNotLookedFor")
    _answers(mesh, lone, problem="it was not found (searched /bin)")
    await mesh.settle()
    assert _scheduled(mesh) == (
        "False",
        "AgentNotFound",
        (
            "0 of 1 runner fits: 1 does not have the agent's program; "
            "r1 says: it was not found (searched /bin)"
        ),
    )
    assert not lone.starts
    _answers(mesh, lone, path="/bin/agent")
    await mesh.settle()
    assert _scheduled(mesh)[0] == "True"
    assert len(lone.starts) == 1


async def test_a_runner_that_connects_again_is_not_given_what_it_does_not_have(
    mesh: Any, lone: Any
) -> None:
    _answers(mesh, lone, problem="it was not found (searched /bin)")
    await mesh.pod()
    await mesh.settle()
    mesh.fleet.disconnected(lone.key)
    _connect(mesh, lone)
    await mesh.settle()
    assert _scheduled(mesh)[1] == "AgentNotFound"
    assert not lone.starts
