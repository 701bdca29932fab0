"""Terminal tools: who may, what the runner is asked, what the agent gets."""

import asyncio
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from controller.rpc.ports import RunnerKey
from controller.services.asks import Asks
from controller.tools.terminal import Terminal
from schemas.agentpod import AgentPod
from schemas.names import RUNNER, Scope
from tests.unit.controller.services.runner_end import (
    MemoryDeliveries,
    RunnerEnd,
    connected,
    refusal,
)
from tests.unit.controller.tools.world import ELSEWHERE, ORG, World

pytestmark = pytest.mark.anyio

READ, WRITE = Scope.TERMINAL_READ, Scope.TERMINAL_WRITE
CALLS = [
    pytest.param("observe_terminal", {}, READ, id="observe"),
    pytest.param("send_terminal_text", {"text": "ls"}, WRITE, id="text"),
    pytest.param("send_terminal_key", {"keys": ["enter"]}, WRITE, id="key"),
]


class Stage:
    """A world with asks, and the end of a runner where it is connected."""

    def __init__(self) -> None:
        self.world = World()
        self.asks = Asks(MemoryDeliveries(), link_wait_seconds=0.05)
        self.world.handlers = Terminal(self.world.authoriser, self.asks).handlers()

    async def pods(self) -> tuple[AgentPod, AgentPod]:
        await self.world.runner("r1")
        await self.world.runner("r2")
        return await self.world.pod("lead"), await self.world.pod("child", runner="r2")

    def runner(self, name: str = "r2") -> RunnerKey:
        uid = str(self.world.manifest(RUNNER, name)["metadata"]["uid"])
        return RunnerKey(ORG, name, uid)

    async def grant(self, one: AgentPod, other: AgentPod, *scopes: Scope) -> None:
        bound = await self.world.bindings.request(one, other, scopes)
        if bound.standing.pending:
            await self.world.bindings.accept(other, bound.binding.metadata.name)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def answered(
    end: RunnerEnd, call: Any, kind: str, **answer: Any
) -> tuple[link_pb2.AskDown, Any]:
    """Return what the runner was asked, and the tool's result."""
    async with asyncio.TaskGroup() as tasks:
        calling = tasks.create_task(call)
        down = await end.got(kind)
        end.answer(down.number, **answer)
        return down, await calling


async def test_observing_passes_every_argument_on_and_every_fact_back(stage: Stage) -> None:
    lead, child = await stage.pods()
    await stage.grant(lead, child, READ)
    seen = link_pb2.Looked(
        output="a\nb", screen="$ ", cursor_x=2, cursor_y=1, total_lines=12, has_more=True
    )
    async with connected(stage.asks, stage.runner()) as end:
        asked = {"pod_key": "child", "lines": 2, "raw": True, "include_screen": True}
        call = stage.world.call(lead, "observe_terminal", **asked)
        down, result = await answered(end, call, "look", looked=seen)
        assert down.ref == link_pb2.PodRef(pod_uid=child.metadata.uid, epoch=1)
        assert down.look == link_pb2.Look(lines=2, raw=True, include_screen=True)
        whole = {
            "pod_key": "child",
            "output": "a\nb",
            "screen": "$ ",
            "cursor_x": 2,
            "cursor_y": 1,
            "total_lines": 12,
            "has_more": True,
        }
        assert result == whole
        call = stage.world.call(lead, "observe_terminal", pod_key="child")
        down, result = await answered(end, call, "look", looked=seen)
        assert down.look == link_pb2.Look(lines=50)
        assert result == {key: value for key, value in whole.items() if key != "screen"}


async def test_text_is_typed_byte_for_byte(stage: Stage) -> None:
    lead, child = await stage.pods()
    await stage.grant(lead, child, WRITE)
    text = "é\r\n\t\x03 $(x) 🙂" + "x" * 65_000
    async with connected(stage.asks, stage.runner()) as end:
        call = stage.world.call(lead, "send_terminal_text", pod_key="child", text=text)
        down, result = await answered(end, call, "text", done=link_pb2.Done())
    assert down.text.data == text.encode()
    assert result == {"pod_key": "child", "characters": len(text)}


async def test_keys_go_in_their_order_and_unknown_ones_are_told_by_name(stage: Stage) -> None:
    lead, child = await stage.pods()
    await stage.grant(lead, child, WRITE)
    keys = ["ctrl+c", "up", "enter"]
    async with connected(stage.asks, stage.runner()) as end:
        call = stage.world.call(lead, "send_terminal_key", pod_key="child", keys=keys)
        down, result = await answered(end, call, "keys", done=link_pb2.Done())
        assert list(down.keys.keys) == keys
        assert result == {"pod_key": "child", "keys": 3}
        call = stage.world.call(lead, "send_terminal_key", pod_key="child", keys=["hyper+q"])
        failed = link_pb2.AskFailed(reason="UnknownKey", message="there is no key hyper+q")
        _, told = await answered(end, refusal(call), "keys", failed=failed)
    assert told[0] == "InvalidArgument"
    assert "hyper+q" in told[1]


@pytest.mark.parametrize(("tool", "arguments", "scope"), CALLS)
async def test_unbound_is_refused_before_any_runner_is_asked(
    stage: Stage, tool: str, arguments: Any, scope: Scope
) -> None:
    lead, _ = await stage.pods()
    async with connected(stage.asks, stage.runner()) as end:
        reason, message = await refusal(stage.world.call(lead, tool, pod_key="child", **arguments))
        assert end.outgoing.empty()
    assert reason == "Forbidden"
    assert scope in message
    assert "bind_pod" in message


@pytest.mark.parametrize(("tool", "arguments", "scope"), CALLS)
async def test_a_binding_for_the_other_scope_is_not_enough(
    stage: Stage, tool: str, arguments: Any, scope: Scope
) -> None:
    lead, child = await stage.pods()
    await stage.grant(lead, child, WRITE if scope == READ else READ)
    assert (await refusal(stage.world.call(lead, tool, pod_key="child", **arguments)))[
        0
    ] == "Forbidden"


@pytest.mark.parametrize(("tool", "arguments", "scope"), CALLS)
async def test_a_binding_holds_in_its_own_direction_only(
    stage: Stage, tool: str, arguments: Any, scope: Scope
) -> None:
    lead, child = await stage.pods()
    await stage.grant(lead, child, scope)
    refused = await refusal(stage.world.call(child, tool, pod_key="lead", **arguments))
    assert refused[0] == "Forbidden"


@pytest.mark.parametrize(("tool", "arguments", "scope"), CALLS)
async def test_unbinding_ends_the_very_next_call(
    stage: Stage, tool: str, arguments: Any, scope: Scope
) -> None:
    lead, child = await stage.pods()
    await stage.grant(lead, child, scope)
    stage.world.watching = False
    answer = (
        {"looked": link_pb2.Looked()} if tool == "observe_terminal" else {"done": link_pb2.Done()}
    )
    kind = {"observe_terminal": "look", "send_terminal_text": "text"}.get(tool, "keys")
    async with connected(stage.asks, stage.runner()) as end:
        call = stage.world.call(lead, tool, pod_key="child", **arguments)
        await answered(end, call, kind, **answer)
        await stage.world.bindings.unbind(child, lead)
        refused = await refusal(stage.world.call(lead, tool, pod_key="child", **arguments))
        assert end.outgoing.empty()
    assert refused[0] == "Forbidden"


@pytest.mark.parametrize(("tool", "arguments", "scope"), CALLS)
async def test_another_organizations_pod_is_refused_in_the_words_for_none(
    stage: Stage, tool: str, arguments: Any, scope: Scope
) -> None:
    lead, _ = await stage.pods()
    await stage.world.pod("theirs", org=ELSEWHERE)
    theirs = await refusal(stage.world.call(lead, tool, pod_key="theirs", **arguments))
    nobody = await refusal(stage.world.call(lead, tool, pod_key="nobody", **arguments))
    assert theirs[0] == nobody[0] == "NotFound", scope
    assert theirs[1].replace("theirs", "nobody") == nobody[1]


@pytest.mark.parametrize(("tool", "arguments", "scope"), CALLS)
async def test_an_ended_pod_and_one_without_a_runner_have_no_terminal(
    stage: Stage, tool: str, arguments: Any, scope: Scope
) -> None:
    lead, child = await stage.pods()
    await stage.grant(lead, child, scope)
    await stage.world.end(child)
    waiting = await stage.world.pod("waiting", runner=None)
    await stage.grant(lead, waiting, scope)
    for name in ("child", "waiting"):
        refused = await refusal(stage.world.call(lead, tool, pod_key=name, **arguments))
        assert refused[0] == "NotRunning"


async def test_a_pod_drives_itself_without_a_binding(stage: Stage) -> None:
    lead, _ = await stage.pods()
    async with connected(stage.asks, stage.runner("r1")) as end:
        call = stage.world.call(lead, "observe_terminal", pod_key="lead")
        _, result = await answered(end, call, "look", looked=link_pb2.Looked(output="me"))
    assert result["output"] == "me"
