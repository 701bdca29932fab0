"""The four tools of tickets: what each argument does, and who is refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.kube.errors import AlreadyExists, Conflict
from controller.tools.call import ToolError
from schemas.agentpod import AgentPod
from schemas.names import TICKET
from schemas.tools.base import InvalidArgumentsError
from tests.unit.controller.talk import Talk, talk
from tests.unit.controller.tools.world import ELSEWHERE

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Talk]:
    async with talk(tmp_path) as found:
        yield found


@pytest.fixture
async def lead(world: Talk) -> AgentPod:
    return await world.pod("lead")


async def refused(awaitable: Any, reason: str, *words: str) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await awaitable
    assert caught.value.reason == reason
    for word in words:
        assert word in caught.value.message
    return caught.value


async def ticket(world: Talk, name: str, org: str = "acme", **spec: Any) -> None:
    await world.make(TICKET, name, org, spec={"title": name, **spec})


# --- create_ticket --------------------------------------------------------------------------------


async def test_a_ticket_is_made_with_an_id_of_its_own(world: Talk, lead: AgentPod) -> None:
    await world.repository("shop")
    await ticket(world, "am-1")
    made = await world.call(
        lead,
        "create_ticket",
        title="Login is flaky",
        description="Fails *once* in twenty.",
        repository_id="shop",
        type="bug",
        priority="high",
        parent_ticket_id="AM-1",
    )
    name = made["ticket_id"]
    assert name.startswith("tk-")
    assert len(name) == 13
    assert set(name[3:]) <= set("0123456789abcdefghjkmnpqrstvwxyz")
    stored = world.manifest(TICKET, name)
    assert stored["spec"] == {
        "title": "Login is flaky",
        "body": "Fails *once* in twenty.",
        "repositoryRef": {"name": "shop"},
        "type": "bug",
        "priority": "high",
        "parent": "am-1",
    }
    assert stored["metadata"]["annotations"] == {
        "agentsmesh.io/created-by": "lead",
        "agentsmesh.io/created-by-uid": lead.metadata.uid,
        "agentsmesh.io/depth": "1",
    }
    assert (made["status"], made["type"], made["priority"]) == ("backlog", "bug", "high")
    assert (made["repository_id"], made["parent_id"], made["revision"]) == ("shop", "am-1", 1)
    assert await world.call(lead, "get_ticket", ticket_id=name.upper()) == made


async def test_what_is_not_said_of_a_ticket_has_its_default(world: Talk, lead: AgentPod) -> None:
    made = await world.call(lead, "create_ticket", title="t")
    assert (made["type"], made["priority"], made["status"]) == ("task", "medium", "backlog")
    assert made["description"] == ""
    assert "parent_id" not in made
    assert "repository_id" not in made


@pytest.mark.parametrize(
    "text",
    [
        "line\r\nline\n",
        "  trailing \t \n\n",
        "# Ünïcode 🦊 \u200b",
        "```\n$ rm -rf /\n```",
        "--- not: yaml\n...",
    ],
)
async def test_markdown_comes_back_byte_for_byte(world: Talk, lead: AgentPod, text: str) -> None:
    made = await world.call(lead, "create_ticket", title="t", description=text)
    found = await world.call(lead, "get_ticket", ticket_id=made["ticket_id"])
    assert found["description"] == text
    changed = await world.call(
        lead, "update_ticket", ticket_id=made["ticket_id"], description=text + text
    )
    assert changed["description"] == text + text


@pytest.mark.parametrize(
    ("argument", "value"), [("repository_id", "other"), ("parent_ticket_id", "other")]
)
async def test_a_ticket_is_about_what_there_is(
    world: Talk, lead: AgentPod, argument: str, value: str
) -> None:
    await world.repository("other", org=ELSEWHERE)
    await ticket(world, "other", ELSEWHERE)
    await refused(
        world.call(lead, "create_ticket", title="t", **{argument: value}), "NotFound", argument
    )
    assert (await world.call(lead, "search_tickets"))["total"] == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"title": "  "}, "InvalidArgument"),
        ({"title": "a\x00b"}, "InvalidArgument"),
        ({"title": "t", "description": "a\x00"}, "InvalidArgument"),
        ({"title": "t", "description": "é" * 32_769}, "LimitExceeded"),
    ],
)
async def test_what_the_api_would_refuse_is_told_in_words(
    world: Talk, lead: AgentPod, arguments: dict[str, Any], reason: str
) -> None:
    await refused(world.call(lead, "create_ticket", **arguments), reason)
    assert (await world.call(lead, "search_tickets"))["total"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"title": ""},
        {"title": "x" * 501},
        {"title": "t", "type": "chore"},
        {"title": "t", "priority": "p1"},
        {"title": "t", "status": "todo"},
    ],
)
async def test_bounds_of_new_tickets_are_kept(
    world: Talk, lead: AgentPod, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgumentsError):
        await world.call(lead, "create_ticket", **arguments)


async def test_parallel_tickets_never_share_an_id(world: Talk, lead: AgentPod) -> None:
    taken = []

    def collide(verb: str, resource: Any, name: str) -> None:
        if verb == "create" and resource == TICKET and len(taken) < 3:
            taken.append(name)
            raise AlreadyExists(f"tickets {name} already exists")

    world.kube.before = collide
    made = await asyncio.gather(
        *(world.call(lead, "create_ticket", title=str(number)) for number in range(50))
    )
    assert len({each["ticket_id"] for each in made}) == 50
    assert not {each["ticket_id"] for each in made} & set(taken)


# --- update_ticket --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "field", "value"),
    [
        ("title", "title", "new"),
        ("description", "body", "new\r\n"),
        ("description", "body", ""),
        ("status", "state", "in_review"),
        ("priority", "priority", "none"),
        ("type", "type", "epic"),
    ],
)
async def test_only_what_is_given_changes(
    world: Talk, lead: AgentPod, argument: str, field: str, value: str
) -> None:
    before = {
        "title": "old",
        "body": "old",
        "state": "todo",
        "priority": "high",
        "type": "bug",
        "labels": ["x"],
        "assignees": ["ada"],
    }
    await world.make(TICKET, "am-1", spec=before)
    changed = await world.call(lead, "update_ticket", ticket_id="AM-1", **{argument: value})
    assert world.manifest(TICKET, "am-1")["spec"] == {**before, field: value}
    assert changed[argument] == value
    assert changed["revision"] == 2


async def test_nothing_given_changes_nothing(world: Talk, lead: AgentPod) -> None:
    await ticket(world, "am-1")
    for arguments in ({}, {"expected_revision": 1}):
        same = await world.call(lead, "update_ticket", ticket_id="am-1", **arguments)
        assert same["revision"] == 1


async def test_an_outdated_revision_is_a_conflict_with_the_ticket_there_is(
    world: Talk, lead: AgentPod
) -> None:
    await ticket(world, "am-1")
    await world.call(lead, "update_ticket", ticket_id="am-1", status="todo", expected_revision=1)
    error = await refused(
        world.call(lead, "update_ticket", ticket_id="am-1", status="done", expected_revision=1),
        "Conflict",
        "revision 2, not 1",
    )
    assert error.structured == await world.call(lead, "get_ticket", ticket_id="am-1")
    assert error.structured["status"] == "todo"


async def test_of_two_changes_of_one_revision_one_is_refused(world: Talk, lead: AgentPod) -> None:
    await ticket(world, "am-1")
    world.watching = False
    answers = await asyncio.gather(
        *(
            world.call(lead, "update_ticket", ticket_id="am-1", title=title, expected_revision=1)
            for title in ("one", "two", "three")
        ),
        return_exceptions=True,
    )
    errors = [each for each in answers if isinstance(each, ToolError)]
    assert [error.reason for error in errors] == ["Conflict", "Conflict"]


async def test_a_change_that_others_made_unseen_is_not_lost(world: Talk, lead: AgentPod) -> None:
    await ticket(world, "am-1")
    world.watching = False
    await world.kube.patch(TICKET, "acme", "am-1", {"spec": {"title": "by a person"}})
    error = await refused(
        world.call(lead, "update_ticket", ticket_id="am-1", title="mine", expected_revision=1),
        "Conflict",
    )
    assert error.structured is not None
    assert error.structured["title"] == "by a person"
    changed = await world.call(
        lead, "update_ticket", ticket_id="am-1", title="mine", expected_revision=2
    )
    assert (changed["title"], changed["revision"]) == ("mine", 3)


async def test_a_status_written_meanwhile_is_no_conflict(world: Talk, lead: AgentPod) -> None:
    await ticket(world, "am-1")
    world.watching = False
    stored = world.manifest(TICKET, "am-1")
    stored["metadata"]["resourceVersion"] = "1000"  # as the reconciler's write leaves it
    conflicts = []
    original = world.kube.patch

    async def counting(*arguments: Any, **named: Any) -> Any:
        try:
            return await original(*arguments, **named)
        except Conflict:
            conflicts.append(arguments)
            raise

    world.kube.patch = counting  # type: ignore[method-assign]
    changed = await world.call(
        lead, "update_ticket", ticket_id="am-1", title="mine", expected_revision=1
    )
    assert changed["title"] == "mine"
    assert len(conflicts) == 1


@pytest.mark.parametrize(
    "arguments", [{"status": "doing"}, {"type": "x"}, {"priority": "x"}, {"expected_revision": 0}]
)
async def test_bounds_of_changes_are_kept(
    world: Talk, lead: AgentPod, arguments: dict[str, Any]
) -> None:
    await ticket(world, "am-1")
    with pytest.raises(InvalidArgumentsError):
        await world.call(lead, "update_ticket", ticket_id="am-1", **arguments)


@pytest.mark.parametrize(
    ("tool", "arguments"), [("get_ticket", {}), ("update_ticket", {"title": "theirs"})]
)
async def test_tickets_of_others_are_not_there(
    world: Talk, lead: AgentPod, tool: str, arguments: dict[str, Any]
) -> None:
    await ticket(world, "am-1", ELSEWHERE)
    there = await refused(world.call(lead, tool, ticket_id="am-1", **arguments), "NotFound")
    none = await refused(world.call(lead, tool, ticket_id="am-2", **arguments), "NotFound")
    assert there.message == none.message


# --- get_ticket -----------------------------------------------------------------------------------


async def test_a_ticket_tells_what_hangs_on_it(world: Talk, lead: AgentPod) -> None:
    await ticket(
        world,
        "am-1",
        acceptance=[{"id": "a", "text": "green", "done": True}, {"id": "b", "text": "fast"}],
        dependsOn=["am-9"],
        labels=["login"],
    )
    await ticket(world, "am-2", parent="am-1", state="done")
    await ticket(world, "am-3", parent="am-1", state="canceled")
    await ticket(world, "am-4", parent="am-1")
    for number, commit in enumerate(("c1", "c2", None)):
        pod = await world.pod(f"p{number}", ticketRef={"name": "am-1"})
        await world.status(pod, {"worktree": {"branch": "flaky", "commit": commit}})
        world.now += 1
    found = await world.call(lead, "get_ticket", ticket_id="am-1")
    assert found["progress"] == {"done": 3, "total": 5}
    assert found["acceptance"][0] == {"id": "a", "text": "green", "done": True}
    assert found["children"] == ["am-2", "am-3", "am-4"]
    assert found["depends_on"] == ["am-9"]
    assert found["pods"] == ["p2", "p1", "p0"]
    assert (found["branches"], found["commits"]) == (["flaky"], ["c2", "c1"])
    assert found["labels"] == ["login"]
    assert found["created_at"] == "2027-01-15T08:00:00Z"


# --- search_tickets -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        pytest.param({}, "urgent-new high-old high-new none-1", id="by priority, then age"),
        pytest.param({"repository_id": "shop"}, "high-old", id="repository"),
        pytest.param({"status": "done"}, "urgent-new", id="status"),
        pytest.param({"type": "bug"}, "high-new", id="type"),
        pytest.param({"priority": "high"}, "high-old high-new", id="priority"),
        pytest.param({"assignee_id": "class/claude-code"}, "none-1", id="assignee"),
        pytest.param({"parent_id": "HIGH-OLD"}, "high-new", id="parent"),
        pytest.param({"query": "LOGIN"}, "urgent-new high-old", id="a word of the title"),
        pytest.param({"query": "twenty"}, "high-new", id="a word of the description"),
        pytest.param({"query": "flaky  login"}, "high-old", id="all words"),
        pytest.param({"priority": "high", "query": "twenty", "type": "task"}, "", id="together"),
    ],
)
async def test_tickets_are_found(
    world: Talk, lead: AgentPod, arguments: dict[str, Any], found: str
) -> None:
    await ticket(world, "none-1", assignees=["class/claude-code"])
    await ticket(
        world,
        "high-old",
        title="Login is flaky",
        priority="high",
        repositoryRef={"name": "shop"},
    )
    world.now += 60
    await ticket(
        world, "high-new", priority="high", type="bug", parent="high-old", body="Once in Twenty."
    )
    await ticket(world, "urgent-new", title="No login", priority="urgent", state="done")
    await ticket(world, "theirs", ELSEWHERE)
    answer = await world.call(lead, "search_tickets", **arguments)
    assert [each["ticket_id"] for each in answer["tickets"]] == found.split()
    assert answer["total"] == len(found.split())


async def test_pages_of_tickets_are_cut_by_page_and_limit(world: Talk, lead: AgentPod) -> None:
    for number in range(5):
        await ticket(world, f"t{number}")
    answer = await world.call(lead, "search_tickets", limit=2, page=2)
    assert [each["ticket_id"] for each in answer["tickets"]] == ["t2", "t3"]
    assert answer["total"] == 5
    assert (await world.call(lead, "search_tickets", limit=2, page=4))["tickets"] == []
    for wrong in ({"limit": 0}, {"limit": 101}, {"page": 0}, {"status": "open"}):
        with pytest.raises(InvalidArgumentsError):
            await world.call(lead, "search_tickets", **wrong)


async def test_others_are_answered_while_an_agent_searches_long_texts(
    world: Talk, lead: AgentPod
) -> None:
    words = [f"aa{first}{second}" for first in "cdefghi" for second in "jklmnop"]
    body = 65_000 * "a" + " ".join(words)
    for number in range(8):
        await ticket(world, f"t{number}", body=body)
    answered = 0

    async def other() -> None:
        nonlocal answered
        while True:
            world.caller(lead)
            answered += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        busy = tasks.create_task(other())
        found = await world.call(lead, "search_tickets", query=" ".join(words))
        busy.cancel()
    assert found["total"] == 8
    assert answered > 20


async def test_a_row_tells_what_the_table_needs(world: Talk, lead: AgentPod) -> None:
    await ticket(world, "am-1", assignees=["lead"], parent="am-0")
    (row,) = (await world.call(lead, "search_tickets"))["tickets"]
    assert row == {
        "ticket_id": "am-1",
        "title": "am-1",
        "status": "backlog",
        "priority": "none",
        "type": "task",
        "assignees": ["lead"],
        "parent_id": "am-0",
    }


async def test_acceptance_items_are_marked_by_their_ids(world: Talk, lead: AgentPod) -> None:
    items = [{"id": "a1", "text": "works"}, {"id": "a2", "text": "is fast", "done": True}]
    await ticket(world, "am-1", acceptance=items)
    found = await world.call(lead, "update_ticket", ticket_id="am-1", done=["a1"], undone=["a2"])
    assert [(item["id"], item["done"]) for item in found["acceptance"]] == [
        ("a1", True),
        ("a2", False),
    ]
    assert [item["text"] for item in found["acceptance"]] == ["works", "is fast"]
    await refused(
        world.call(lead, "update_ticket", ticket_id="am-1", done=["a1", "a3"]),
        "InvalidArgument",
        "'a3'",
        "a1, a2",
    )


async def test_an_item_that_somebody_adds_meanwhile_is_not_lost(
    world: Talk, lead: AgentPod
) -> None:
    await ticket(world, "am-1", acceptance=[{"id": "a1", "text": "works"}])
    world.watching = False
    more = [{"id": "a1", "text": "works"}, {"id": "a2", "text": "is fast"}]
    await world.kube.patch(TICKET, "acme", "am-1", {"spec": {"acceptance": more}})
    found = await world.call(lead, "update_ticket", ticket_id="am-1", done=["a1"])
    assert [(item["id"], item["done"]) for item in found["acceptance"]] == [
        ("a1", True),
        ("a2", False),
    ]


@pytest.mark.parametrize("title", [None, "mine"], ids=["the state alone", "more than the state"])
async def test_the_state_that_follows_from_a_pods_own_claim_outdates_nothing(
    world: Talk, lead: AgentPod, title: str | None
) -> None:
    await ticket(world, "am-1")
    original = world.kube.patch

    async def followed(*arguments: Any, **named: Any) -> Any:
        answer = await original(*arguments, **named)
        if "claim" in arguments[3].get("status", {}):  # the controller is faster than the tool
            await original(TICKET, "acme", "am-1", {"spec": {"state": "in_progress"}})
        return answer

    world.kube.patch = followed  # type: ignore[method-assign]
    given = {"status": "in_progress", "expected_revision": 1}
    changed = await world.call(
        lead, "update_ticket", ticket_id="am-1", **given, **({"title": title} if title else {})
    )
    assert changed["status"] == "in_progress"
    assert changed["title"] == (title or world.manifest(TICKET, "am-1")["spec"]["title"])


async def test_a_persons_change_behind_a_pods_claim_is_still_a_conflict(
    world: Talk, lead: AgentPod
) -> None:
    await ticket(world, "am-1")
    original = world.kube.patch

    async def changed(*arguments: Any, **named: Any) -> Any:
        answer = await original(*arguments, **named)
        if "claim" in arguments[3].get("status", {}):
            await original(TICKET, "acme", "am-1", {"spec": {"title": "by a person"}})
        return answer

    world.kube.patch = changed  # type: ignore[method-assign]
    await refused(
        world.call(
            lead, "update_ticket", ticket_id="am-1", status="in_progress", expected_revision=1
        ),
        "Conflict",
    )
