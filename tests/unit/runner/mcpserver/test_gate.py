"""Who is let in, and how much they may send."""

import asyncio
import dataclasses

import pytest

from runner.converge.states import State
from runner.mcpserver.ports import Limits
from tests.unit.runner.mcpserver.rig import Rig, Wire, ask, call, request, rpc, tool, until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"authorization": None}, 403, id="no token"),
        pytest.param({"authorization": "Bearer wrong"}, 403, id="a wrong token"),
        pytest.param({"authorization": "Bearer "}, 403, id="an empty token"),
        pytest.param({"authorization": "token-of-a-pod-0"}, 403, id="a token without its scheme"),
        pytest.param({"authorization": "Basic token-of-a-pod-0"}, 403, id="another scheme"),
        pytest.param({"authorization": "Bearer a-pod"}, 403, id="the pod's public name"),
        pytest.param({"authorization": "Bearer tök\x80en"}, 403, id="bytes that are no text"),
        pytest.param({"host": "mesh.example"}, 421, id="a host that is not loopback"),
        pytest.param({"host": "127.0.0.1.evil.example"}, 421, id="a host that begins like it"),
        pytest.param({"origin": "https://evil.example"}, 403, id="a page from elsewhere"),
        pytest.param(
            {"origin": "http://localhost.evil.example"}, 403, id="one that begins like it"
        ),
        pytest.param({"origin": "null"}, 403, id="a page without an origin"),
    ],
)
async def test_strangers_are_refused_with_one_sentence(
    mesh: Rig, headers: dict[str, str | None], status: int
) -> None:
    answered = await ask(mesh.pod("a-pod"), tool(), **headers)
    assert answered.status == status
    assert list(answered.json) == ["error"]
    assert answered.json["error"].endswith(".")
    assert "www-authenticate" not in answered.headers
    assert not mesh.controller.calls


async def test_two_tokens_are_as_good_as_none(mesh: Rig) -> None:
    pod = mesh.pod("a-pod")
    sent = request(pod, tool()).replace(
        b"accept:", f"authorization: Bearer {pod.token}\r\naccept:".encode()
    )
    wire = await Wire.to(pod.port)
    wire.send(sent)
    assert (await wire.answer()).status == 403
    await wire.close()


@pytest.mark.parametrize("sent", [b"{", b"x" * 70_000])
async def test_a_stranger_hears_why_and_is_shown_out(mesh: Rig, sent: bytes) -> None:
    """Also one that does not end, or goes on, sending: it gets its answer and no more time."""
    pod = mesh.pod("a-pod")
    wire = await Wire.to(pod.port)
    wire.send(request(pod, sent, authorization=None, content_length="99999999"))
    assert (await wire.answer()).status == 403
    await wire.ended()
    await wire.close()


async def test_strangers_do_not_use_up_what_the_agent_may_send(rig: Rig) -> None:
    rig.limits = Limits(requests_per_second=1000, connections=4)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        pod = rig.pod("a-pod")
        refused = [tasks.create_task(ask(pod, tool(), authorization=None)) for _ in range(50)]
        assert not (await call(pod))["isError"]
        assert [(await each).status for each in refused] == [403] * 50
        serving.cancel()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "[::1]:19000", "127.0.0.1"])
async def test_loopback_has_several_names(mesh: Rig, host: str) -> None:
    answered = await ask(mesh.pod("a-pod"), tool(), host=host, origin=f"http://{host}")
    assert answered.status == 200


async def test_a_token_opens_only_its_own_pods_socket(mesh: Rig) -> None:
    one, other = mesh.pod("pod-one"), mesh.pod("pod-two")
    stolen = await ask(one, tool(), authorization=f"Bearer {other.token}")
    assert stolen.status == 403
    assert not (await call(other))["isError"]
    assert [each.caller.pod_uid for each in mesh.controller.calls] == ["pod-two"]


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/",
        "/mcp/",
        "/register",
        "/sse",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_there_is_nothing_but_the_endpoint(mesh: Rig, path: str, method: str) -> None:
    """An agent that finds OAuth documents begins to register itself."""
    pod = mesh.pod("a-pod")
    assert (await ask(pod, path=path, method=method)).status == 404
    assert (await ask(pod, path=path, method=method, authorization=None)).status == 404


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "OPTIONS"])
async def test_there_is_no_stream_and_no_session_to_end(mesh: Rig, method: str) -> None:
    """Clients take 405 for what it says: nothing is ever told on a stream of its own."""
    answered = await ask(mesh.pod("a-pod"), method=method, accept="text/event-stream")
    assert (answered.status, answered.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("state", [State.STOPPING, State.SUCCEEDED, State.FAILED, State.REMOVED])
async def test_the_token_is_dead_once_the_run_has_ended(rig: Rig, state: State) -> None:
    """On the very next request, also before the door has heard of the end."""
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        pod = rig.pod("a-pod")
        wire = await Wire.to(pod.port)
        wire.send(request(pod, tool()))
        assert (await wire.answer()).status == 200
        rig.rows["a-pod"] = dataclasses.replace(rig.rows["a-pod"], state=state)
        wire.send(request(pod, tool()))
        assert (await wire.answer()).status == 403
        await wire.close()
        serving.cancel()
    assert len(rig.controller.calls) == 1


async def test_the_token_of_an_earlier_run_is_dead(mesh: Rig) -> None:
    earlier = mesh.pod("a-pod")
    assert not (await call(earlier))["isError"]
    now = mesh.pod("a-pod", restart=1)
    assert not (await call(now))["isError"]
    assert (await ask(now, tool(), authorization=f"Bearer {earlier.token}")).status == 403


async def test_a_token_works_while_its_run_is_starting(mesh: Rig) -> None:
    pod = mesh.pod("a-pod")
    await call(pod)
    mesh.move("a-pod", State.STARTING)
    assert not (await call(pod))["isError"]


async def test_a_request_as_large_as_allowed_passes(mesh: Rig) -> None:
    """A document of 1 MiB fits."""
    fits = await call(
        mesh.pod("a-pod"),
        "update_channel_document",
        channel_id="design",
        document="x" * 1_048_576,
    )
    assert not fits["isError"]


async def test_a_request_that_is_too_large_is_told_so(mesh: Rig) -> None:
    pod = mesh.pod("a-pod")
    limit = mesh.limits.body_bytes
    answered = await ask(pod, b"x" * (limit + 1))
    assert answered.status == 413
    assert str(limit) in answered.json["error"]
    assert not (await call(pod))["isError"]


async def test_a_request_that_grows_too_large_is_told_so(mesh: Rig) -> None:
    """Its sender does not say beforehand how long it is."""
    pod = mesh.pod("a-pod")
    wire = await Wire.to(pod.port)
    wire.send(request(pod, content_length=None, transfer_encoding="chunked"))
    for _ in range(18):
        wire.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    wire.send(b"0\r\n\r\n")
    assert (await wire.answer()).status == 413
    await wire.ended()
    await wire.close()


async def test_a_sender_that_asks_first_is_spared_the_sending(mesh: Rig) -> None:
    pod = mesh.pod("a-pod")
    wire = await Wire.to(pod.port)
    wire.send(request(pod, content_length="99999999", expect="100-continue"))
    assert (await wire.answer()).status == 413
    await wire.close()


async def test_a_body_that_never_ends_is_given_up(rig: Rig) -> None:
    rig.limits = Limits(body_seconds=0.05)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        pod = rig.pod("a-pod")
        wire = await Wire.to(pod.port)
        wire.send(request(pod, b"{", content_length="50"))
        assert (await wire.answer()).status == 408
        await wire.ended()
        await wire.close()
        serving.cancel()


async def test_a_body_that_trickles_is_given_up_long_before_its_time(rig: Rig) -> None:
    rig.limits = Limits(body_pause_seconds=0.1, body_bytes_per_second=10_000)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        pod = rig.pod("a-pod")
        wire = await Wire.to(pod.port)
        wire.send(request(pod, content_length="100000"))

        async def trickle() -> None:
            while not wire.writer.is_closing():
                wire.send(b"x")
                await asyncio.sleep(0.01)

        trickling = tasks.create_task(trickle())
        assert (await wire.answer()).status == 408
        trickling.cancel()
        await wire.ended()
        await wire.close()
        serving.cancel()


async def test_a_strangers_body_is_not_waited_for(mesh: Rig) -> None:
    pod, loop = mesh.pod("a-pod"), asyncio.get_running_loop()
    assert (await ask(pod, tool())).status == 200
    wire = await Wire.to(pod.port)
    began = loop.time()
    wire.send(request(pod, b"{", authorization=None, content_length="50"))
    assert (await wire.answer()).status == 403
    assert loop.time() - began < 0.5
    await wire.close()


async def test_a_sender_that_leaves_in_the_middle_leaves_nothing(mesh: Rig) -> None:
    pod = mesh.pod("a-pod")
    wire = await Wire.to(pod.port)
    wire.send(request(pod, b"{", content_length="50"))
    await wire.writer.drain()
    await wire.close()
    assert not (await call(pod))["isError"]


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_closing_the_connection_cancels_the_call_at_the_controller(
    mesh: Rig, version: str
) -> None:
    """There are no sessions: a notification could not say which call is meant."""
    controller, pod = mesh.controller, mesh.pod("a-pod")
    controller.answer = lambda _: asyncio.get_running_loop().create_future()
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    about = {"_meta": meta, "name": "observe_terminal", "arguments": {"pod_key": "x"}}
    wire = await Wire.to(pod.port)
    modern = {"mcp_method": "tools/call", "mcp_name": "observe_terminal"}
    body = rpc("tools/call", 1, **about)
    wire.send(request(pod, body, mcp_protocol_version=version, **modern))
    await until(lambda: controller.under_way, "the call is under way")
    cancelling = await ask(pod, rpc("notifications/cancelled", None, requestId=1))
    assert cancelling.status == 202
    assert controller.under_way == 1
    await wire.close()
    await until(lambda: controller.cancelled, "the call is cancelled")
