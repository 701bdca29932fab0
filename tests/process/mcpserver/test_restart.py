"""Agents and their MCP servers when the runner is killed, stopped and started under them."""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from meshwire.v1 import link_pb2

from tests.process.mcpserver.conftest import Agents, Tools
from tests.process.runner.daemon.conftest import Controller, Daemon, Pod
from tests.unit.runner.mcpserver.rig import Wire, ask, call, client, request, rpc, tool, until

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])


@MODES
async def test_a_client_lives_through_the_death_of_the_runner(
    daemon: Daemon, agents: Agents, mode: str
) -> None:
    """What it asks while there is no runner waits in the pod's socket for the next one."""
    agent = await agents.start("pod-one")
    async with AsyncExitStack() as stack:
        sdk = await client(stack, agent, mode)
        assert len((await sdk.list_tools()).tools) == 24
        assert not (await sdk.call_tool("list_available_pods", {})).is_error
        for _ in range(2):
            await daemon.kill()
            async with asyncio.TaskGroup() as tasks:
                waiting = [
                    tasks.create_task(sdk.call_tool("list_available_pods", {})) for _ in range(3)
                ]
                await asyncio.sleep(0.5)  # the agent waits for nobody
                assert not any(each.done() for each in waiting)
                await daemon.start()
            assert not any(each.result().is_error for each in waiting)
        assert not (await sdk.call_tool("list_available_pods", {})).is_error


async def test_a_call_that_the_runner_died_with_ends_and_the_next_one_works(
    daemon: Daemon, agents: Agents, tools: Tools
) -> None:
    """Plain HTTP: the SDK's own client gives up altogether when an answer is cut off."""
    agent = await agents.start("pod-one")
    wire = await Wire.to(agent.port)
    wire.send(request(agent, tool("list_runners", none=None)))
    await until(lambda: tools.calls, "the call is under way")
    await daemon.kill()
    await wire.ended()
    await until(lambda: tools.cancelled, "the controller is told")
    await daemon.start()
    await wire.close()
    assert not (await call(agent, "list_available_pods", none=None))["isError"]


async def test_a_runner_that_is_stopped_lets_calls_end(
    daemon: Daemon, agents: Agents, tools: Tools
) -> None:
    agent = await agents.start("pod-one")
    async with asyncio.TaskGroup() as tasks:
        calling = tasks.create_task(call(agent, "list_runners", lines=None))
        await until(lambda: tools.calls, "the call is under way")
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGTERM)
        await until(lambda: "takes no more requests" in daemon.log.read_text(), "it is closing")
        tools.hold.set()
        assert (await calling)["isError"] is False
        assert await daemon.ended() == 0


async def test_the_controller_learns_who_calls_and_who_is_ready(
    controller: Controller, daemon: Daemon, agents: Agents, tools: Tools
) -> None:
    one, other = await agents.start("pod-one"), await agents.start("pod-two")
    assert one.port != other.port
    await ask(other, rpc("tools/list"))
    await call(one, "list_available_pods", ticket=None)
    assert [(each.caller.pod_uid, each.caller.epoch) for each in tools.calls] == [("pod-one", 1)]
    await controller.until(lambda: controller.observed["pod-two"].tools_listed_unix_ms)
    assert not controller.observed["pod-one"].tools_listed_unix_ms
    assert (await ask(one, tool(), authorization=f"Bearer {other.token}")).status == 403
    for secret in (one.token, other.token):
        assert secret not in daemon.log.read_text()
        assert not any(secret.encode() in each for each in _journal(daemon))


def _journal(daemon: Daemon) -> list[bytes]:
    return [path.read_bytes() for path in daemon.data.glob("journal.db*")]


async def test_an_ended_pods_server_is_gone_and_others_stay(agents: Agents) -> None:
    one, other = await agents.start("pod-one"), await agents.start("pod-two")
    assert not (await call(one, "list_available_pods", none=None))["isError"]
    await agents.end("pod-one")
    with pytest.raises(ConnectionError):
        await ask(one, tool())
    assert (await ask(other, tool(), authorization=f"Bearer {one.token}")).status == 403
    assert not (await call(other, "list_available_pods", none=None))["isError"]


INSIDE = """
host=${AGENTSMESH_MCP_URL#http://}; host=${host%/mcp}
exec 3<>"/dev/tcp/${host%:*}/${host#*:}"
body='{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_available_pods"}}'
printf 'POST /mcp HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n' "$host" >&3
printf 'Authorization: Bearer %s\\r\\n' "$AGENTSMESH_MCP_TOKEN" >&3
printf 'Accept: application/json, text/event-stream\\r\\nContent-Type: application/json\\r\\n' >&3
printf 'Content-Length: %d\\r\\n\\r\\n%s' "${#body}" "$body" >&3
echo "at $host"; cat <&3; echo; echo done; read -r x
"""


async def test_an_agent_in_a_sandbox_without_a_network_calls_its_tools(
    controller: Controller, daemon: Daemon, tools: Tools
) -> None:
    def inside(pod: link_pb2.PodDesired) -> None:
        pod.spec.executable = "bash"
        pod.spec.sandbox.isolation = "required"
        pod.spec.sandbox.network = "none"

    await controller.want(Pod("pod-in", INSIDE, more=inside))
    await controller.until_state("pod-in", link_pb2.RUNNING)
    await until(lambda: b"done\r\n" in _transcript(daemon, "pod-in"), "it has its answer")
    said = _transcript(daemon, "pod-in")
    assert b"at 127.0.0.1:19000" in said
    assert b"HTTP/1.1 200" in said
    assert b'"isError":false' in said
    assert [each.caller.pod_uid for each in tools.calls] == ["pod-in"]


def _transcript(daemon: Daemon, uid: str) -> bytes:
    folder = daemon.data / "pods" / uid / "transcript"
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return b"".join(path.read_bytes() for path in files)
