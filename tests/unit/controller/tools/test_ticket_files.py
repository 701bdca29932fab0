"""The tools of tickets that lie in git: where the file is, what waits, and what was not taken."""

from pathlib import Path
from typing import Any

import pytest

from controller.rpc.ports import RunnerKey
from controller.services.ticket_values import CONTROLLER, by_person, by_pod
from controller.tools import tickets as ticket_tools
from controller.tools.call import Caller, ToolError
from schemas.agentpod import AgentPod
from schemas.ticket import Ticket, TicketState
from schemas.tools.base import parsed
from schemas.tools.catalogue import CATALOGUE
from tests.unit.controller.gitops.writeback.scene import (
    ORG,
    UID,
    Running,
    Scene,
    scene,
    ticket_file,
)
from tests.unit.controller.gitops.writeback.test_writeback import until

pytestmark = pytest.mark.anyio

FILE = "tickets/tk-aaaa-first.md"
POD = AgentPod.model_validate(
    {
        "metadata": {"name": "apod-x1", "namespace": ORG, "uid": "uid-x1"},
        "spec": {"agentClassName": "claude"},
    }
)


OTHER = AgentPod.model_validate(
    {
        "metadata": {"name": "apod-x2", "namespace": ORG, "uid": "uid-x2"},
        "spec": {"agentClassName": "claude"},
    }
)


class Claims:
    """Who has which ticket: who asks."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.wishes: list[TicketState] = []

    async def take(self, pod: AgentPod, ticket: Ticket) -> Ticket:
        assert pod is POD
        self.taken.append(ticket.metadata.name)
        return ticket

    async def dropped(self, pod: AgentPod, ticket: Ticket) -> Ticket:
        assert pod is POD
        self.taken.remove(ticket.metadata.name)
        return ticket

    async def noted(self, pod: AgentPod, ticket: Ticket, state: TicketState) -> Ticket:
        assert pod is POD
        self.wishes.append(state)
        return ticket


class Agent:
    """A pod that calls tools."""

    def __init__(self, running: Running, pod: AgentPod = POD) -> None:
        self.pod = pod
        self.claims = Claims()
        self._handlers = ticket_tools.handlers(running.tickets, self.claims)

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        caller = Caller(self.pod, RunnerKey(ORG, "r1", "uid-r1"))
        wanted = parsed(CATALOGUE[tool].arguments, arguments)
        return (await self._handlers[tool](caller, wanted)).structured()


@pytest.fixture
async def there(tmp_path: Path) -> Scene:
    found = scene(tmp_path, {FILE: ticket_file("tk-aaaa")})
    assert await found.sync(ORG, "fleet")
    return found


async def test_get_ticket_says_where_the_file_lies(there: Scene) -> None:
    async with Running(there) as running:
        found = await Agent(running).call("get_ticket", ticket_id="TK-AAAA")
    assert found["file"] == {"source": "fleet", "path": FILE, "commit": there.begin}
    assert "note" not in found


async def test_a_change_is_a_commit_and_claims_as_ever(there: Scene) -> None:
    async with Running(there) as running:
        agent = Agent(running)
        found = await agent.call("update_ticket", ticket_id="tk-aaaa", status="in_progress")
    assert (found["status"], found["file"]["commit"]) == ("in_progress", there.team.tip())
    assert agent.claims.taken == ["tk-aaaa"]
    assert agent.claims.wishes == [TicketState.IN_PROGRESS]
    assert "state: in_progress" in there.file("tk-aaaa")


async def test_a_new_ticket_is_a_file_and_can_be_worked_on_before_it_is_pushed(
    there: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.services.tickets.WAIT_SECONDS", 0.1)
    there.source(suspend=True)
    async with Running(there) as running:
        agent = Agent(running)
        made = await agent.call("create_ticket", title="Find it", parent_ticket_id="tk-aaaa")
        assert "accepted and kept" in made["note"]
        assert made["file"]["source"] == "fleet"
        name = made["ticket_id"]
        child = await agent.call("create_ticket", title="Part", parent_ticket_id=name)
        assert child["parent_id"] == name
        found = await agent.call("get_ticket", ticket_id=name)
        assert (found["title"], found["parent_id"], found["file"]["path"]) == (
            "Find it",
            "tk-aaaa",
            "",
        )
        with pytest.raises(ToolError, match="on its way"):  # it would pass for a person's word
            await agent.call("update_ticket", ticket_id=name, status="todo")
        found = await agent.call("get_ticket", ticket_id=name)
        assert found["status"] == "backlog"
    there.source()
    async with Running(there) as running:
        await running.tickets.update(by_pod(POD), ORG, name, {"state": "todo"}, wait_seconds=30)
    assert there.ticket(name).spec.state == "todo"


async def test_a_pod_sees_what_it_has_asked_for_before_it_is_pushed(
    there: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.services.tickets.WAIT_SECONDS", 0.1)
    there.source(suspend=True)
    async with Running(there) as running:
        agent, other = Agent(running), Agent(running, OTHER)
        told = await agent.call("update_ticket", ticket_id="tk-aaaa", priority="low", title="New")
        assert (told["title"], told["priority"]) == ("New", "low")
        assert "accepted and kept" in told["note"]
        told = await agent.call("update_ticket", ticket_id="tk-aaaa", status="in_review")
        assert (told["title"], told["status"]) == ("New", "in_review")
        made = await agent.call("create_ticket", title="Find it")
        await agent.call("update_ticket", ticket_id=made["ticket_id"], priority="urgent")

        found = await agent.call("get_ticket", ticket_id="tk-aaaa")
        assert (found["title"], found["priority"], found["status"]) == ("New", "low", "in_review")
        assert "your change is accepted and kept" in found["note"]
        assert found["revision"] == there.ticket("tk-aaaa").metadata.generation
        seen = await other.call("get_ticket", ticket_id="tk-aaaa")
        assert (seen["title"], seen["priority"]) == ("About tk-aaaa", "high")
        assert "note" not in seen

        async def search(who: Agent, **sought: Any) -> list[str]:
            answer = await who.call("search_tickets", **sought)
            assert answer["total"] == len(answer["tickets"])
            return [each["ticket_id"] for each in answer["tickets"]]

        assert await search(agent) == [made["ticket_id"], "tk-aaaa"]
        assert await search(agent, query="New", status="in_review") == ["tk-aaaa"]
        assert await search(agent, status="todo") == []
        assert await search(other, status="todo") == ["tk-aaaa"]
        assert await search(other, query="find it") == [made["ticket_id"]]
    there.source()
    async with Running(there) as running:
        agent = Agent(running)
        await until(lambda: not running.tickets.wished(there.ticket("tk-aaaa")))
        found = await agent.call("get_ticket", ticket_id="tk-aaaa")
        assert (found["title"], found["status"]) == ("New", "in_review")
        assert "note" not in found


async def test_it_is_known_that_a_state_is_on_its_way_until_the_ticket_has_it(
    there: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.services.tickets.WAIT_SECONDS", 0.1)
    there.source(suspend=True)
    async with Running(there) as running:
        agent, wished = Agent(running), running.tickets.wished
        assert not wished(there.ticket("tk-aaaa"))
        await agent.call("update_ticket", ticket_id="tk-aaaa", priority="low")
        assert not wished(there.ticket("tk-aaaa"))
        await running.tickets.update(
            by_person("ada"), ORG, "tk-aaaa", {"state": "done"}, wait_seconds=0.1
        )
        assert not wished(there.ticket("tk-aaaa"))
        await agent.call("update_ticket", ticket_id="tk-aaaa", status="in_review")
        assert wished(there.ticket("tk-aaaa"))
    there.source()
    async with Running(there) as running:  # also by a controller that begins anew
        assert running.tickets.wished(there.ticket("tk-aaaa"))
        await until(lambda: not running.tickets.wished(there.ticket("tk-aaaa")))
    assert there.ticket("tk-aaaa").spec.priority == "low"


async def test_what_a_person_changed_meanwhile_is_told_with_the_ticket_as_it_is(
    there: Scene,
) -> None:
    text = (there.team.clone / FILE).read_text().replace("state: todo", "state: done")
    there.mirror.before = [lambda: there.team.push({FILE: text})]
    async with Running(there) as running:
        with pytest.raises(ToolError) as caught:
            await Agent(running).call(
                "update_ticket", ticket_id="tk-aaaa", status="in_review", priority="low"
            )
    assert caught.value.reason == "Conflict"
    assert "state is done" in caught.value.message
    assert caught.value.structured is not None
    assert caught.value.structured["status"] == "done"
    assert caught.value.structured["priority"] == "low"


async def test_a_ticket_that_a_person_closed_meanwhile_is_not_taken(there: Scene) -> None:
    text = (there.team.clone / FILE).read_text().replace("state: todo", "state: done")
    async with Running(there) as running:
        agent = Agent(running)
        taken = agent.claims.take

        async def take(pod: AgentPod, ticket: Ticket) -> Ticket:
            """The ticket follows at once, by a change of the controller's own."""
            claim = {"podName": "apod-x1", "podUID": "uid-x1", "claimedAt": "2027-01-01T00:00:00Z"}
            there.status("tk-aaaa", claim=claim)
            there.mirror.before = [lambda: there.team.push({FILE: text})]
            state = {"state": "in_progress"}
            await running.tickets.update(CONTROLLER, ORG, "tk-aaaa", state, wait_seconds=0)
            return await taken(pod, ticket)

        agent.claims.take = take  # type: ignore[method-assign] - adds the controller's share
        with pytest.raises(ToolError) as caught:
            await agent.call("update_ticket", ticket_id="tk-aaaa", status="in_progress")
        assert caught.value.reason == "Conflict"
        assert "state is done" in caught.value.message
        assert caught.value.structured is not None
        assert caught.value.structured["status"] == "done"
        assert agent.claims.taken == []
    assert there.file("tk-aaaa").strip() == text.strip(), "x-status says that the pod has it"


async def test_a_pod_makes_only_so_many_files(
    there: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.services.ticket_files.TICKETS_PER_POD", 1)
    async with Running(there) as running:
        agent = Agent(running)
        await agent.call("create_ticket", title="One")
        with pytest.raises(ToolError) as caught:
            await agent.call("create_ticket", title="Two")
    assert caught.value.reason == "LimitExceeded"


async def test_acceptance_items_are_marked_one_by_one_also_while_nothing_is_pushed(
    there: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = "\n  - {id: a1, text: x, done: false}  # first\n  - {id: a2, text: y, done: false}"
    there.team.push({FILE: ticket_file("tk-aaaa", acceptance=items)})
    assert await there.sync(ORG, "fleet")
    there.source(suspend=True)
    monkeypatch.setattr("controller.services.tickets.WAIT_SECONDS", 0.1)
    async with Running(there) as running:
        agent = Agent(running)
        with pytest.raises(ToolError, match="no acceptance item 'a9'; it has a1, a2"):
            await agent.call("update_ticket", ticket_id="tk-aaaa", done=["a9"])
        with pytest.raises(ToolError, match="'a1' is in both"):
            await agent.call("update_ticket", ticket_id="tk-aaaa", done=["a1"], undone=["a1"])
        await agent.call("update_ticket", ticket_id="tk-aaaa", done=["a1"])
        await agent.call("update_ticket", ticket_id="tk-aaaa", done=["a2"])
        there.source()
        await until(lambda: not running.journal.waiting(UID))
        await until(lambda: not running.journal.unapplied(UID))
        assert "done: true}  # first" in there.file("tk-aaaa")
        await agent.call("update_ticket", ticket_id="tk-aaaa", undone=["a1"])
        await until(lambda: len(there.ends) == 3)
        await until(lambda: not running.journal.unapplied(UID))
    assert [item.done for item in there.ticket("tk-aaaa").spec.acceptance] == [False, True]
    assert [outcome.conflicts for _, outcome in there.ends] == [(), (), ()]
