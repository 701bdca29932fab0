"""RunnerTools over real mutual TLS: whose calls are taken, which stream counts, what comes back."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from meshwire.v1 import link_pb2, link_pb2_grpc

from controller.rpc.ports import RunnerKey
from controller.tools.call import Caller
from controller.tools.terminal import Terminal
from schemas.agentpod import AgentPod
from schemas.names import AGENT_POD, RUNNER
from schemas.tools.base import Result
from schemas.tools.channel import UpdateChannelDocument
from schemas.tools.terminal import Pressed, SendTerminalKey
from tests.unit.controller.rpc.world import ORG, Holder, World, ends, hello, read, world
from tests.unit.controller.services.runner_end import pod_manifest

pytestmark = pytest.mark.anyio

Code = grpc.StatusCode
KEYS = {"pod_key": "fix", "keys": ["enter"]}


@pytest.fixture
async def mesh() -> AsyncIterator[World]:
    async with world() as found:
        found.tools.handler = echo
        yield found


async def echo(caller: Caller, arguments: SendTerminalKey) -> Result:
    return Pressed(pod_key=caller.name, keys=len(arguments.keys))


def place(mesh: World, name: str, holder: Holder, **values: Any) -> AgentPod:
    """Let the store have a pod that is placed on the holder's runner."""
    manifest = pod_manifest(name, runner=holder.runner, **values)
    mesh.tools.store.apply(AGENT_POD.kind, manifest)
    return AgentPod.model_validate(manifest)


async def tools(mesh: World, holder: Holder | None) -> Any:
    return link_pb2_grpc.RunnerToolsStub(await mesh.runner_port(holder))


def request(
    pod: AgentPod, arguments: Any = KEYS, tool: str = "send_terminal_key", epoch: int = 1
) -> link_pb2.ToolCall:
    ref = link_pb2.PodRef(pod_uid=pod.metadata.uid, epoch=epoch)
    return link_pb2.ToolCall(caller=ref, tool=tool, arguments=json.dumps(arguments).encode())


@contextlib.asynccontextmanager
async def stream(mesh: World, holder: Holder, instance: str = "i-1") -> AsyncIterator[Any]:
    """Open a stream of asks and say hello."""
    call = (await tools(mesh, holder)).Serve()
    await call.write(link_pb2.AskUp(hello=link_pb2.TerminalHello(instance_id=instance)))
    try:
        yield call
    finally:
        call.cancel()


async def got(call: Any, kind: str) -> link_pb2.AskDown:
    message: link_pb2.AskDown = await read(call)
    assert message.WhichOneof("msg") == kind, message
    return message


async def test_a_call_is_carried_out_for_the_pod_that_the_certificate_may_speak_for(
    mesh: World,
) -> None:
    holder = await mesh.runner()
    result = await (await tools(mesh, holder)).Call(request(place(mesh, "fix", holder)), timeout=5)
    assert json.loads(result.structured) == {"pod_key": "fix", "keys": 1}


async def test_no_other_runner_speaks_for_a_pod_whatever_its_message_says(mesh: World) -> None:
    owner, other = await mesh.runner("laptop"), await mesh.runner("other")
    stranger = await mesh.runner("laptop2", "globex")
    pod = place(mesh, "fix", owner)
    for holder in (other, stranger):
        result = await (await tools(mesh, holder)).Call(request(pod), timeout=5)
        assert result.failure.reason == "Forbidden"
    result = await (await tools(mesh, owner)).Call(request(pod, epoch=2), timeout=5)
    assert result.failure.reason == "Forbidden"
    place(mesh, "fix", owner, phase="Succeeded", version=2)
    result = await (await tools(mesh, owner)).Call(request(pod), timeout=5)
    assert result.failure.message == "this pod has ended: its tools have ended with it"


async def test_a_failure_of_a_handler_is_an_answer_and_no_status_of_grpc(mesh: World) -> None:
    async def broken(caller: Caller, arguments: Any) -> Result:  # noqa: ARG001 - a handler's
        raise RuntimeError

    holder = await mesh.runner()
    mesh.tools.handler = broken
    result = await (await tools(mesh, holder)).Call(request(place(mesh, "fix", holder)), timeout=5)
    assert result.failure.reason == "Failed"


async def test_a_document_of_a_mebibyte_goes_through_however_it_is_escaped(mesh: World) -> None:
    async def measured(caller: Caller, arguments: UpdateChannelDocument) -> Result:
        return Pressed(pod_key=caller.name, keys=len(arguments.document))

    holder = await mesh.runner()
    mesh.tools.handler = measured
    pod = place(mesh, "fix", holder)
    document = "\n" * (1 << 20)
    call = request(pod, {"channel_id": "c", "document": document}, "update_channel_document")
    result = await (await tools(mesh, holder)).Call(call, timeout=10)
    assert json.loads(result.structured)["keys"] == 1 << 20


async def test_slow_calls_hold_up_nobody(mesh: World) -> None:
    waiting, release = asyncio.Semaphore(0), asyncio.Event()

    async def slow(caller: Caller, arguments: SendTerminalKey) -> Result:
        if arguments.pod_key == "slow":
            waiting.release()
            await release.wait()
        return await echo(caller, arguments)

    holder = await mesh.runner()
    mesh.tools.handler = slow
    pod, stub = place(mesh, "fix", holder), await tools(mesh, holder)
    async with asyncio.TaskGroup() as tasks:
        stuck = [
            tasks.create_task(_called(stub, request(pod, KEYS | {"pod_key": "slow"})))
            for _ in range(100)
        ]
        for _ in stuck:
            await waiting.acquire()
        assert (await stub.Call(request(pod), timeout=5)).structured
        release.set()
    assert all(task.result().structured for task in stuck)


async def _called(stub: Any, call: link_pb2.ToolCall) -> link_pb2.ToolResult:
    result: link_pb2.ToolResult = await stub.Call(call, timeout=20)
    return result


async def test_a_call_that_is_cancelled_ends_at_the_controller_and_at_the_other_runner(
    mesh: World,
) -> None:
    caller, target = await mesh.runner("laptop"), await mesh.runner("other")
    pod = place(mesh, "fix", caller)
    far = place(mesh, "far", target)
    ended = asyncio.Event()

    async def looking(who: Caller, arguments: Any) -> Result:  # noqa: ARG001 - a handler's
        try:
            await mesh.tools.asks.ask(far, look=link_pb2.Look(lines=1))
        finally:
            ended.set()
        raise AssertionError

    mesh.tools.handler = looking
    async with stream(mesh, target) as asked:
        call = (await tools(mesh, caller)).Call(request(pod))
        look = await got(asked, "look")
        call.cancel()
        assert (await got(asked, "cancel")).number == look.number
        async with asyncio.timeout(5):
            await ended.wait()


@pytest.mark.parametrize("where", ["laptop", "other"])
async def test_the_own_runner_and_another_one_are_asked_in_the_same_way(
    mesh: World, where: str
) -> None:
    runners = {name: await mesh.runner(name) for name in ("laptop", "other")}
    pod = place(mesh, "fix", runners["laptop"])
    target = pod if where == "laptop" else place(mesh, "far", runners["other"])
    terminal = Terminal(_Permitting(target), mesh.tools.asks)  # type: ignore[arg-type]
    mesh.tools.handler = terminal.handlers()["send_terminal_key"]
    stub = await tools(mesh, runners["laptop"])
    call = request(pod, {"pod_key": target.metadata.name, "keys": ["up", "enter"]})
    async with stream(mesh, runners[where]) as asked:
        calling = stub.Call(call, timeout=5)
        down = await got(asked, "keys")
        assert list(down.keys.keys) == ["up", "enter"]
        await asked.write(link_pb2.AskUp(number=down.number, done=link_pb2.Done()))
        assert json.loads((await calling).structured)["keys"] == 2
        calling = stub.Call(call, timeout=5)
        down = await got(asked, "keys")
        failed = link_pb2.AskFailed(reason="UnknownKey", message="there is no key up")
        await asked.write(link_pb2.AskUp(number=down.number, failed=failed))
        assert (await calling).failure.reason == "InvalidArgument"
    refused = (await stub.Call(call, timeout=10)).failure
    assert refused.reason == "Unavailable"
    assert f"runner {where} is not connected" in refused.message


class _Permitting:
    """Lets everybody use one pod's terminal: what the authoriser decides has its own tests."""

    def __init__(self, pod: AgentPod) -> None:
        self._pod = pod

    def target(self, *_: Any) -> AgentPod:
        return self._pod


async def test_the_newest_stream_of_a_runner_counts_and_the_older_one_is_ended(
    mesh: World,
) -> None:
    holder = await mesh.runner()
    pod = place(mesh, "fix", holder)
    async with stream(mesh, holder) as old, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(mesh.tools.asks.ask(pod, look=link_pb2.Look(lines=1)))
        await got(old, "look")
        async with stream(mesh, holder) as new:
            look = await got(new, "look")
            looked = link_pb2.Looked(output="here")
            await new.write(link_pb2.AskUp(number=look.number, looked=looked))
            assert (await asked).looked.output == "here"
            assert (await ends(old))[0] == Code.OK


async def test_a_stream_that_does_not_begin_with_hello_is_refused(mesh: World) -> None:
    call = (await tools(mesh, await mesh.runner())).Serve()
    await call.write(link_pb2.AskUp(number=1, done=link_pb2.Done()))
    assert (await ends(call))[0] == Code.INVALID_ARGUMENT


async def test_another_instance_than_the_one_in_session_may_not_serve(mesh: World) -> None:
    holder = await mesh.runner()
    connect = (await mesh.control(holder)).Connect()
    await connect.write(hello("i-1"))
    await read(connect)
    async with stream(mesh, holder, instance="i-2") as call:
        assert (await ends(call))[0] == Code.FAILED_PRECONDITION
    connect.cancel()


async def test_deliveries_go_down_and_their_ends_are_settled(mesh: World) -> None:
    holder = await mesh.runner()
    place(mesh, "fix", holder)
    mesh.tools.deliveries.add(1)
    async with stream(mesh, holder) as call:
        down = await got(call, "deliver")
        report = link_pb2.DeliveryReport(
            ref=down.ref, id=down.deliver.id, state=link_pb2.DELIVERY_SUBMITTED
        )
        await call.write(link_pb2.AskUp(delivery=report))
        assert (await got(call, "settled")).settled.id == "d1"


async def test_a_runner_that_is_banned_loses_its_stream_and_its_pods_tools(mesh: World) -> None:
    holder = await mesh.runner()
    pod, stub = place(mesh, "fix", holder), await tools(mesh, holder)
    async with stream(mesh, holder) as call:
        await _ban(mesh, holder.runner)
        assert (await ends(call))[0] == Code.PERMISSION_DENIED
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Call(request(pod), timeout=5)
    assert refused.value.code() == Code.PERMISSION_DENIED


async def _ban(mesh: World, runner: RunnerKey) -> None:
    await mesh.kube.patch(RUNNER, ORG, runner.name, {"spec": {"suspend": True}})
