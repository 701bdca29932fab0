"""Prompts at the public port: who may give them, what is answered, and who loses the right."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from meshwire.v1 import link_pb2, link_pb2_grpc

from controller.rpc.interceptor import Gatekeeper
from controller.rpc.prompts import PromptsDoor
from controller.services.access import Access
from controller.services.prompting import Prompting
from schemas.agentpod import AgentPod
from tests.unit.controller.kube_memory import MemoryUser
from tests.unit.controller.talk import Talk, talk

pytestmark = pytest.mark.anyio

Code = grpc.StatusCode
ADA = "ada-token"


@dataclass
class Reviews:
    """An API server that knows Ada and whom she may give prompts."""

    allowed: set[str] = field(default_factory=lambda: {"fix", "nobody"})

    async def review_token(self, token: str, audiences: Any = ()) -> MemoryUser | None:
        assert audiences == ()
        return MemoryUser("ada") if token == "ada-token" else None

    async def may(self, user: MemoryUser, **what: str) -> tuple[bool, str]:
        wanted = (what["verb"], what["group"], what["resource"], what["subresource"])
        assert wanted == ("create", "agentsmesh.io", "agentpods", "prompt")
        allowed = user.name == "ada" and what["name"] in self.allowed
        return allowed and what["namespace"] == "acme", ""


@dataclass
class Port:
    """The service behind the interceptor of both ports, on loopback."""

    world: Talk
    reviews: Reviews
    stub: Any

    def submit(self, token: str = ADA, **fields: Any) -> Any:
        values = {"namespace": "acme", "pod": "fix", "text": "mend it", "idempotency_key": "k"}
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        request = link_pb2.PromptSubmit(**(values | fields))
        return self.stub.Submit(request, metadata=metadata, timeout=10)

    async def refusal(self, **fields: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.submit(**fields).read()
        return caught.value.code(), caught.value.details()

    async def report(self, pod: AgentPod, prompt_id: str, state: Any, **more: str) -> None:
        ref = link_pb2.PodRef(pod_uid=pod.metadata.uid, epoch=1)
        said = link_pb2.DeliveryReport(ref=ref, id=prompt_id, state=state, **more)
        await self.world.deliveries.reported(self.world.runner_of(pod), said)


@asynccontextmanager
async def serving(folder: Path, recheck_seconds: float) -> AsyncIterator[Port]:
    async with talk(folder) as world:
        reviews = Reviews()
        access = Access(reviews)
        nobody: Any = None  # runners do not come here
        server = grpc.aio.server(interceptors=(Gatekeeper(nobody, access),))
        service = Prompting(world.store, world.messages, world.deliveries, world.kube)
        door = PromptsDoor(service, access, recheck_seconds=recheck_seconds)
        link_pb2_grpc.add_PromptsServicer_to_server(door, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        options = (("grpc.enable_http_proxy", 0),)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            yield Port(world, reviews, link_pb2_grpc.PromptsStub(channel))
        await server.stop(0)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    async with serving(tmp_path, 60.0) as found:
        yield found


async def test_a_prompt_is_told_from_its_acceptance_to_its_end(port: Port) -> None:
    fix = await port.world.pod("fix")
    call = port.submit()
    first = await call.read()
    assert first.state == link_pb2.DELIVERY_QUEUED
    await port.report(fix, first.prompt_id, link_pb2.DELIVERY_ACCEPTED)
    assert (await call.read()).state == link_pb2.DELIVERY_ACCEPTED
    failed = {"reason": "NotReady", "message": "The agent did not run in time."}
    await port.report(fix, first.prompt_id, link_pb2.DELIVERY_FAILED, **failed)
    last = await call.read()
    assert (last.state, last.reason) == (link_pb2.DELIVERY_FAILED, "NotReady")
    assert last.message == "The agent did not run in time."
    assert await call.read() is grpc.aio.EOF


async def test_a_caller_that_left_comes_back_to_the_same_prompt(port: Port) -> None:
    fix = await port.world.pod("fix")
    call = port.submit()
    first = await call.read()
    call.cancel()
    await port.report(fix, first.prompt_id, link_pb2.DELIVERY_SUBMITTED)
    again = await port.submit().read()
    assert (again.prompt_id, again.state) == (first.prompt_id, link_pb2.DELIVERY_SUBMITTED)
    assert await port.world.messages.open_deliveries() == ()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        pytest.param({"token": ""}, Code.UNAUTHENTICATED, id="nobody"),
        pytest.param({"token": "other"}, Code.UNAUTHENTICATED, id="an unknown token"),
        pytest.param({"pod": "secret"}, Code.PERMISSION_DENIED, id="a pod that is not hers"),
        pytest.param({"namespace": "rival"}, Code.PERMISSION_DENIED, id="another organization"),
        pytest.param({"pod": "nobody"}, Code.NOT_FOUND, id="no such pod"),
        pytest.param({"pod": "../x"}, Code.INVALID_ARGUMENT, id="no name"),
        pytest.param({"text": "x" * 40000}, Code.INVALID_ARGUMENT, id="too long"),
        pytest.param({"idempotency_key": ""}, Code.INVALID_ARGUMENT, id="no key"),
        pytest.param({"pod": "done"}, Code.FAILED_PRECONDITION, id="an ended pod"),
    ],
)
async def test_what_must_not_be_is_refused_before_anything_is_stored(
    port: Port, fields: dict[str, Any], code: grpc.StatusCode
) -> None:
    port.reviews.allowed |= {"done"}
    await port.world.pod("fix")
    await port.world.pod("secret")
    await port.world.pod("done", phase="Failed")
    assert (await port.refusal(**fields))[0] is code
    assert await port.world.messages.open_deliveries() == ()


async def test_who_loses_the_right_hears_no_more(tmp_path: Path) -> None:
    async with serving(tmp_path, 0.05) as port:
        await port.world.pod("fix")
        call = port.submit()
        await call.read()
        port.reviews.allowed.clear()
        async with asyncio.timeout(10):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
        assert caught.value.code() is Code.PERMISSION_DENIED
        assert len(await port.world.messages.open_deliveries()) == 1, "it was taken, and stays so"
