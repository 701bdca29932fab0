"""Tickets at the public port: who may make and change them, and what they are told."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from meshwire.v1 import link_pb2, link_pb2_grpc

from controller.gitops.values import Problem
from controller.rpc.interceptor import Gatekeeper
from controller.rpc.tickets import TicketsDoor
from controller.services.access import Access
from controller.services.tickets import Tickets
from schemas.names import TICKET
from schemas.ticket import LINE_MESSAGE
from tests.unit.controller.gitops.writeback.scene import Running, scene, ticket_file
from tests.unit.controller.kube_memory import MemoryUser
from tests.unit.controller.tools.world import World

pytestmark = pytest.mark.anyio

Code = grpc.StatusCode
ADA = "ada-token"


@dataclass
class Reviews:
    """An API server that knows Ada and what she may do with tickets."""

    allowed: set[tuple[str, str]] = field(default_factory=set)
    """(verb, ticket) in the namespace acme."""

    async def review_token(self, token: str, audiences: Any = ()) -> MemoryUser | None:
        assert audiences == ()
        return MemoryUser("ada@acme.example") if token == ADA else None

    async def may(self, user: MemoryUser, **what: str) -> tuple[bool, str]:
        assert user.name == "ada@acme.example"
        assert (what["group"], what["resource"], what["subresource"]) == (
            "agentsmesh.io",
            "tickets",
            "",
        )
        allowed = (what["verb"], what["name"]) in self.allowed
        return allowed and what["namespace"] == "acme", ""


class Port:
    """The service behind the interceptor of both ports, on loopback."""

    def __init__(self, tickets: Tickets) -> None:
        self.reviews = Reviews({("create", ""), ("update", "am-1"), ("update", "tk-aaaa")})
        access = Access(self.reviews)
        nobody: Any = None  # runners do not come here
        self._server = grpc.aio.server(interceptors=(Gatekeeper(nobody, access),))
        link_pb2_grpc.add_TicketsServicer_to_server(TicketsDoor(tickets, access), self._server)
        self._port = self._server.add_insecure_port("127.0.0.1:0")

    async def __aenter__(self) -> "Port":
        await self._server.start()
        options = (("grpc.enable_http_proxy", 0),)
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{self._port}", options)
        self._stub: Any = link_pb2_grpc.TicketsStub(self._channel)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._channel.close()
        await self._server.stop(0)

    async def create(self, spec: Any, token: str = ADA, **more: Any) -> link_pb2.TicketAnswer:
        text = spec if isinstance(spec, str) else json.dumps(spec)
        request = link_pb2.TicketCreate(**{"namespace": "acme", "spec_json": text} | more)
        found: link_pb2.TicketAnswer = await self._stub.Create(
            request, metadata=_meta(token), timeout=30
        )
        return found

    async def update(
        self, name: str, changes: Any, token: str = ADA, **more: Any
    ) -> link_pb2.TicketAnswer:
        fields = {"namespace": "acme", "name": name, "changes_json": json.dumps(changes)}
        found: link_pb2.TicketAnswer = await self._stub.Update(
            link_pb2.TicketUpdate(**fields | more), metadata=_meta(token), timeout=30
        )
        return found


def _meta(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),) if token else ()


@pytest.fixture
async def world() -> World:
    found = World()
    await found.make(TICKET, "am-1", "acme", spec={"title": "One", "labels": ["a"]})
    return found


@pytest.fixture
async def port(world: World) -> AsyncIterator[Port]:
    async with Port(Tickets(world.store, world.kube)) as found:
        yield found


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def test_a_person_makes_and_changes_a_ticket(port: Port, world: World) -> None:
    made = await port.create({"title": "Find the leak", "labels": ["flaky"]}, name="am-2")
    assert json.loads(made.ticket_json)["spec"]["title"] == "Find the leak"
    stored = world.manifest(TICKET, "am-2")
    assert stored["spec"]["labels"] == ["flaky"]
    assert not stored["metadata"].get("annotations"), "created-by is for what pods make"
    changed = await port.update("am-1", {"state": "done", "labels": None}, expected_revision=1)
    assert json.loads(changed.ticket_json)["spec"]["state"] == "done"
    assert "labels" not in world.manifest(TICKET, "am-1")["spec"]
    assert (changed.commit, changed.pending, changed.conflict) == ("", False, "")


async def test_without_a_name_it_gets_an_id_of_its_own(port: Port) -> None:
    made = json.loads((await port.create({"title": "One"})).ticket_json)
    assert made["metadata"]["name"].startswith("tk-")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param("[1]", "JSON object", id="no object"),
        pytest.param("{", "JSON object", id="no JSON"),
        pytest.param("[" * 100_000, "JSON object", id="nested deeper than anybody reads"),
        pytest.param({"title": "x", "titel": "y"}, "'titel' is no field", id="an unknown field"),
        pytest.param({"labels": []}, "title", id="no title"),
        pytest.param({"title": "x", "state": "later"}, "state: must be one of", id="no such state"),
        pytest.param({"title": "a\nb"}, f"title: {LINE_MESSAGE}", id="two lines"),
        pytest.param({"title": ""}, "title: must not be empty", id="an empty title"),
        pytest.param(
            {"title": "x", "acceptance": [{"id": "a1", "text": ""}]},
            "acceptance[0].text: must not be empty",
            id="an item without a text",
        ),
        pytest.param({"title": "x", "body": "y" * 70_000}, "body: must be at most", id="long"),
    ],
)
async def test_what_is_no_ticket_is_refused(port: Port, spec: Any, words: str) -> None:
    code, said = await refusal(port.create(spec))
    assert code is Code.INVALID_ARGUMENT
    assert words in said


async def test_every_refusal_has_its_status(port: Port) -> None:
    assert (await refusal(port.create({"title": "x"}, name="am-1")))[0] is Code.ALREADY_EXISTS
    assert (await refusal(port.create({"title": "x"}, source="fleet")))[0] is Code.NOT_FOUND
    code, said = await refusal(port.create({"title": "x", "parent": "am-9"}))
    assert code is Code.NOT_FOUND
    assert said.startswith("parent: ")
    code, said = await refusal(port.update("am-1", {"state": "done"}, expected_revision=7))
    assert code is Code.ABORTED
    assert "revision 1, not 7" in said
    port.reviews.allowed.add(("update", "am-9"))
    assert (await refusal(port.update("am-9", {"state": "done"})))[0] is Code.NOT_FOUND
    code, _ = await refusal(port.update("", {"state": "done"}))
    assert code is Code.INVALID_ARGUMENT
    code, _ = await refusal(port.update("../am-1", {"state": "done"}))
    assert code is Code.INVALID_ARGUMENT


async def test_who_may_not_changes_nothing(port: Port, world: World) -> None:
    port.reviews.allowed.clear()
    before = world.manifest(TICKET, "am-1")
    code, said = await refusal(port.update("am-1", {"state": "done"}))
    assert code is Code.PERMISSION_DENIED
    assert "may not update tickets in namespace acme" in said
    assert (await refusal(port.create({"title": "x"})))[0] is Code.PERMISSION_DENIED
    for token in ("", "wrong"):
        code, _ = await refusal(port.create({"title": "x"}, token=token))
        assert code is Code.UNAUTHENTICATED
    assert world.manifest(TICKET, "am-1") == before
    assert len([key for key in world.kube.objects if key[0] == "Ticket"]) == 1


async def test_of_a_ticket_in_git_the_answer_names_the_commit(tmp_path: Path) -> None:
    there = scene(tmp_path, {"tk-aaaa.md": ticket_file("tk-aaaa")})
    await there.sync("acme", "fleet")
    async with Running(there) as running, Port(running.tickets) as port:
        answer = await port.update("tk-aaaa", {"state": "done"})
        assert (answer.commit, answer.pending) == (there.team.tip(), False)
        assert json.loads(answer.ticket_json)["spec"]["state"] == "done"
        made = await port.create({"title": "New"}, name="tk-bbbb", source="fleet")
        assert made.commit == there.team.tip()
        text = (there.team.clone / "tk-aaaa.md").read_text().replace("high", "low")
        there.mirror.before = [lambda: there.team.push({"tk-aaaa.md": text})]
        answer = await port.update("tk-aaaa", {"priority": "urgent"})
        assert "priority is low" in answer.conflict
    who = there.team.show("tk-aaaa.md")
    assert "priority: low" in who


async def test_a_change_that_is_not_in_force_is_told_with_file_and_reason(tmp_path: Path) -> None:
    path = "tickets/tk-aaaa.md"
    there = scene(tmp_path, {path: ticket_file("tk-aaaa")})
    assert await there.sync("acme", "fleet")
    there.problems[path] = Problem(path, "Refused", "a webhook says no", 4)
    async with Running(there) as running, Port(running.tickets) as port:
        answer = await port.update("tk-aaaa", {"state": "todo"})
        assert answer.unchanged
        assert "tickets/tk-aaaa.md:4 is not used (Refused): a webhook says no" in answer.conflict
        del there.problems[path]
        answer = await port.update("tk-aaaa", {"state": "todo"})
        assert (answer.unchanged, answer.conflict) == (True, "")
        assert not (await port.update("tk-aaaa", {"state": "done"})).unchanged
