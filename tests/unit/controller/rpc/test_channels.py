"""Channels at the public port: who may read and send, and what a follower sees."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from meshwire.v1 import link_pb2, link_pb2_grpc

from controller.kube.errors import Unavailable
from controller.rpc.channels import ChannelsDoor
from controller.rpc.interceptor import Gatekeeper
from controller.services.access import Access
from controller.store.records import ChannelRef
from schemas.names import CHANNEL
from tests.unit.controller.kube_memory import MemoryUser
from tests.unit.controller.talk import Talk, talk

pytestmark = pytest.mark.anyio

Code = grpc.StatusCode
ADA = "ada-token"


@dataclass
class Reviews:
    """An API server that knows Ada and what she may do with channels/messages."""

    tokens: dict[str, MemoryUser] = field(default_factory=dict)
    allowed: set[tuple[str, str, str]] = field(default_factory=set)
    """(user, verb, channel) in the namespace acme."""
    asked: int = 0
    down: bool = False

    async def review_token(self, token: str, audiences: Any = ()) -> MemoryUser | None:
        assert audiences == ()
        return self.tokens.get(token)

    async def may(self, user: MemoryUser, **what: str) -> tuple[bool, str]:
        self.asked += 1
        if self.down:
            raise Unavailable("it does not answer")
        assert (what["group"], what["resource"], what["subresource"]) == (
            "agentsmesh.io",
            "channels",
            "messages",
        )
        allowed = (user.name, what["verb"], what["name"]) in self.allowed
        return allowed and what["namespace"] == "acme", ""


@dataclass
class Port:
    """The service behind the interceptor of both ports, on loopback."""

    world: Talk
    reviews: Reviews
    stub: Any

    async def send(self, token: str = ADA, **fields: Any) -> link_pb2.ChannelMessage:
        request = {"namespace": "acme", "channel": "design", "content": "hello"} | fields
        found: link_pb2.ChannelMessage = await self.stub.Send(
            link_pb2.ChannelSend(**request), metadata=meta(token), timeout=5
        )
        return found

    def reading(self, token: str = ADA, **fields: Any) -> Any:
        request = {"namespace": "acme", "channel": "design"} | fields
        return self.stub.Read(link_pb2.ChannelRead(**request), metadata=meta(token), timeout=10)

    async def read(self, **fields: Any) -> list[str]:
        return [message.content async for message in self.reading(**fields)]


def meta(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),) if token else ()


@asynccontextmanager
async def serving(folder: Path, recheck_seconds: float = 60.0) -> AsyncIterator[Port]:
    async with talk(folder) as world:
        reviews = Reviews({ADA: MemoryUser("ada@acme.example")})
        reviews.allowed = {
            ("ada@acme.example", verb, name)
            for verb in ("get", "create")
            for name in ("design", "secret", "nothing")
        }
        access = Access(reviews)
        nobody: Any = None  # runners do not come here
        server = grpc.aio.server(interceptors=(Gatekeeper(nobody, access),))
        door = ChannelsDoor(world.channels, access, recheck_seconds=recheck_seconds)
        link_pb2_grpc.add_ChannelsServicer_to_server(door, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        options = (("grpc.enable_http_proxy", 0),)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            await world.channel("design")
            yield Port(world, reviews, link_pb2_grpc.ChannelsStub(channel))
        await server.stop(0)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    async with serving(tmp_path) as found:
        yield found


async def ends(call: Any) -> tuple[grpc.StatusCode, str]:
    """Read the call to its end and return its status."""
    async with asyncio.timeout(5):
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                pass
        return await call.code(), await call.details()


async def refusal(port: Port, **fields: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await port.send(**fields)
    return caught.value.code(), caught.value.details()


async def test_a_person_and_a_pod_talk(port: Port) -> None:
    fix = await port.world.pod("fix")
    sent = await port.send(content="how is it?\n", mentions=["fix"], idempotency_key="k")
    assert (sent.sequence, sent.sender_user, list(sent.mentions)) == (
        1,
        "ada@acme.example",
        ["fix"],
    )
    assert (sent.sender_pod, sent.message_type) == ("", "text")
    assert sent.created_at == "2027-01-15T08:00:00.000000Z"
    assert (await port.send(content="how is it?\n", mentions=["fix"], idempotency_key="k")) == sent
    answer = await port.world.call(
        fix,
        "send_channel_message",
        channel_id="design",
        content="done",
        reply_to=sent.message_id,
        message_type="system",
    )
    messages = [message async for message in port.reading()]
    assert [(m.sequence, m.content) for m in messages] == [(1, "how is it?\n"), (2, "done")]
    assert (messages[1].sender_pod, messages[1].sender_user) == ("fix", "")
    assert (messages[1].reply_to, messages[1].message_type) == (sent.message_id, "system")
    assert messages[1].message_id == answer["message_id"]
    found = await port.world.call(fix, "get_channel_messages", channel_id="design")
    assert found["messages"][0]["sender_user"] == "ada@acme.example"
    (delivery,) = await port.world.messages.open_deliveries()
    assert 'from user "ada@acme.example"' in delivery.text


async def test_people_see_private_channels_and_are_told_who_gets_no_prompt(port: Port) -> None:
    await port.world.channel("secret", visibility="private", members=[{"name": "over"}])
    over = await port.world.pod("over")
    await port.world.end(over)
    sent = await port.send(channel="secret", mentions=["over"])
    assert list(sent.undeliverable) == ["over"]
    assert await port.read(channel="secret") == ["hello"]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        pytest.param({}, "12345", id="all"),
        pytest.param({"limit": 2}, "12", id="the first"),
        pytest.param({"limit": 2, "newest": True}, "45", id="the last"),
        pytest.param({"limit": 9, "newest": True}, "12345", id="more than there are"),
        pytest.param({"after_sequence": 3}, "45", id="to read on"),
        pytest.param({"after_sequence": 3, "limit": 9, "newest": True}, "45", id="both"),
        pytest.param({"after_sequence": 9}, "", id="nothing new"),
    ],
)
async def test_messages_are_read(port: Port, fields: dict[str, Any], found: str) -> None:
    for number in range(1, 6):
        await port.send(content=str(number))
    assert "".join(await port.read(**fields)) == found


async def test_a_long_channel_is_read_whole(port: Port) -> None:
    sent = await asyncio.gather(*(port.send(content=str(number)) for number in range(450)))
    told = {message.sequence: message.content for message in sent}
    texts = [told[sequence] for sequence in range(1, 451)]
    assert await port.read() == texts
    assert await port.read(limit=401) == texts[:401]
    assert await port.read(limit=300, newest=True) == texts[150:]


async def test_a_follower_gets_what_comes(port: Port) -> None:
    for text in ("old", "last"):
        await port.send(content=text)
    call = port.reading(follow=True, limit=1, newest=True)
    assert (await call.read()).content == "last"
    for number in range(50):
        await port.send(content=str(number))
    assert [(await call.read()).content for _ in range(50)] == [str(n) for n in range(50)]
    call.cancel()


async def test_a_follower_of_a_channel_that_goes_is_told(port: Port) -> None:
    await port.send()
    call = port.reading(follow=True)
    await call.read()
    await port.world.kube.delete(CHANNEL, "acme", "design")
    channel = port.world.stored("design").metadata
    assert channel.deleting
    await port.world.messages.forget_channel(ChannelRef(channel.uid, "acme"))
    code, said = await ends(call)
    assert code is Code.NOT_FOUND
    assert "no such channel" in said


async def test_a_follower_who_may_no_longer_read_is_cut_off(tmp_path: Path) -> None:
    async with serving(tmp_path, recheck_seconds=0.05) as port:
        await port.send()
        call = port.reading(follow=True)
        await call.read()
        port.reviews.down = True  # the API server is away for a moment: the stream goes on
        asked = port.reviews.asked
        async with asyncio.timeout(5):
            while port.reviews.asked < asked + 2:
                await asyncio.sleep(0.01)
        port.reviews.down = False
        await port.send(content="still there")
        assert (await call.read()).content == "still there"
        port.reviews.allowed = set()
        code, said = await ends(call)
        assert code is Code.PERMISSION_DENIED
        assert "user ada@acme.example may not get channels/messages" in said


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        pytest.param({"token": ""}, Code.UNAUTHENTICATED, "bearer token", id="no token"),
        pytest.param({"token": "stolen"}, Code.UNAUTHENTICATED, "not accept", id="a wrong one"),
        pytest.param(
            {"namespace": "rival"}, Code.PERMISSION_DENIED, "may not create", id="not hers"
        ),
        pytest.param({"channel": "other"}, Code.PERMISSION_DENIED, "may not create", id="no leave"),
        pytest.param({"channel": "nothing"}, Code.NOT_FOUND, "no such channel", id="no channel"),
        pytest.param({"channel": "../x"}, Code.INVALID_ARGUMENT, "names", id="no name"),
        pytest.param({"content": ""}, Code.INVALID_ARGUMENT, "content", id="no content"),
        pytest.param({"content": "x" * 32_769}, Code.INVALID_ARGUMENT, "content", id="too much"),
        pytest.param({"content": "a\x00"}, Code.INVALID_ARGUMENT, "NUL", id="NUL"),
        pytest.param({"mentions": ["nobody"]}, Code.NOT_FOUND, "nobody", id="unknown pod"),
        pytest.param({"mentions": ["p"] * 33}, Code.INVALID_ARGUMENT, "mentions", id="too many"),
        pytest.param({"reply_to": "1"}, Code.NOT_FOUND, "reply_to", id="no such message"),
    ],
)
async def test_what_cannot_be_sent_is_refused_and_not_stored(
    port: Port, fields: dict[str, Any], code: grpc.StatusCode, words: str
) -> None:
    found, said = await refusal(port, **fields)
    assert found is code
    assert words in said
    assert await port.read() == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        pytest.param({"token": ""}, Code.UNAUTHENTICATED, id="no token"),
        pytest.param({"namespace": "rival"}, Code.PERMISSION_DENIED, id="not hers"),
        pytest.param({"channel": "nothing"}, Code.NOT_FOUND, id="no channel"),
        pytest.param({"channel": "UPPER"}, Code.INVALID_ARGUMENT, id="no name"),
        pytest.param({"channel": "nothing", "follow": True}, Code.NOT_FOUND, id="no channel, ever"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    port: Port, fields: dict[str, Any], code: grpc.StatusCode
) -> None:
    assert (await ends(port.reading(**fields)))[0] is code


async def test_who_may_read_may_not_send(port: Port) -> None:
    port.reviews.allowed = {("ada@acme.example", "get", "design")}
    assert (await refusal(port))[0] is Code.PERMISSION_DENIED
    assert await port.read() == []


async def test_an_archived_channel_is_read_only(port: Port) -> None:
    await port.send()
    await port.world.kube.patch(CHANNEL, "acme", "design", {"spec": {"archived": True}})
    code, said = await refusal(port)
    assert code is Code.FAILED_PRECONDITION
    assert "archived" in said
    assert await port.read() == ["hello"]
