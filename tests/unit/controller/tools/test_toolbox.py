"""The one door of all tools: who may call, what is refused, and how every failure is told."""

import asyncio
import json
import logging
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from controller.kube import errors as kube
from controller.placement.observation import Observation, PodState
from controller.rpc.ports import RunnerKey
from controller.store import errors as messages
from controller.tools import toolbox as module
from controller.tools.call import Caller, Handler, ToolError
from controller.tools.toolbox import Toolbox
from schemas.agentpod import AgentPod
from schemas.tools.base import Result
from schemas.tools.catalogue import CATALOGUE
from schemas.tools.terminal import Pressed, SendTerminalKey
from tests.unit.controller.tools.world import ELSEWHERE, ORG, World

pytestmark = pytest.mark.anyio

KEYS = {"pod_key": "child", "keys": ["enter"]}


async def nothing(caller: Caller, arguments: Any) -> Result:  # noqa: ARG001 - a handler's
    return Pressed(pod_key="child", keys=0)


class Stage:
    """A toolbox whose tool ``send_terminal_key`` is the test's."""

    def __init__(self, **settings: Any) -> None:
        self.world = World()
        self.seen: dict[str, Observation] = {}
        self.handler: Handler = self.echo
        self.calls: list[tuple[Caller, Any]] = []
        handlers: dict[str, Handler] = dict.fromkeys(CATALOGUE, nothing)
        handlers["send_terminal_key"] = self.dispatched
        self.toolbox = Toolbox(self.world.store, self.seen.get, handlers, **settings)

    async def dispatched(self, caller: Caller, arguments: SendTerminalKey) -> Result:
        self.calls.append((caller, arguments))
        return await self.handler(caller, arguments)

    async def echo(self, caller: Caller, arguments: SendTerminalKey) -> Result:  # noqa: ARG002
        return Pressed(pod_key=arguments.pod_key, keys=len(arguments.keys))

    async def call(
        self,
        pod: AgentPod,
        arguments: Any = KEYS,
        *,
        tool: str = "send_terminal_key",
        runner: RunnerKey | None = None,
        epoch: int = 1,
    ) -> link_pb2.ToolResult:
        data = arguments if isinstance(arguments, bytes) else json.dumps(arguments).encode()
        ref = link_pb2.PodRef(pod_uid=pod.metadata.uid, epoch=epoch)
        request = link_pb2.ToolCall(caller=ref, tool=tool, arguments=data)
        return await self.toolbox.call(runner or self.world.caller(pod).runner, request)

    async def refused(self, pod: AgentPod, *positional: Any, **named: Any) -> tuple[str, str]:
        result = await self.call(pod, *positional, **named)
        assert result.WhichOneof("outcome") == "failure", result
        return result.failure.reason, result.failure.message

    def fails(self, error: BaseException) -> None:
        async def failing(caller: Caller, arguments: Any) -> Result:  # noqa: ARG001
            raise error

        self.handler = failing


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_call_reaches_its_handler_and_its_result_is_compact_json(stage: Stage) -> None:
    pod = await stage.world.pod("lead")
    result = await stage.call(pod)
    assert result.structured == b'{"pod_key":"child","keys":1}'
    caller, arguments = stage.calls[0]
    assert (caller.name, caller.namespace, arguments.keys) == ("lead", ORG, ("enter",))


async def test_texts_come_back_as_they_are(stage: Stage) -> None:
    pod = await stage.world.pod("lead")
    result = await stage.call(pod, {"pod_key": 'ü"\n🙂', "keys": ["a"]})
    assert json.loads(result.structured)["pod_key"] == 'ü"\n🙂'
    assert "ü" in result.structured.decode()


GONE = ("Forbidden", "this pod has ended: its tools have ended with it")


@pytest.mark.parametrize(
    "named",
    [
        pytest.param({"epoch": 2}, id="at another epoch"),
        pytest.param({"epoch": 0}, id="at no epoch"),
        pytest.param({"runner": RunnerKey(ORG, "r1", "uid-of-another")}, id="by another runner"),
        pytest.param({"runner": RunnerKey(ELSEWHERE, "r1", "uid-r1")}, id="by a foreign runner"),
    ],
)
async def test_a_call_that_does_not_come_from_where_the_pod_is_placed_is_refused(
    stage: Stage, named: Any
) -> None:
    pod = await stage.world.pod("lead")
    assert await stage.refused(pod, **named) == GONE
    assert not stage.calls


async def test_a_status_forged_in_another_organization_opens_nothing(stage: Stage) -> None:
    pod = await stage.world.pod("lead")
    mine = stage.world.caller(pod).runner
    forged = await stage.world.pod("forged", org=ELSEWHERE)
    placement = {"runnerName": "r1", "runnerUID": mine.uid, "epoch": 1}
    await stage.world.status(forged, {"placement": placement})
    assert await stage.refused(forged, runner=mine) == GONE


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_an_ended_pod_calls_nothing_any_more(stage: Stage, phase: str) -> None:
    pod = await stage.world.pod("lead")
    await stage.world.end(pod, phase)
    assert await stage.refused(pod) == GONE


async def test_a_deleted_pod_calls_nothing_any_more(stage: Stage) -> None:
    pod = await stage.world.pod("lead")
    runner = stage.world.caller(pod).runner
    await stage.world.delete(pod)
    assert await stage.refused(pod, runner=runner) == GONE


async def test_an_unplaced_or_unknown_pod_calls_nothing(stage: Stage) -> None:
    waiting = await stage.world.pod("waiting", runner=None)
    for epoch in (0, 1):
        assert await stage.refused(waiting, runner=RunnerKey(ORG, "r1", "u"), epoch=epoch) == GONE


def observation(pod: AgentPod, state: PodState, epoch: int = 1) -> Observation:
    placement = pod.status.placement
    assert placement is not None
    return Observation(placement.runner_uid, epoch, state)


@pytest.mark.parametrize(
    ("phase", "policy", "state", "epoch", "may"),
    [
        pytest.param("Running", "Never", PodState.SUCCEEDED, 1, False, id="its runner saw its end"),
        pytest.param("Running", "Never", PodState.FAILED, 1, False, id="its runner saw it fail"),
        pytest.param("Running", "Never", PodState.RUNNING, 1, True, id="it runs"),
        pytest.param("Starting", "Never", PodState.STARTING, 1, True, id="it starts"),
        pytest.param("Running", "Never", PodState.FAILED, 0, True, id="an older run has failed"),
        pytest.param("Failed", "OnFailure", PodState.RUNNING, 1, True, id="it runs again"),
        pytest.param("Failed", "OnFailure", PodState.FAILED, 1, False, id="it will run again"),
        pytest.param("Failed", "Never", PodState.RUNNING, 1, False, id="its end is the last word"),
    ],
)
async def test_what_the_runner_said_last_counts_before_the_status(  # noqa: PLR0913, PLR0917 - a row
    stage: Stage,
    phase: str,
    policy: str,
    state: PodState,
    epoch: int,
    may: bool,  # noqa: FBT001
) -> None:
    pod = await stage.world.pod("lead", phase=phase, restartPolicy=policy)
    stage.seen[pod.metadata.uid] = observation(pod, state, epoch)
    result = await stage.call(pod)
    assert (result.WhichOneof("outcome") == "structured") is may


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(b"{", "no valid JSON", id="broken JSON"),
        pytest.param(b"[" * 100_000, "no valid JSON", id="JSON without an end"),
        pytest.param(b'{"pod_key": "\xff"}', "no valid JSON", id="no UTF-8"),
        pytest.param(b'{"lines": NaN}', "no valid JSON", id="what only JavaScript knows"),
        pytest.param(b"[]", "must be a JSON object", id="a list"),
        pytest.param({"pod_key": "x"}, "keys: it is required", id="a missing argument"),
        pytest.param({**KEYS, "force": True}, "force: there is no such", id="an unknown one"),
        pytest.param({**KEYS, "keys": []}, "keys: ", id="too few"),
        pytest.param({**KEYS, "keys": ["a"] * 65}, "keys: ", id="too many"),
        pytest.param({**KEYS, "keys": "a"}, "keys: ", id="another type"),
        pytest.param(rb'{"pod_key": "\ud800", "keys": ["a"]}', "pod_key: ", id="half a character"),
    ],
)
async def test_wrong_arguments_are_refused_before_anything_is_done(
    stage: Stage, arguments: Any, said: str
) -> None:
    pod = await stage.world.pod("lead")
    reason, message = await stage.refused(pod, arguments)
    assert reason == "InvalidArgument"
    assert said in message
    assert not stage.calls


async def test_a_tool_that_there_is_not_is_told_so(stage: Stage) -> None:
    pod = await stage.world.pod("lead")
    assert (await stage.refused(pod, tool="rm_rf"))[0] == "UnknownTool"


async def test_a_refusal_keeps_its_reason_words_and_data(stage: Stage) -> None:
    pod = await stage.world.pod("lead")
    stage.fails(ToolError("Conflict", "it is at 4", {"revision": 4, "document": "ü"}))
    result = await stage.call(pod)
    assert (result.failure.reason, result.failure.message) == ("Conflict", "it is at 4")
    assert json.loads(result.failure.structured) == {"revision": 4, "document": "ü"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (kube.Unavailable("boom"), "Unavailable"),
        (kube.Conflict("boom", status=409), "Conflict"),
        (kube.AlreadyExists("boom", status=409), "AlreadyExists"),
        (kube.NotFound("boom", status=404), "NotFound"),
        (kube.Refused("boom", status=422), "InvalidArgument"),
        (kube.Denied("boom", status=403), "Forbidden"),
        (messages.UnavailableError("boom"), "Unavailable"),
        (messages.ChannelGoneError("boom"), "NotFound"),
        (messages.TextError("boom"), "InvalidArgument"),
        (messages.StoreError("boom"), "Unavailable"),
        (TimeoutError("boom"), "Failed"),
        (RuntimeError("boom"), "Failed"),
    ],
)
async def test_every_error_is_an_answer_in_words(
    stage: Stage, error: Exception, reason: str
) -> None:
    pod = await stage.world.pod("lead")
    stage.fails(error)
    found, message = await stage.refused(pod)
    assert found == reason
    assert ":" in message or "boom" in message


async def test_a_bug_is_logged_once_where_it_was_and_without_what_it_says(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    pod = await stage.world.pod("lead")
    stage.fails(RuntimeError("s3cr3t of the arguments"))
    with caplog.at_level(logging.INFO):
        await stage.call(pod)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert any("failing" in line for line in vars(errors[0])["trace"])
    assert "s3cr3t" not in str([vars(record) for record in caplog.records])


@pytest.mark.parametrize(
    ("tool", "advice"),
    [
        ("send_terminal_key", "look what it did before you repeat it"),
        ("observe_terminal", "try again"),
    ],
)
async def test_a_call_that_takes_too_long_is_ended(tool: str, advice: str) -> None:
    stage = Stage(call_seconds=0.02)
    ended = asyncio.Event()

    async def slow(caller: Caller, arguments: Any) -> Result:  # noqa: ARG001
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    stage.toolbox._handlers[tool] = slow
    pod = await stage.world.pod("lead")
    arguments = KEYS if tool == "send_terminal_key" else {"pod_key": "child"}
    reason, message = await stage.refused(pod, arguments, tool=tool)
    assert (reason, message) == ("Unavailable", f"the call took longer than 0.02 s: {advice}")
    assert ended.is_set()


async def test_an_answer_that_no_message_holds_is_told_so(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_RESULT_BYTES", 10)
    pod = await stage.world.pod("lead")
    assert (await stage.refused(pod))[0] == "LimitExceeded"


async def test_each_call_is_logged_with_pod_tool_target_outcome_and_duration_and_no_value(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    pod = await stage.world.pod("lead")

    def lines() -> list[dict[str, Any]]:
        found = [vars(one) for one in caplog.records if one.getMessage() == "tool"]
        caplog.clear()
        return found

    with caplog.at_level(logging.INFO):
        await stage.call(pod, {"pod_key": "child", "keys": ["s3cr3t"]})
        (line,) = lines()
        logged = ("pod", "tool", "target", "outcome")
        assert [line[key] for key in logged] == [
            f"{ORG}/lead",
            "send_terminal_key",
            "child",
            "ok",
        ]
        assert float(line["duration_ms"]) >= 0
        assert "s3cr3t" not in str(line)
        await stage.call(pod, {"pod_key": "child"})
        assert lines()[0]["outcome"] == "InvalidArgument"
        await stage.call(pod, tool="s3cr3t")
        (line,) = lines()
        assert (line["tool"], line["outcome"]) == ("", "UnknownTool")
        stage.fails(asyncio.CancelledError())
        with pytest.raises(asyncio.CancelledError):
            await stage.call(pod)
        assert lines()[0]["outcome"] == "Cancelled"


def test_a_toolbox_has_a_handler_for_every_tool_and_no_other() -> None:
    world = World()
    with pytest.raises(ValueError, match="bind_pod"):
        Toolbox(world.store, lambda _: None, {})
    with pytest.raises(ValueError, match="rm_rf"):
        Toolbox(world.store, lambda _: None, dict.fromkeys([*CATALOGUE, "rm_rf"], nothing))
