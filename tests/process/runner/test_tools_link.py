"""The link of tools over real mutual TLS, with a controller as a test scripts it."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from meshwire.v1 import link_pb2, link_pb2_grpc

from runner.link import tools
from runner.link.identity import About, Identity, assemble, new_key, signing_request
from runner.link.tools import ToolsAway, ToolsLink
from tests.process.runner.daemon.conftest import DER, Authority

pytestmark = pytest.mark.anyio

LOOK = link_pb2.Look(lines=1)


class Controller(link_pb2_grpc.RunnerToolsServicer):
    """Answers calls by their tool's name, asks what a test wants asked."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.port = 0
        self.calls: list[link_pb2.ToolCall] = []
        self.go = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.streams: list[Stream] = []
        self.peers: set[str] = set()
        self._server: Any = None

    async def begin(self) -> None:
        self._server = grpc.aio.server()
        link_pb2_grpc.add_RunnerToolsServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]  # generated
        key, chain = self.authority.server()
        credentials = grpc.ssl_server_credentials(
            [(key, chain)], self.authority.root_pem, require_client_auth=True
        )
        address = f"127.0.0.1:{self.port}"
        self.port = self._server.add_secure_port(address, credentials)
        await self._server.start()

    async def end(self) -> None:
        await self._server.stop(0)

    async def Call(self, request: link_pb2.ToolCall, context: Any) -> link_pb2.ToolResult:  # noqa: N802
        self.calls.append(request)
        self.peers.add(context.peer())
        match request.tool:
            case "slow":
                try:
                    await self.go.wait()
                except asyncio.CancelledError:
                    self.cancelled.set()
                    raise
            case "refused":
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")
            case "broken":
                await context.abort(grpc.StatusCode.INTERNAL, "a bug")
            case _:
                pass
        return link_pb2.ToolResult(structured=request.arguments)

    async def Serve(self, request_iterator: Any, context: Any) -> None:  # noqa: N802, ARG002
        stream = Stream(context)
        for older in self.streams:
            older.end.set()
        self.streams.append(stream)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(stream.read())
            ending = tasks.create_task(stream.end.wait())
            await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
            reading.cancel()
            ending.cancel()


class Stream:
    def __init__(self, context: Any) -> None:
        self.context = context
        self.came: list[link_pb2.AskUp] = []
        self.end = asyncio.Event()
        self.open = True

    async def read(self) -> None:
        try:
            while isinstance(message := await self.context.read(), link_pb2.AskUp):
                self.came.append(message)
        finally:
            self.open = False

    async def ask(self, number: int, uid: str = "a", **what: Any) -> None:
        ref = link_pb2.PodRef(pod_uid=uid, epoch=1)
        await self.context.write(link_pb2.AskDown(number=number, ref=ref, **what))

    def answers(self) -> dict[int, link_pb2.AskUp]:
        return {each.number: each for each in self.came if each.number}

    def reports(self) -> list[tuple[str, int]]:
        return [(up.delivery.id, up.delivery.state) for up in self.came if up.HasField("delivery")]


class Asks:
    """Answers with the pod's uid; those of pods called slow wait."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun: list[link_pb2.AskDown] = []
        self.cancelled = 0

    async def answer(self, ask: link_pb2.AskDown) -> link_pb2.AskUp:
        self.begun.append(ask)
        if ask.ref.pod_uid == "broken":
            raise ZeroDivisionError
        if ask.ref.pod_uid.startswith("slow"):
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return link_pb2.AskUp(looked=link_pb2.Looked(output=ask.ref.pod_uid))


class Deliveries:
    """Keeps them in memory."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self.gone: list[str] = []
        self.changed: dict[str, int] = {}
        self.known: dict[str, int] = {}
        self._wakes: list[Callable[[], None]] = []
        self.feeds = 0

    async def want(self, ref: link_pb2.PodRef, deliver: link_pb2.Deliver) -> None:
        assert ref.pod_uid
        if deliver.id == "broken":
            raise OSError("the disk is full")
        self.wanted.append(deliver.id)
        self.move(deliver.id, link_pb2.DELIVERY_ACCEPTED)

    async def settled(self, delivery_id: str) -> None:
        self.gone.append(delivery_id)

    def move(self, delivery_id: str, state: int) -> None:
        self.known[delivery_id] = self.changed[delivery_id] = state
        for wake in self._wakes:
            wake()

    def subscribe(self, wake: Callable[[], None]) -> "Feed":
        self._wakes.append(wake)
        self.feeds += 1
        return Feed(self)


class Feed:
    def __init__(self, of: Deliveries) -> None:
        self._of = of
        self._next = dict(of.known)

    def take(self) -> list[link_pb2.DeliveryReport]:
        found = self._next | self._of.changed
        self._next, self._of.changed = {}, {}
        return [link_pb2.DeliveryReport(id=name, state=state) for name, state in found.items()]  # type: ignore[arg-type]

    def close(self) -> None:
        self._of.feeds -= 1


class Identities:
    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._moved = asyncio.Condition()
        self.current = self._new()

    def _new(self) -> Identity:
        key = new_key()
        leaf = self._authority.runner(signing_request(key), 3600.0)
        about = About("acme", "one", "u1", "spiffe://agentsmesh.local/ns/acme/runner/one/u1", 1)
        return assemble(key, [leaf], [self._authority.root.public_bytes(DER)], about)

    async def valid(self) -> Identity:
        return self.current

    async def replaced(self, identity: Identity) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self.current is not identity)

    async def renew(self) -> None:
        async with self._moved:
            self.current = self._new()
            self._moved.notify_all()


class World:
    def __init__(self, controller: Controller, identities: Identities) -> None:
        self.controller, self.identities = controller, identities
        self.asks, self.deliveries = Asks(), Deliveries()
        self.link = ToolsLink(
            f"127.0.0.1:{controller.port}", identities, "instance", self.asks, self.deliveries
        )

    async def stream(self, count: int = 1) -> Stream:
        await until(lambda: len(self.controller.streams) >= count)
        stream = self.controller.streams[count - 1]
        await until(lambda: stream.came)
        assert stream.came[0].hello.instance_id == "instance"
        return stream

    async def call(self, tool: str = "echo", seconds: float = 5.0) -> bytes:
        request = link_pb2.ToolCall(tool=tool, arguments=b'{"a":1}')
        return (await self.link.call(request, seconds)).structured


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(15):
        while not true():
            await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
async def one_loop() -> AsyncIterator[None]:
    """All tests share a loop: gRPC speaks to every loop whose channels are not collected yet."""
    yield
    gc.collect()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    authority = Authority()
    controller = Controller(authority)
    await controller.begin()
    made = World(controller, Identities(authority))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.link.run())
        yield made
        running.cancel()
    await controller.end()


async def test_a_call_is_carried_out_and_answered(world: World) -> None:
    assert await world.call() == b'{"a":1}'
    assert [call.tool for call in world.controller.calls] == ["echo"]


async def test_a_call_waits_for_a_controller_that_comes_back(world: World) -> None:
    await world.stream()
    await world.controller.end()
    async with asyncio.TaskGroup() as tasks:
        calling = tasks.create_task(world.call(seconds=20))
        await asyncio.sleep(0.1)
        await world.controller.begin()
    assert calling.result() == b'{"a":1}'


async def test_without_a_controller_a_call_ends_soon_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "_RECONNECT_SECONDS", 0.5)
    await world.stream()
    await world.controller.end()
    began = asyncio.get_running_loop().time()
    with pytest.raises(ToolsAway, match="cannot be reached now: try again") as away:
        await world.call(seconds=20)
    assert asyncio.get_running_loop().time() - began < 1.5
    assert not away.value.sent
    assert not world.controller.calls


async def test_a_call_that_may_have_been_done_is_told_from_one_that_was_not(world: World) -> None:
    await world.stream()
    with pytest.raises(ToolsAway, match=r"did not answer within 0\.2 s") as slow:
        await world.call("slow", seconds=0.2)
    await asyncio.wait_for(world.controller.cancelled.wait(), 5)
    with pytest.raises(ToolsAway, match="certificate") as refused:
        await world.call("refused")
    with pytest.raises(ToolsAway, match="INTERNAL") as broken:
        await world.call("broken")
    assert (slow.value.sent, refused.value.sent, broken.value.sent) == (True, False, True)


async def test_a_connection_that_breaks_during_a_call_is_told(world: World) -> None:
    await world.stream()
    async with asyncio.TaskGroup() as tasks:
        calling = tasks.create_task(_away(world))
        await until(lambda: world.controller.calls)
        await world.controller.end()
    assert calling.result().sent
    assert "look whether it was done" in str(calling.result())
    await world.controller.begin()


async def _away(world: World) -> ToolsAway:
    with pytest.raises(ToolsAway) as away:
        await world.call("slow", seconds=20)
    return away.value


async def test_a_call_that_is_cancelled_is_cancelled_at_the_controller(world: World) -> None:
    async with asyncio.TaskGroup() as tasks:
        calling = tasks.create_task(world.call("slow"))
        await until(lambda: world.controller.calls)
        calling.cancel()
    await asyncio.wait_for(world.controller.cancelled.wait(), 5)


async def test_pods_that_are_slow_keep_nobody_waiting(world: World) -> None:
    stream = await world.stream()
    for number in range(1, 41):
        await stream.ask(number, f"slow-{number % 4}", keys=link_pb2.PressKeys(keys=["x"]))
    for number in range(41, 61):
        await stream.ask(number, "slow-0", look=LOOK)
    for number in range(61, 161):
        await stream.ask(number, f"quick-{number}", look=LOOK)
    await until(lambda: len(stream.answers()) == 100)
    assert set(stream.answers()) == set(range(61, 161))
    begun = [ask for ask in world.asks.begun if ask.ref.pod_uid == "slow-0"]
    assert [ask.HasField("look") for ask in begun].count(True) == 8
    assert [ask.HasField("look") for ask in begun].count(False) == 8
    world.asks.go.set()
    await until(lambda: len(stream.answers()) == 160)
    assert all(stream.answers()[number].looked.output for number in range(1, 161))


async def test_an_ask_that_is_cancelled_is_not_answered(world: World) -> None:
    stream = await world.stream()
    await stream.ask(1, "slow", look=LOOK)
    await until(lambda: world.asks.begun)
    await stream.ask(1, cancel=link_pb2.CancelAsk())
    await stream.ask(99, cancel=link_pb2.CancelAsk())
    await until(lambda: world.asks.cancelled)
    await stream.ask(2, look=LOOK)
    await until(stream.answers)
    assert set(stream.answers()) == {2}


async def test_what_fails_or_is_not_known_is_answered_in_a_sentence(world: World) -> None:
    stream = await world.stream()
    await stream.ask(1, "broken", look=LOOK)
    await stream.ask(2)
    await until(lambda: len(stream.answers()) == 2)
    for answer in stream.answers().values():
        assert answer.failed.reason == "Failed"
        assert answer.failed.message.endswith(".")


async def test_deliveries_are_taken_in_order_and_their_reports_sent(world: World) -> None:
    stream = await world.stream()
    for name in ("one", "broken", "two", "three"):
        await stream.ask(0, deliver=link_pb2.Deliver(id=name, text="hello"))
    await until(lambda: len(world.deliveries.wanted) == 3)
    assert world.deliveries.wanted == ["one", "two", "three"]
    world.deliveries.move("two", link_pb2.DELIVERY_SUBMITTED)
    await until(lambda: ("two", link_pb2.DELIVERY_SUBMITTED) in stream.reports())
    await stream.ask(0, settled=link_pb2.DeliverySettled(id="two"))
    await until(lambda: world.deliveries.gone == ["two"])


async def test_a_new_stream_begins_with_all_reports(world: World) -> None:
    await world.stream()
    world.deliveries.move("one", link_pb2.DELIVERY_FAILED)
    world.deliveries.move("two", link_pb2.DELIVERY_ACCEPTED)
    await until(lambda: len(world.controller.streams[0].reports()) == 2)
    await world.controller.end()
    await world.controller.begin()
    stream = await world.stream(2)
    await until(lambda: len(stream.reports()) == 2)
    assert world.deliveries.feeds == 1


async def test_a_new_certificate_takes_over_and_nothing_is_dropped(world: World) -> None:
    older = await world.stream()
    assert await world.call() == b'{"a":1}'
    await older.ask(1, "slow", keys=link_pb2.PressKeys(keys=["x"]))
    async with asyncio.TaskGroup() as tasks:
        calling = tasks.create_task(world.call("slow", seconds=15))
        await until(lambda: len(world.controller.calls) == 2 and world.asks.begun)
        await world.identities.renew()
        await until(lambda: len(world.link._lines) == 2 and world.link._lines[1].is_ready())
        assert await world.call() == b'{"a":1}'
        assert len(world.controller.peers) == 2
        await older.ask(2, "slow", look=LOOK)
        await until(lambda: len(world.asks.begun) == 2)
        assert len(world.controller.streams) == 1
        world.asks.go.set()
        newer = await world.stream(2)
        assert set(older.answers()) == {1, 2}
        world.controller.go.set()
    assert calling.result() == b'{"a":1}'
    await until(lambda: not older.open)
    await until(lambda: len(world.link._lines) == 1)
    assert newer.open
    assert len(world.controller.streams) == 2
    assert await world.call() == b'{"a":1}'


async def test_what_is_being_typed_is_typed_to_its_end_without_the_controller(
    world: World,
) -> None:
    stream = await world.stream()
    await stream.ask(1, "slow-typing", keys=link_pb2.PressKeys(keys=["x"]))
    await stream.ask(2, "slow-look", look=LOOK)
    await until(lambda: len(world.asks.begun) == 2)
    await world.controller.end()
    await until(lambda: world.asks.cancelled)
    await world.controller.begin()
    newer = await world.stream(2)
    world.asks.go.set()
    await newer.ask(3, look=LOOK)
    await until(newer.answers)
    assert set(newer.answers()) == {3}
    assert world.asks.cancelled == 1
