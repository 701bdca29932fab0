"""What agents see of the tools, and what becomes of a call."""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from runner.link.tools import ToolsAway
from runner.mcpserver.ports import Limits
from schemas.tools.base import json_schema
from schemas.tools.catalogue import CATALOGUE
from tests.unit.runner.mcpserver.rig import (
    SEEN,
    Rig,
    Wire,
    ask,
    call,
    request,
    rpc,
    structured,
    tool,
    until,
)

pytestmark = pytest.mark.anyio


@contextmanager
def serving(tasks: asyncio.TaskGroup, rig: Rig) -> Iterator[None]:
    """Run a server for as long as it takes."""
    task = tasks.create_task(rig.server().run())
    yield
    task.cancel()


async def test_all_tools_are_listed_with_their_schemas(mesh: Rig) -> None:
    answered = await ask(mesh.pod("a-pod"), rpc("tools/list"))
    tools = answered.json["result"]["tools"]
    assert [each["name"] for each in tools] == list(CATALOGUE)
    for each in tools:
        known = CATALOGUE[each["name"]]
        assert each["description"] == known.description
        assert each["inputSchema"] == json_schema(known.arguments)
        assert each["inputSchema"]["additionalProperties"] is False
        assert each["outputSchema"] == json_schema(known.result)
        assert each["annotations"] == {"readOnlyHint": known.read_only}
        assert each["_meta"] == {"anthropic/alwaysLoad": True}


async def test_the_first_list_is_the_sign_that_the_agent_is_ready(mesh: Rig) -> None:
    pod, other = mesh.pod("a-pod"), mesh.pod("another")
    await ask(pod, rpc("initialize", protocolVersion="2025-06-18", capabilities={}))
    await ask(pod, rpc("tools/list"), authorization="Bearer wrong")
    await call(pod)
    assert mesh.readiness.heard == []
    await ask(pod, rpc("tools/list"))
    await ask(pod, rpc("tools/list"))
    assert mesh.readiness.heard == ["a-pod"]
    await ask(other, rpc("tools/list"))
    assert mesh.readiness.heard == ["a-pod", "another"]


async def test_a_sign_that_was_lost_is_given_again(mesh: Rig) -> None:
    pod, hear = mesh.pod("a-pod"), mesh.readiness.tools_listed

    async def lose(uid: str) -> None:
        mesh.readiness.tools_listed = hear  # type: ignore[method-assign]
        raise OSError(uid)

    mesh.readiness.tools_listed = lose  # type: ignore[method-assign]
    for _ in range(2):
        assert (await ask(pod, rpc("tools/list"))).json["result"]["tools"]
    assert mesh.readiness.heard == ["a-pod"]


async def test_a_call_is_forwarded_as_the_pods(mesh: Rig) -> None:
    arguments = {"pod_key": "größe", "lines": 7}
    found = await call(mesh.pod("a-pod"), **arguments)
    (sent,) = mesh.controller.calls
    assert (sent.caller.pod_uid, sent.caller.epoch) == ("a-pod", 7)
    assert sent.tool == "observe_terminal"
    assert json.loads(sent.arguments) == arguments
    assert mesh.controller.timeouts == [30.0]
    assert found["structuredContent"] == SEEN
    (block,) = found["content"]
    assert block["text"] == json.dumps(SEEN, ensure_ascii=False, separators=(",", ":"))
    assert found["isError"] is False


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("observe_terminal", {"lines": 1}, "pod_key: it is required"),
        ("observe_terminal", {"pod_key": "x", "lines": 0}, "lines: "),
        ("observe_terminal", {"pod_key": "x", "colour": True}, "colour: there is no such argument"),
        ("list_runners", {"all": True}, "there are: none"),
        ("send_terminal_key", {"pod_key": "x", "keys": []}, "keys: list should"),
        ("create_pod", {"agent_type_id": "a", "config_overrides": {"a": float("nan")}}, "JSON has"),
        ("send_terminal_text", {"pod_key": "x", "text": "a" * 65_537}, "text: "),
    ],
)
async def test_wrong_arguments_are_refused_before_anything_is_done(
    mesh: Rig, name: str, arguments: dict[str, Any], sentence: str
) -> None:
    found = await call(mesh.pod("a-pod"), name, **arguments)
    assert found["isError"] is True
    assert "structuredContent" not in found
    assert sentence in found["content"][0]["text"]
    assert mesh.controller.calls == []


async def test_a_refusal_is_a_result_with_what_goes_with_it(mesh: Rig) -> None:
    said = link_pb2.ToolFailure(
        reason="Conflict", message="It was changed: read it again.", structured=b'{"revision": 4}'
    )

    async def refuse(_: link_pb2.ToolCall) -> link_pb2.ToolResult:
        return link_pb2.ToolResult(failure=said)

    mesh.controller.answer = refuse
    pod = mesh.pod("a-pod")
    found = await call(pod)
    assert found["isError"] is True
    assert found["content"][0]["text"] == said.message
    assert found["structuredContent"] == {"revision": 4}
    said.structured = b""
    assert "structuredContent" not in await call(pod)


async def test_a_controller_that_is_away_is_a_failure_in_one_sentence(mesh: Rig) -> None:
    async def away(_: link_pb2.ToolCall) -> link_pb2.ToolResult:
        raise ToolsAway("The controller cannot be reached now: try again in a moment.", sent=False)

    mesh.controller.answer = away
    found = await call(mesh.pod("a-pod"))
    assert found["isError"] is True
    assert found["content"][0]["text"].startswith("The controller cannot be reached now")


@pytest.mark.parametrize("said", [link_pb2.ToolResult(), link_pb2.ToolResult(structured=b"{")])
async def test_an_answer_that_is_none_is_a_failure_all_the_same(
    mesh: Rig, said: link_pb2.ToolResult
) -> None:
    async def answer(_: link_pb2.ToolCall) -> link_pb2.ToolResult:
        return said

    mesh.controller.answer = answer
    found = await call(mesh.pod("a-pod"))
    assert found["isError"] is True
    assert found["content"][0]["text"].endswith((".", "again"))


async def test_a_call_that_takes_too_long_ends(rig: Rig) -> None:
    """Also when the link does not end it."""
    rig.limits = Limits(call_seconds=-0.95)
    rig.controller.answer = lambda _: asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        with serving(tasks, rig):
            found = await call(rig.pod("a-pod"))
    assert found["isError"] is True
    assert "longer than" in found["content"][0]["text"]
    assert rig.controller.cancelled == 1


async def test_calls_of_one_pod_wait_for_their_turn_in_order(mesh: Rig) -> None:
    pod, finish = mesh.pod("a-pod"), asyncio.Event()

    async def slow(_: link_pb2.ToolCall) -> link_pb2.ToolResult:
        await finish.wait()
        return structured(SEEN)

    mesh.controller.answer = slow
    async with AsyncExitStack() as stack:
        wires = [await Wire.to(pod.port) for _ in range(40)]
        for wire in wires:
            stack.push_async_callback(wire.close)
            wire.send(request(pod, rpc("tools/list")))
            assert (await wire.answer()).status == 200  # none has still to come in
        for number, wire in enumerate(wires, 1):
            wire.send(request(pod, tool(pod_key="x", lines=number)))
        await until(lambda: len(mesh.controller.calls) == 16, "as many as may")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(call(mesh.pod("another")))
            await until(lambda: len(mesh.controller.calls) == 17, "another pod does not wait")
            finish.set()
        for wire in wires:
            assert (await wire.answer()).status == 200
    mine = [each for each in mesh.controller.calls if each.caller.pod_uid == "a-pod"]
    assert [json.loads(each.arguments)["lines"] for each in mine] == list(range(1, 41))
    assert mesh.controller.most == 17


async def test_a_call_whose_turn_does_not_come_is_refused(rig: Rig) -> None:
    rig.limits = Limits(calls=1, turn_seconds=0.05)
    finish = asyncio.Event()

    async def slow(_: link_pb2.ToolCall) -> link_pb2.ToolResult:
        await finish.wait()
        return structured(SEEN)

    rig.controller.answer = slow
    async with asyncio.TaskGroup() as tasks:
        with serving(tasks, rig):
            pod = rig.pod("a-pod")
            first = tasks.create_task(call(pod))
            await until(lambda: rig.controller.under_way, "the first is under way")
            refused = await call(pod)
            assert refused["isError"] is True
            assert "wait for their answers" in refused["content"][0]["text"]
            finish.set()
            assert not (await first)["isError"]
            assert not (await call(pod))["isError"]


async def test_a_call_that_waits_can_be_cancelled(mesh: Rig) -> None:
    """It does not keep the place that it never had."""
    finish = asyncio.Event()

    async def slow(_: link_pb2.ToolCall) -> link_pb2.ToolResult:
        await finish.wait()
        return structured(SEEN)

    mesh.controller.answer, pod = slow, mesh.pod("a-pod")
    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(call(pod)) for _ in range(20)]
        await until(lambda: mesh.controller.under_way == 16, "all places are taken")
        for each in calls:
            each.cancel()
    await until(lambda: mesh.controller.cancelled == 16, "all are cancelled")
    finish.set()
    async with asyncio.TaskGroup() as tasks:
        again = [tasks.create_task(call(pod)) for _ in range(16)]
    assert [each.result()["isError"] for each in again] == [False] * 16


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return what was logged of calls."""
    keys = ("pod", "tool", "outcome", "reason")
    found = [vars(each) for each in caplog.records if each.getMessage() == "tool called"]
    assert all(isinstance(each["duration_ms"], int) for each in found)
    return [{key: each[key] for key in keys} for each in found]


async def test_each_call_is_logged_without_what_it_holds(
    mesh: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pod = mesh.pod("a-pod")
    await call(pod, "send_terminal_text", pod_key="x", text="hunter2")
    await call(pod, "send_terminal_text", pod_key="x", text="hunter2", hunter2="hunter2")
    await ask(pod, tool("hunter2"))
    await ask(pod, b'{"hunter2"')
    await ask(pod, b'{"jsonrpc": "2.0", "id": {"hunter2": 1}}')
    await ask(pod, rpc("notifications/progress", None, hunter2="hunter2"))
    await ask(pod, tool(), authorization="Bearer hunter2")
    about = {"pod": "a-pod", "tool": "send_terminal_text"}
    assert logged(caplog) == [
        {**about, "outcome": "done", "reason": ""},
        {**about, "outcome": "refused", "reason": "InvalidArgument"},
    ]
    assert "hunter2" not in caplog.text
    assert not any("hunter2" in str(vars(each)) for each in caplog.records)


async def test_a_cancelled_call_is_logged_as_such(
    mesh: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    mesh.controller.answer = lambda _: asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        calling = tasks.create_task(call(mesh.pod("a-pod")))
        await until(lambda: mesh.controller.under_way, "it is under way")
        calling.cancel()
    await until(lambda: logged(caplog), "it is logged")
    (line,) = logged(caplog)
    assert line["outcome"] == "cancelled"


async def test_a_bug_below_is_a_failure_and_not_the_end(
    mesh: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: link_pb2.ToolCall) -> link_pb2.ToolResult:
        raise RuntimeError("a bug")

    answered_before, mesh.controller.answer, pod = mesh.controller.answer, broken, mesh.pod("a-pod")
    found = await call(pod)
    assert found["isError"] is True
    assert "bug" not in found["content"][0]["text"]
    assert "a tool call failed" in caplog.text
    mesh.controller.answer = answered_before
    assert not (await call(pod))["isError"]
