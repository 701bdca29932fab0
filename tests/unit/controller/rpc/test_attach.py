"""Terminals end to end: who may look, what is passed on, and that nobody waits for the slow."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from meshwire.v1 import link_pb2, link_pb2_grpc

from controller.kube.errors import Unavailable
from controller.services.terminals import MAX_VIEWS_PER_POD, WINDOW_BYTES
from tests.unit.controller.kube_memory import MemoryUser
from tests.unit.controller.rpc.world import (
    ORG,
    Holder,
    World,
    ends,
    hello,
    read,
    until,
    world,
)

pytestmark = pytest.mark.anyio

Code = grpc.StatusCode
Up, In = link_pb2.TerminalUp, link_pb2.AttachIn
ADA = "ada-token"


class Side:
    """The runner's side: a terminal that prints when told to."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.credits: dict[int, int] = {}
        self.inputs: list[link_pb2.Input] = []

    async def next(self, kind: str) -> tuple[int, Any]:
        async with asyncio.timeout(5):
            while True:
                down = await self.call.read()
                assert down is not grpc.aio.EOF
                if down.WhichOneof("msg") == "credit":
                    self.credits[down.view] = self.credits.get(down.view, 0) + down.credit.bytes
                if down.WhichOneof("msg") == "input":
                    self.inputs.append(down.input)
                if down.WhichOneof("msg") == kind:
                    return down.view, getattr(down, kind)

    async def opened(self, **fields: Any) -> int:
        view, _ = await self.next("open")
        await self.call.write(Up(view=view, opened=link_pb2.ViewOpened(running=True, **fields)))
        return view

    async def say(self, view: int, offset: int, data: bytes) -> None:
        await self.call.write(Up(view=view, output=link_pb2.Output(offset=offset, data=data)))


@pytest.fixture
async def mesh() -> AsyncIterator[World]:
    async with world() as found:
        yield found


@pytest.fixture
async def holder(mesh: World) -> Holder:
    return await ready(mesh)


async def ready(mesh: World) -> Holder:
    """Enrol a runner, place a pod on it, and let Ada attach."""
    found = await mesh.runner()
    mesh.pod(found.runner)
    mesh.kube.tokens[ADA] = MemoryUser("ada")
    mesh.kube.allowed |= {
        ("ada", "create", "attach", ORG, "fix"),
        ("ada", "get", "log", ORG, "fix"),
    }
    return found


async def serve(mesh: World, holder: Holder, instance: str = "i-1") -> Side:
    stub = link_pb2_grpc.RunnerTerminalStub(await mesh.runner_port(holder))
    call = stub.Serve()
    await call.write(Up(hello=link_pb2.TerminalHello(instance_id=instance)))
    return Side(call)


async def attach(mesh: World, token: str = ADA, credit: int = 0, **wish: Any) -> Any:
    stub = link_pb2_grpc.AttachStub(await mesh.public())
    call = stub.Attach(metadata=(("authorization", f"Bearer {token}"),))
    fields = {"namespace": ORG, "pod": "fix", "follow": True} | wish
    await call.write(In(open=link_pb2.AttachOpen(**fields)))
    if credit:
        await call.write(In(credit=link_pb2.Credit(bytes=credit)))
    return call


async def test_a_viewer_sees_the_screen_then_the_bytes_and_types(
    mesh: World, holder: Holder
) -> None:
    side = await serve(mesh, holder)
    size = link_pb2.TerminalSize(cols=100, rows=30)
    call = await attach(mesh, credit=1000, size=size)
    view, request = await side.next("open")
    assert (request.ref.pod_uid, request.ref.epoch, request.follow) == ("uid-fix", 1, True)
    assert request.size == size
    await side.call.write(Up(view=view, opened=link_pb2.ViewOpened(offset=7, screen=b"scr")))
    assert (await read(call, "opened")).screen == b"scr"
    assert (await side.next("credit"))[1].bytes == 1000
    await side.say(view, 7, b"hello")
    output = await read(call, "output")
    assert (output.offset, output.data) == (7, b"hello")
    await side.call.write(Up(view=view, gap=link_pb2.Gap(from_offset=12, to_offset=20)))
    assert (await read(call, "gap")).to_offset == 20

    for seq in (1, 2, 3):
        await call.write(In(input=link_pb2.Input(seq=seq, data=b"%d" % seq)))
    typed = [(await side.next("input"))[1] for _ in range(3)]
    assert [(one.seq, one.data) for one in typed] == [(1, b"1"), (2, b"2"), (3, b"3")]
    await side.call.write(Up(view=view, input_ack=link_pb2.InputAck(seq=3)))
    assert (await read(call, "input_ack")).seq == 3
    await call.write(In(resize=link_pb2.TerminalSize(cols=80, rows=24)))
    assert (await side.next("resize"))[1].cols == 80

    ended = link_pb2.ViewEnded(reason="Exited", exit_code=3)
    await side.call.write(Up(view=view, ended=ended))
    last = await read(call, "ended")
    assert (last.reason, last.exit_code, last.offset) == ("Exited", 3, 20)
    assert (await ends(call))[0] == Code.OK
    assert (await side.next("close"))[0] == view


@pytest.mark.parametrize(
    "wish", [{}, {"read_only": True}, {"read_only": True, "recording": True}], ids=str
)
async def test_a_viewer_is_told_that_a_pod_is_suspended_and_that_it_goes_on(
    mesh: World, holder: Holder, wish: dict[str, bool]
) -> None:
    side = await serve(mesh, holder)
    mesh.pod(holder.runner, suspended="it is frozen")
    call = await attach(mesh, credit=1000, **wish)
    assert (await read(call)).note.text == "fix is suspended: it is frozen"  # before the screen
    await side.next("export" if wish.get("recording") else "open")
    mesh.pod(holder.runner)
    mesh.placement.signals.notify(holder.runner)
    assert (await read(call)).note.text == "fix goes on"
    mesh.pod(holder.runner, suspended="again")
    mesh.placement.signals.notify(holder.runner)
    assert (await read(call)).note.text == "fix is suspended: again"


async def test_who_reads_what_was_is_told_nothing_of_what_is(mesh: World, holder: Holder) -> None:
    side = await serve(mesh, holder)
    mesh.pod(holder.runner, suspended="it is frozen")
    call = await attach(mesh, read_only=True, follow=False)
    await side.opened()
    assert (await read(call)).WhichOneof("msg") == "opened"


async def test_a_viewer_that_leaves_closes_its_view(mesh: World, holder: Holder) -> None:
    side = await serve(mesh, holder)
    call = await attach(mesh)
    view = await side.opened()
    await read(call, "opened")
    call.cancel()
    assert (await side.next("close"))[0] == view


@pytest.mark.parametrize(
    ("token", "wish", "code", "text"),
    [
        pytest.param("nobody", {}, Code.UNAUTHENTICATED, "bearer token", id="unknown token"),
        pytest.param("eve-token", {}, Code.PERMISSION_DENIED, "may not create", id="no right"),
        pytest.param(
            "eve-token", {"pod": "ghost"}, Code.PERMISSION_DENIED, "may not", id="no hint of pods"
        ),
        pytest.param(
            "reader-token", {}, Code.PERMISSION_DENIED, "agentpods/attach", id="may only look"
        ),
        pytest.param("ada-token", {"namespace": "globex"}, Code.PERMISSION_DENIED, "globex",
            id="another organization"),
        pytest.param("ada-token", {"pod": "ghost"}, Code.NOT_FOUND, "no AgentPod ghost",
            id="no such pod"),
        pytest.param("ada-token", {"pod": "new"}, Code.FAILED_PRECONDITION, "not placed",
            id="not placed"),
        pytest.param("ada-token", {"pod": "../x"}, Code.INVALID_ARGUMENT, "names", id="a path"),
        pytest.param("ada-token", {"pod": "x.9"}, Code.PERMISSION_DENIED, "may not",
            id="with a dot"),
    ],
)  # fmt: skip
async def test_who_may_not_attach_is_told_why(
    mesh: World, holder: Holder, token: str, wish: dict[str, str], code: Any, text: str
) -> None:
    await serve(mesh, holder)
    mesh.pod(None, "new")
    mesh.kube.tokens |= {"eve-token": MemoryUser("eve"), "reader-token": MemoryUser("reader")}
    mesh.kube.allowed |= {
        ("ada", "create", "attach", ORG, "ghost"),
        ("ada", "create", "attach", ORG, "new"),
        ("reader", "get", "log", ORG, "fix"),
    }
    found, details = await ends(await attach(mesh, token, **wish))
    assert found == code
    assert text in details
    assert "token-" not in details


@pytest.mark.parametrize("content", ["input", "resize"])
async def test_a_reader_sees_and_may_not_touch(mesh: World, holder: Holder, content: str) -> None:
    mesh.kube.allowed.discard(("ada", "create", "attach", ORG, "fix"))
    side = await serve(mesh, holder)
    size = link_pb2.TerminalSize(cols=10, rows=10)
    call = await attach(mesh, credit=100, read_only=True, size=size)
    view, request = await side.next("open")
    assert not request.HasField("size")
    await side.next("credit")
    await side.say(view, 0, b"seen")
    assert (await read(call, "output")).data == b"seen"
    touch = {"input": link_pb2.Input(seq=1, data=b"x"), "resize": size}[content]
    await call.write(In(**{content: touch}))
    assert (await ends(call))[0] == Code.PERMISSION_DENIED
    down = await side.call.read()
    assert down.WhichOneof("msg") == "close"


async def test_answers_of_the_api_server_are_remembered_for_a_moment(
    mesh: World, holder: Holder
) -> None:
    side = await serve(mesh, holder)
    for _ in range(5):
        call = await attach(mesh)
        await side.opened()
        await read(call, "opened")
    assert mesh.kube.reviews == 1


@pytest.mark.parametrize("lost", ["token", "right"])
async def test_a_right_that_is_withdrawn_ends_a_long_stream(lost: str) -> None:
    async with world(recheck_seconds=0.2) as mesh:
        holder = await ready(mesh)
        side = await serve(mesh, holder)
        call = await attach(mesh)
        view = await side.opened()
        await read(call, "opened")
        rounds = mesh.kube.reviews

        mesh.kube.before = _down  # the API server cannot be asked: the stream goes on
        await asyncio.sleep(0.5)
        mesh.kube.before = lambda *_: None
        await until(lambda: mesh.kube.reviews > rounds)
        assert not call.done()
        if lost == "token":
            mesh.kube.tokens.clear()
        else:
            mesh.kube.allowed.clear()
        expected = Code.UNAUTHENTICATED if lost == "token" else Code.PERMISSION_DENIED
        assert (await ends(call))[0] == expected
        assert (await side.next("close"))[0] == view


def _down(*_: object) -> None:
    raise Unavailable("down")


async def test_a_runner_that_goes_away_ends_its_views_with_a_sentence(
    mesh: World, holder: Holder
) -> None:
    side = await serve(mesh, holder)
    call = await attach(mesh, credit=100)
    view = await side.opened()
    await side.next("credit")
    await side.say(view, 0, b"0123456789")
    await read(call, "output")
    side.call.cancel()
    ended = await read(call, "ended")
    assert (ended.reason, ended.offset) == ("RunnerAway", 10)
    assert "laptop is not connected" in ended.message
    assert (await ends(call))[0] == Code.OK


async def test_a_viewer_waits_a_moment_for_a_runner_that_comes_back(
    mesh: World, holder: Holder
) -> None:
    call = await attach(mesh)
    side = await serve(mesh, holder)
    await side.opened()
    assert (await read(call, "opened")).running


async def test_a_runner_that_stays_away_is_told() -> None:
    async with world(link_wait_seconds=0.1) as mesh:
        await ready(mesh)
        assert (await read(await attach(mesh), "ended")).reason == "RunnerAway"


async def test_a_newer_stream_of_the_runner_replaces_the_old_one(
    mesh: World, holder: Holder
) -> None:
    old = await serve(mesh, holder)
    call = await attach(mesh)
    await old.opened()
    await read(call, "opened")
    new = await serve(mesh, holder)
    assert (await read(call, "ended")).reason == "RunnerAway"
    again = await attach(mesh)
    await new.opened()
    assert (await read(again, "opened")).running


async def test_a_twin_cannot_take_the_terminals(mesh: World, holder: Holder) -> None:
    session = (await mesh.control(holder)).Connect()
    await session.write(hello("machine-a"))
    await read(session, "welcome")
    side = await serve(mesh, holder, "machine-b")
    assert (await ends(side.call))[0] == Code.FAILED_PRECONDITION


async def _pump(side: Side, sent: dict[int, int], total: int) -> None:
    """Print *total* bytes on every view, never more than it has credit for."""
    while any(done < total for done in sent.values()):
        for view, done in sent.items():
            length = min(side.credits.get(view, 0), 64 * 1024, total - done)
            if length > 0:
                await side.say(view, done, b"x" * length)
                sent[view] += length
                side.credits[view] -= length
        if all(not side.credits.get(view) or done == total for view, done in sent.items()):
            await side.next("credit")


async def test_a_slow_viewer_stalls_nobody_and_holds_no_more_than_a_window(
    mesh: World, holder: Holder
) -> None:
    side = await serve(mesh, holder)
    total = 8 * 1024 * 1024
    slow = await attach(mesh, credit=1 << 40)
    slow_view = await side.opened()
    fast = await attach(mesh, credit=1 << 40)
    fast_view = await side.opened()
    await read(slow, "opened")
    sent = {slow_view: 0, fast_view: 0}
    pump = asyncio.ensure_future(_pump(side, sent, total))
    got = 0
    async with asyncio.timeout(30):
        while got < total:
            message = await fast.read()
            if message.WhichOneof("msg") == "output":
                assert message.output.offset == got
                got += len(message.output.data)
    # beyond our window lies only what HTTP/2 and the client itself took from it
    assert sent[slow_view] < total
    got = 0
    async with asyncio.timeout(30):  # and when it reads again it misses nothing
        while got < total:
            message = await slow.read()
            if message.WhichOneof("msg") == "output":
                assert message.output.offset == got
                got += len(message.output.data)
    await pump


async def test_credit_of_a_viewer_is_never_exceeded(mesh: World, holder: Holder) -> None:
    side = await serve(mesh, holder)
    call = await attach(mesh, credit=10)
    view = await side.opened()
    assert (await side.next("credit"))[1].bytes == 10
    await side.say(view, 0, b"x" * 11)
    ended = await read(call, "ended")
    assert (ended.reason, "more output" in ended.message) == ("Failed", True)


async def test_a_generous_viewer_gets_a_window_at_a_time(mesh: World, holder: Holder) -> None:
    side = await serve(mesh, holder)
    await attach(mesh, credit=1 << 50)
    await side.opened()
    assert (await side.next("credit"))[1].bytes == WINDOW_BYTES


async def test_input_waits_for_its_acknowledgement_and_loses_nothing(
    mesh: World, holder: Holder
) -> None:
    side = await serve(mesh, holder)
    call = await attach(mesh)
    view = await side.opened()
    pieces = 24  # of 32 KiB: three windows

    async def type_all() -> None:
        for seq in range(1, pieces + 1):
            data = bytes([seq]) * 32 * 1024
            await call.write(In(input=link_pb2.Input(seq=seq, data=data)))

    typing = asyncio.ensure_future(type_all())
    window = WINDOW_BYTES // (32 * 1024)
    while len(side.inputs) < window:
        await side.next("input")
    other = await attach(mesh)  # another viewer is not held up meanwhile
    await side.opened()
    assert (await read(other, "opened")).running
    assert len(side.inputs) == window
    while len(side.inputs) < pieces:
        last = side.inputs[-1].seq
        await side.call.write(Up(view=view, input_ack=link_pb2.InputAck(seq=last)))
        await side.next("input")
    await typing
    assert [(one.seq, one.data[:1]) for one in side.inputs] == [
        (seq, bytes([seq])) for seq in range(1, pieces + 1)
    ]


async def test_there_is_a_limit_to_viewers_of_a_pod(mesh: World, holder: Holder) -> None:
    side = await serve(mesh, holder)
    calls = [await attach(mesh) for _ in range(MAX_VIEWS_PER_POD)]
    for _ in calls:
        await side.opened()
    for call in calls:
        await read(call, "opened")
    assert (await ends(await attach(mesh)))[0] == Code.RESOURCE_EXHAUSTED
    calls[0].cancel()
    await side.next("close")
    again = await attach(mesh)
    await side.opened()
    assert (await read(again, "opened")).running


async def test_no_token_is_logged(
    mesh: World, holder: Holder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        side = await serve(mesh, holder)
        call = await attach(mesh)
        await side.opened()
        await read(call, "opened")
        await ends(await attach(mesh, "canary-token"))
    records = " ".join(str(record.__dict__) for record in caplog.records)
    assert "ada-token" not in records
    assert "canary" not in records
