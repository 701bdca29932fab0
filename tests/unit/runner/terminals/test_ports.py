"""One forwarded connection at the runner: credit, order, and how each half ends."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from runner.drivers.sandbox.dial import DialRefusedError
from runner.terminals.ports import PortView

pytestmark = pytest.mark.anyio


@dataclass
class Wire:
    """What the view sends, and the pod's end of its connection."""

    view: PortView
    pod: socket.socket
    sent: asyncio.Queue[link_pb2.TerminalUp] = field(default_factory=asyncio.Queue)

    async def next(self, kind: str) -> Any:
        async with asyncio.timeout(30):
            up = await self.sent.get()
        assert (up.view, up.WhichOneof("msg")) == (7, kind)
        return getattr(up, kind)

    async def output(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            piece = await self.next("output")
            assert piece.offset == len(found)
            found += piece.data
        return found

    def type(self, seq: int, data: bytes) -> None:
        assert self.view.take(link_pb2.Input(seq=seq, data=data))


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        pod, _ = server.accept()
    for each in (ours, pod):
        each.setblocking(False)
    held: list[Wire] = []

    async def connect(port: int) -> socket.socket:
        assert port == 8080
        return ours

    async def send(message: link_pb2.TerminalUp | bytes) -> None:
        raw = message if isinstance(message, bytes) else message.SerializeToString()
        held[0].sent.put_nowait(link_pb2.TerminalUp.FromString(raw))

    held.append(Wire(PortView(7, 8080, connect, send), pod))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(held[0].view.run())
        await held[0].next("opened")
        yield held[0]
        running.cancel()
    pod.close()


async def heard(pod: socket.socket, count: int) -> bytes:
    found = b""
    async with asyncio.timeout(30):
        while len(found) < count:
            found += await asyncio.get_running_loop().sock_recv(pod, count - len(found))
    return found


async def test_no_more_is_sent_than_there_is_credit_for(wire: Wire) -> None:
    wire.pod.send(b"0123456789")
    wire.view.credit(4)
    assert await wire.output(4) == b"0123"
    wire.view.credit(100)
    piece = await wire.next("output")
    assert (piece.offset, piece.data) == (4, b"456789")


async def test_what_is_typed_arrives_in_order_and_is_acknowledged_then(wire: Wire) -> None:
    wire.type(1, b"one ")
    wire.type(2, b"two")
    assert [(await wire.next("input_ack")).seq for _ in range(2)] == [1, 2]
    assert await heard(wire.pod, 7) == b"one two"


async def test_a_pod_that_does_not_read_is_waited_for(wire: Wire) -> None:
    large = b"z" * (32 << 20)
    wire.type(1, large)
    wire.type(2, b"!")
    assert await heard(wire.pod, 1 << 20) == large[: 1 << 20]
    assert wire.sent.empty()
    assert (await heard(wire.pod, len(large) + 1 - (1 << 20)))[-1:] == b"!"
    assert (await wire.next("input_ack")).seq == 1


async def test_the_end_of_one_half_leaves_the_other(wire: Wire) -> None:
    wire.view.credit(100)
    wire.view.take(link_pb2.CloseView())
    async with asyncio.timeout(30):
        assert await asyncio.get_running_loop().sock_recv(wire.pod, 1) == b""
    wire.pod.send(b"late")
    assert await wire.output(4) == b"late"
    wire.pod.shutdown(socket.SHUT_WR)
    await wire.next("end")
    assert (await wire.next("ended")).reason == "Closed"


async def test_a_pod_that_ended_its_half_still_hears(wire: Wire) -> None:
    wire.view.credit(100)
    wire.pod.shutdown(socket.SHUT_WR)
    await wire.next("end")
    wire.type(1, b"more")
    await wire.next("input_ack")
    assert await heard(wire.pod, 4) == b"more"


async def test_a_reset_is_told(wire: Wire) -> None:
    wire.view.credit(100)
    wire.pod.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.pod.close()
    assert (await wire.next("ended")).reason == "Reset"


async def test_more_input_than_fits_ends_it(wire: Wire) -> None:
    wire.type(1, b"z" * (32 << 20))  # the pod reads nothing of it
    for number in range(2, 4000):
        if not wire.view.take(link_pb2.Input(seq=number, data=b"z")):
            return
    pytest.fail("it took everything")


async def test_a_refusal_is_told_with_its_reason() -> None:
    sent: list[Any] = []

    async def connect(port: int) -> socket.socket:
        raise DialRefusedError(f"Nothing listens on port {port} of the pod.")

    async def send(message: Any) -> None:
        sent.append(message.ended)

    await PortView(7, 8080, connect, send).run()
    (ended,) = sent
    assert (ended.reason, ended.message) == ("Refused", "Nothing listens on port 8080 of the pod.")


async def test_port_0_only_tells_that_it_could_be() -> None:
    sent: list[str] = []

    async def connect(port: int) -> None:
        assert port == 0

    async def send(message: Any) -> None:
        sent.append(message.WhichOneof("msg"))

    await PortView(7, 0, connect, send).run()
    assert sent == ["opened", "ended"]
