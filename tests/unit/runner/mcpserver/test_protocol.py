"""What the specification wants to be answered, on the wire."""

import asyncio
from typing import Any

import pytest

from tests.unit.runner.mcpserver.rig import Answer, Pod, Rig, Wire, ask, request, rpc, tool

pytestmark = pytest.mark.anyio

LEGACY = "2025-11-25"
MODERN = "2026-07-28"


def meta(version: str = MODERN) -> dict[str, Any]:
    """Return what a stateless request says about its sender."""
    return {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }


async def modern(pod: Pod, method: str, version: str = MODERN, **params: Any) -> Answer:
    """Ask in the manner of 2026-07-28."""
    names = {"mcp_name": params["name"]} if "name" in params else {}
    body = rpc(method, 1, _meta=meta(version), **params)
    return await ask(pod, body, mcp_protocol_version=version, mcp_method=method, **names)


@pytest.mark.parametrize("version", [None, "2025-06-18", LEGACY, MODERN])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"{", -32700, id="no JSON"),
        pytest.param(b"", -32700, id="nothing"),
        pytest.param(b"\xff\xfe", -32700, id="no text"),
        pytest.param(b"[" * 100_000, -32700, id="JSON without a bottom"),
        pytest.param(b'"x"', -32600, id="no object"),
        pytest.param(b'{"jsonrpc": "2.0", "id": 1}', -32600, id="no method"),
        pytest.param(b'{"id": 1, "method": "ping"}', -32600, id="another protocol"),
        pytest.param(b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600, id="a batch"),
    ],
)
async def test_what_is_no_request_is_told_so(
    mesh: Rig, version: str | None, body: bytes, code: int
) -> None:
    answered = await ask(mesh.pod("a-pod"), body, mcp_protocol_version=version)
    assert (answered.status, answered.json["error"]["code"]) == (400, code)
    assert answered.json["id"] is None


async def test_an_unknown_method_is_told_so_in_both_eras(mesh: Rig) -> None:
    pod = mesh.pod("a-pod")
    before = await ask(pod, rpc("resources/list"), mcp_protocol_version=LEGACY)
    assert (before.status, before.json["error"]["code"]) == (200, -32601)
    now = await modern(pod, "subscriptions/listen", notifications={})
    assert (now.status, now.json["error"]["code"]) == (404, -32601)


async def test_a_protocol_that_nobody_speaks_is_refused(mesh: Rig) -> None:
    pod = mesh.pod("a-pod")
    for body in (tool(), rpc("tools/list", 1, _meta=meta("1999-01-01"))):
        answered = await ask(pod, body, mcp_protocol_version="1999-01-01", mcp_method="tools/list")
        assert answered.status == 400
        assert answered.json["error"]["code"] in {-32602, -32022}
    asked = await modern(pod, "tools/list", "1999-01-01")
    assert asked.json["error"]["data"] == {"supported": [MODERN], "requested": "1999-01-01"}
    assert not mesh.controller.calls


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ("2025-06-18", "2025-06-18"),
        (LEGACY, LEGACY),
        ("2024-11-05", "2024-11-05"),
        ("1999-01-01", LEGACY),
    ],
)
async def test_a_handshake_settles_the_protocol(mesh: Rig, offered: str, taken: str) -> None:
    """Without a session: nothing is remembered, and nothing has to be."""
    about = {"protocolVersion": offered, "capabilities": {}}
    body = rpc("initialize", 1, **about, clientInfo={"name": "test", "version": "1"})
    answered = await ask(mesh.pod("a-pod"), body)
    found = answered.json["result"]
    assert found["protocolVersion"] == taken
    assert found["serverInfo"] == {"name": "agentsmesh", "version": "1.2.3"}
    assert found["capabilities"] == {"tools": {"listChanged": False}}
    assert "mcp-session-id" not in answered.headers


async def test_discovery_names_what_is_served(mesh: Rig) -> None:
    answered = await modern(mesh.pod("a-pod"), "server/discover")
    assert answered.status == 200
    assert answered.json["result"]["supportedVersions"] == [MODERN]


async def test_a_session_that_nobody_knows_is_served(mesh: Rig) -> None:
    """Gemini never begins anew after a lost session: there must be none to lose."""
    answered = await ask(mesh.pod("a-pod"), tool(), mcp_session_id="of-an-earlier-runner")
    assert answered.json["result"]["isError"] is False


@pytest.mark.parametrize("version", [None, LEGACY, MODERN])
@pytest.mark.parametrize("method", ["initialized", "cancelled", "progress", "unheard-of"])
async def test_notifications_are_accepted_and_not_answered(
    mesh: Rig, version: str | None, method: str
) -> None:
    body = rpc(f"notifications/{method}", None, requestId=1)
    answered = await ask(mesh.pod("a-pod"), body, mcp_protocol_version=version)
    assert (answered.status, answered.body) == (202, b"")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(tool("no_such_tool"), -32602, id="unknown tool"),
        pytest.param(rpc("tools/call"), -32602, id="no tool"),
        pytest.param(rpc("tools/call", name=5), -32602, id="a name that is none"),
        pytest.param(
            rpc("tools/call", name="list_runners", arguments=[1]), -32602, id="arguments in a list"
        ),
        pytest.param(rpc("tools/list", cursor="2"), -32602, id="a page that is not there"),
    ],
)
async def test_a_request_that_makes_no_sense_is_an_error_of_the_protocol(
    mesh: Rig, body: bytes, code: int
) -> None:
    answered = await ask(mesh.pod("a-pod"), body, mcp_protocol_version=LEGACY)
    assert (answered.status, answered.json["error"]["code"]) == (200, code)
    assert answered.json["id"] == 1
    assert not mesh.controller.calls


async def test_an_unknown_tool_is_an_error_of_the_protocol_in_the_later_era(mesh: Rig) -> None:
    answered = await modern(mesh.pod("a-pod"), "tools/call", name="no_such_tool", arguments={})
    assert answered.json["error"]["code"] == -32602


async def test_answers_of_one_connection_come_in_order(mesh: Rig) -> None:
    pod = mesh.pod("a-pod")
    wire = await Wire.to(pod.port)
    wire.send(b"".join(request(pod, tool(number=number)) for number in range(5)))
    assert [(await wire.answer()).json["id"] for _ in range(5)] == [0, 1, 2, 3, 4]
    await wire.close()


async def test_calls_on_several_connections_run_at_once(mesh: Rig) -> None:
    pod, together = mesh.pod("a-pod"), asyncio.Barrier(8)

    async def answer(_: object) -> Any:
        await together.wait()
        return await answered_before(_)

    answered_before, mesh.controller.answer = mesh.controller.answer, answer
    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(ask(pod, tool(number=number))) for number in range(8)]
    assert [each.result().json["id"] for each in calls] == list(range(8))


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("application/json, text/event-stream", 200),
        ("*/*", 200),
        ("text/html", 406),
    ],
)
async def test_an_answer_comes_as_json(mesh: Rig, accept: str, status: int) -> None:
    assert (await ask(mesh.pod("a-pod"), tool(), accept=accept)).status == status


async def test_what_is_no_http_is_refused(mesh: Rig) -> None:
    pod = mesh.pod("a-pod")
    wire = await Wire.to(pod.port)
    wire.send(b"\x16\x03\x01 hello\r\n\r\n")
    assert (await wire.answer()).status == 400
    await wire.ended()
    await wire.close()


async def test_a_head_without_an_end_is_refused(mesh: Rig) -> None:
    pod = mesh.pod("a-pod")
    wire = await Wire.to(pod.port)
    wire.send(b"POST /mcp HTTP/1.1\r\nx: " + b"x" * 70_000)
    assert (await wire.answer()).status == 431
    await wire.ended()
    await wire.close()
