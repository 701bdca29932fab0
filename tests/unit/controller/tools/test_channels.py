"""The seven tools of channels: what each argument does, and who is refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.store.errors import UnavailableError
from controller.tools.call import ToolError
from schemas.agentpod import AgentPod
from schemas.names import CHANNEL, TICKET
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


@pytest.fixture
async def fix(world: Talk) -> AgentPod:
    return await world.pod("fix")


async def refused(awaitable: Any, reason: str, *words: str) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await awaitable
    assert caught.value.reason == reason
    for word in words:
        assert word in caught.value.message
    return caught.value


# --- create_channel -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "channel_id"),
    [
        pytest.param("design-review", "design-review", id="a label is the id"),
        pytest.param("Design-Review", "design-review", id="capitals stay in the name"),
    ],
)
async def test_a_channel_is_made_of_its_name(
    world: Talk, lead: AgentPod, name: str, channel_id: str
) -> None:
    made = await world.call(lead, "create_channel", name=name, description="Where we argue")
    assert made["channel_id"] == channel_id
    assert (made["name"], made["description"]) == (name, "Where we argue")
    assert [member["pod_key"] for member in made["members"]] == ["lead"]
    assert made["member_count"] == 1
    assert made["is_archived"] is False
    stored = world.stored(channel_id)
    assert stored.title == name
    assert stored.metadata.annotations["agentsmesh.io/created-by"] == "lead"


async def test_any_name_becomes_a_label_of_its_own(world: Talk, lead: AgentPod) -> None:
    names = ["Was nun, Ada?", "was nun ada", "設計レビュー", "x" * 100, "🦊"]
    ids = [(await world.call(lead, "create_channel", name=n))["channel_id"] for n in names]
    assert len(set(ids)) == len(ids)
    assert all(world.stored(each).title == name for each, name in zip(ids, names, strict=True))
    assert ids[0].startswith("was-nun-ada-")
    assert all(len(each) <= 63 for each in ids)


async def test_a_channel_may_be_about_a_repository_and_a_ticket(
    world: Talk, lead: AgentPod
) -> None:
    await world.repository("shop")
    await world.make(TICKET, "am-123", spec={"title": "Flaky"})
    made = await world.call(
        lead, "create_channel", name="a", repository_id="shop", ticket_id="AM-123"
    )
    assert (made["repository_id"], made["ticket_id"]) == ("shop", "am-123")


@pytest.mark.parametrize("argument", ["repository_id", "ticket_id"])
async def test_a_channel_about_nothing_that_exists_is_not_made(
    world: Talk, lead: AgentPod, argument: str
) -> None:
    await world.repository("other", org=ELSEWHERE)
    await world.make(TICKET, "other", ELSEWHERE, spec={"title": "Theirs"})
    await refused(
        world.call(lead, "create_channel", name="a", **{argument: "other"}), "NotFound", argument
    )
    assert not any(kind == "Channel" for kind, _, _ in world.kube.objects)


@pytest.mark.parametrize("name", ["design", "DESIGN", " Design "])
async def test_a_name_is_taken_whatever_its_case(world: Talk, lead: AgentPod, name: str) -> None:
    await world.call(lead, "create_channel", name="Design")
    error = await refused(
        world.call(lead, "create_channel", name=name), "AlreadyExists", "channel design"
    )
    assert error.structured == {"channel_id": "design"}


async def test_a_name_given_by_hand_is_taken_too(world: Talk, lead: AgentPod) -> None:
    await world.channel("chan-1", displayName="Design")
    await refused(
        world.call(lead, "create_channel", name="design"), "AlreadyExists", "channel chan-1"
    )


async def test_the_name_of_a_private_channel_is_taken_but_not_told(
    world: Talk, lead: AgentPod
) -> None:
    await world.channel("chan-1", displayName="Design", visibility="private")
    error = await refused(world.call(lead, "create_channel", name="design"), "AlreadyExists")
    assert "chan-1" not in error.message
    assert error.structured is None


async def test_of_two_that_make_a_channel_at_once_one_wins(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    world.watching = False  # neither has heard of the other
    made = await asyncio.gather(
        world.call(lead, "create_channel", name="Design"),
        world.call(fix, "create_channel", name="design"),
        return_exceptions=True,
    )
    errors = [each for each in made if isinstance(each, ToolError)]
    assert [error.reason for error in errors] == ["AlreadyExists"]
    assert sum(kind == "Channel" for kind, _, _ in world.kube.objects) == 1


@pytest.mark.parametrize("name", [" ", "\t\n", "a\nb", "a\x1b[2Jb", "a\x00b"])
async def test_a_name_that_nobody_can_read_is_refused(
    world: Talk, lead: AgentPod, name: str
) -> None:
    await refused(world.call(lead, "create_channel", name=name), "InvalidArgument", "name")


async def test_a_description_has_no_nul(world: Talk, lead: AgentPod) -> None:
    await refused(
        world.call(lead, "create_channel", name="a", description="b\x00"), "InvalidArgument"
    )
    assert (await world.call(lead, "search_channels"))["total"] == 0


# --- search_channels ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        pytest.param({}, ["Alpha", "beta", "gamma"], id="by name, whatever the case"),
        pytest.param({"name": "ET"}, ["beta"], id="a part of the name"),
        pytest.param({"name": "chan-1"}, ["Alpha"], id="a part of the id"),
        pytest.param({"repository_id": "shop"}, ["Alpha"], id="about a repository"),
        pytest.param({"ticket_id": "AM-1"}, ["beta"], id="about a ticket"),
        pytest.param({"is_archived": True}, ["gamma"], id="archived"),
        pytest.param({"is_archived": False}, ["Alpha", "beta"], id="not archived"),
        pytest.param({"name": "a", "repository_id": "shop", "is_archived": True}, [], id="all"),
    ],
)
async def test_channels_are_found(
    world: Talk, lead: AgentPod, arguments: dict[str, Any], found: list[str]
) -> None:
    await world.channel("chan-1", displayName="Alpha", repositoryRef={"name": "shop"})
    await world.channel("beta", ticketRef={"name": "am-1"}, description="B")
    await world.channel("gamma", archived=True)
    await world.channel("secret", visibility="private")
    await world.channel("theirs", ELSEWHERE)
    answer = await world.call(lead, "search_channels", **arguments)
    assert [each["name"] for each in answer["channels"]] == found
    assert answer["total"] == len(found)


async def test_pages_of_channels_are_cut_by_offset_and_limit(world: Talk, lead: AgentPod) -> None:
    for number in range(5):
        await world.channel(f"c{number}")
    answer = await world.call(lead, "search_channels", offset=1, limit=2)
    assert [each["channel_id"] for each in answer["channels"]] == ["c1", "c2"]
    assert answer["total"] == 5
    for wrong in ({"limit": 0}, {"limit": 101}, {"offset": -1}):
        with pytest.raises(InvalidArgumentsError):
            await world.call(lead, "search_channels", **wrong)


async def test_a_found_channel_tells_its_numbers(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    await world.channel("design", description="D")
    assert "last_message_at" not in (await world.call(fix, "search_channels"))["channels"][0]
    await world.call(lead, "send_channel_message", channel_id="design", content="hello")
    (found,) = (await world.call(fix, "search_channels"))["channels"]
    assert found["member_count"] == 1
    assert found["last_message_at"] == "2027-01-15T08:00:00.000000Z"


async def test_members_find_their_private_channels(world: Talk, lead: AgentPod) -> None:
    await world.channel("named", visibility="private", members=[{"name": "lead"}])
    await world.channel("naming", visibility="private")
    naming = await world.pod("naming-pod", channelRefs=[{"name": "naming"}])
    for pod, channel in ((lead, "named"), (naming, "naming")):
        answer = await world.call(pod, "search_channels")
        assert [each["channel_id"] for each in answer["channels"]] == [channel]


# --- get_channel ----------------------------------------------------------------------------------


async def test_a_channel_tells_its_members(world: Talk, lead: AgentPod, fix: AgentPod) -> None:
    await world.channel(
        "design", members=[{"kind": "User", "name": "ada@acme.example"}, {"name": "lead"}]
    )
    await world.pod("naming", channelRefs=[{"name": "design"}])
    over = await world.pod("over", channelRefs=[{"name": "design"}])
    await world.end(over)
    await world.call(fix, "send_channel_message", channel_id="design", content="I join")
    found = await world.call(lead, "get_channel", channel_id="design")
    assert found["members"] == [
        {"user": "ada@acme.example"},
        {"pod_key": "lead"},
        {"pod_key": "naming"},
        {"pod_key": "fix", "joined_at": "2027-01-15T08:00:00.000000Z"},
    ]
    assert found["member_count"] == 4


# --- who is refused -------------------------------------------------------------------------------

READING = [
    pytest.param("get_channel_messages", {}, id="messages"),
    pytest.param("get_channel_document", {}, id="document"),
    pytest.param("update_channel_document", {"document": "mine"}, id="document written"),
]
ALL = [
    *READING,
    pytest.param("get_channel", {}, id="channel"),
    pytest.param("send_channel_message", {"content": "hello"}, id="send"),
]


@pytest.mark.parametrize(("tool", "arguments"), ALL)
async def test_a_private_channel_is_not_there_for_others(
    world: Talk, lead: AgentPod, tool: str, arguments: dict[str, Any]
) -> None:
    await world.channel("secret", visibility="private")
    private = await refused(
        world.call(lead, tool, channel_id="secret", **arguments), "NotFound", "no such channel"
    )
    missing = await refused(world.call(lead, tool, channel_id="nothing", **arguments), "NotFound")
    assert private.message == missing.message


@pytest.mark.parametrize(("tool", "arguments"), ALL)
async def test_another_organization_sees_no_channel(
    world: Talk, tool: str, arguments: dict[str, Any]
) -> None:
    await world.channel("design", members=[{"name": "lead"}])
    stranger = await world.pod("lead", org=ELSEWHERE)  # of the same name
    await refused(world.call(stranger, tool, channel_id="design", **arguments), "NotFound")
    assert (await world.call(stranger, "search_channels"))["total"] == 0


@pytest.mark.parametrize(("tool", "arguments"), READING)
async def test_a_public_channel_is_read_by_members_only(
    world: Talk, lead: AgentPod, tool: str, arguments: dict[str, Any]
) -> None:
    await world.channel("design")
    await refused(
        world.call(lead, tool, channel_id="design", **arguments), "Forbidden", "join it by sending"
    )
    await world.call(lead, "send_channel_message", channel_id="design", content="hello")
    await world.call(lead, tool, channel_id="design", **arguments)


async def test_a_pod_of_an_old_name_is_no_member(world: Talk, lead: AgentPod) -> None:
    await world.channel("design")
    await world.call(lead, "send_channel_message", channel_id="design", content="hello")
    await world.delete(lead)
    again = await world.pod("lead")
    await refused(world.call(again, "get_channel_messages", channel_id="design"), "Forbidden")
    assert (await world.call(again, "get_channel", channel_id="design"))["members"] == []


async def test_who_is_taken_out_of_a_private_channel_reads_no_more(
    world: Talk, lead: AgentPod
) -> None:
    await world.channel("secret", visibility="private", members=[{"name": "lead"}])
    assert await world.said(lead, "secret") == []
    await world.kube.patch(CHANNEL, "acme", "secret", {"spec": {"members": []}})
    await refused(world.call(lead, "get_channel_messages", channel_id="secret"), "NotFound")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("send_channel_message", {"content": "x"}), ("update_channel_document", {"document": "x"})],
)
async def test_an_archived_channel_is_read_and_not_written(
    world: Talk, lead: AgentPod, tool: str, arguments: dict[str, Any]
) -> None:
    await world.channel("design", members=[{"name": "lead"}])
    await world.call(lead, "send_channel_message", channel_id="design", content="before")
    await world.kube.patch(CHANNEL, "acme", "design", {"spec": {"archived": True}})
    await refused(world.call(lead, tool, channel_id="design", **arguments), "Forbidden", "archived")
    assert await world.said(lead, "design") == ["before"]
    assert (await world.call(lead, "get_channel_document", channel_id="design"))["revision"] == 0


# --- send_channel_message -------------------------------------------------------------------------


async def test_messages_have_one_order_and_come_back_as_sent(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    await world.channel("design")
    texts = ["first\r\n  \t", "🦊 naïve\x1b[31m", "x" * 32_768]
    sent = [
        await world.call(pod, "send_channel_message", channel_id="design", content=text)
        for pod, text in zip((lead, fix, lead), texts, strict=True)
    ]
    assert [each["sequence"] for each in sent] == [1, 2, 3]
    found = await world.call(fix, "get_channel_messages", channel_id="design")
    assert [each["content"] for each in found["messages"]] == texts
    assert [each["sender_pod"] for each in found["messages"]] == ["lead", "fix", "lead"]
    assert [each["message_id"] for each in found["messages"]] == [s["message_id"] for s in sent]
    assert found["messages"][0]["created_at"] == sent[0]["created_at"]
    assert found["messages"][0]["message_type"] == "text"
    assert found["last_sequence"] == 3


@pytest.mark.parametrize("content", ["", "x" * 32_769])
async def test_too_little_and_too_much_is_no_message(
    world: Talk, lead: AgentPod, content: str
) -> None:
    await world.channel("design")
    with pytest.raises(InvalidArgumentsError):
        await world.call(lead, "send_channel_message", channel_id="design", content=content)


async def test_a_message_says_of_which_type_it_is(world: Talk, lead: AgentPod) -> None:
    await world.channel("design")
    await world.call(
        lead,
        "send_channel_message",
        channel_id="design",
        content="build is green",
        message_type="system",
    )
    found = await world.call(lead, "get_channel_messages", channel_id="design")
    assert found["messages"][0]["message_type"] == "system"


async def test_a_message_answers_another_one_of_its_channel(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    await world.channel("design")
    await world.channel("other")
    send = "send_channel_message"
    first = await world.call(lead, send, channel_id="design", content="why?")
    await world.call(
        fix, send, channel_id="design", content="because", reply_to=first["message_id"]
    )
    found = await world.call(fix, "get_channel_messages", channel_id="design")
    assert found["messages"][1]["reply_to"] == first["message_id"]
    await refused(
        world.call(fix, send, channel_id="other", content="because", reply_to=first["message_id"]),
        "NotFound",
        "reply_to",
    )
    assert (await world.call(fix, "search_channels", name="other"))["channels"][0][
        "member_count"
    ] == 0


async def test_a_repeat_with_the_same_key_is_stored_once(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    await world.channel("design")
    send, key = "send_channel_message", {"idempotency_key": "k1", "mentions": ["fix"]}
    first = await world.call(lead, send, channel_id="design", content="once", **key)
    assert await world.call(lead, send, channel_id="design", content="once", **key) == first
    assert await world.said(lead, "design") == ["once"]
    assert len(await world.messages.open_deliveries()) == 1
    error = await refused(
        world.call(lead, send, channel_id="design", content="other", **key), "Conflict", "key"
    )
    assert error.structured == {"message_id": first["message_id"], "sequence": 1}
    other = await world.call(
        fix, send, channel_id="design", content="mine", idempotency_key="k1"
    )  # keys are the sender's own
    assert other["sequence"] == 2


async def test_mentioned_pods_get_a_prompt(world: Talk, lead: AgentPod, fix: AgentPod) -> None:
    await world.channel("design")
    waiting = await world.pod("waiting", runner=None)
    sent = await world.call(
        lead,
        "send_channel_message",
        channel_id="design",
        content="look at this",
        mentions=["fix", "waiting", "fix"],
    )
    assert sent["undeliverable"] == []
    deliveries = await world.messages.deliveries_of(sent["message_id"])
    assert [each.pod_uid for each in deliveries] == [fix.metadata.uid, waiting.metadata.uid]
    found = await world.call(lead, "get_channel_messages", channel_id="design")
    assert found["messages"][0]["mentions"] == ["fix", "waiting"]


async def test_a_pod_that_mentions_itself_gets_no_prompt(world: Talk, lead: AgentPod) -> None:
    await world.channel("design")
    sent = await world.call(
        lead, "send_channel_message", channel_id="design", content="note", mentions=["lead"]
    )
    assert sent["undeliverable"] == []
    assert await world.messages.open_deliveries() == ()


async def test_who_does_not_run_is_told_to_be_undeliverable(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    await world.channel("design")
    await world.end(fix)
    sent = await world.call(
        lead, "send_channel_message", channel_id="design", content="hello?", mentions=["fix"]
    )
    assert sent["undeliverable"] == ["fix"]
    assert await world.said(lead, "design", mentioned_pod="fix") == ["hello?"]
    assert await world.messages.open_deliveries() == ()


@pytest.mark.parametrize("org", [None, ELSEWHERE])
async def test_nothing_is_stored_with_an_unknown_mention(
    world: Talk, lead: AgentPod, fix: AgentPod, org: str | None
) -> None:
    await world.channel("design")
    if org is not None:
        await world.pod("stranger", org=org)
    await refused(
        world.call(
            lead,
            "send_channel_message",
            channel_id="design",
            content="hello",
            mentions=[fix.metadata.name, "stranger"],
        ),
        "NotFound",
        "no pod stranger",
        "nothing was sent",
    )
    await refused(world.call(lead, "get_channel_messages", channel_id="design"), "Forbidden")
    assert await world.messages.open_deliveries() == ()


async def test_what_is_said_in_private_is_told_to_no_other(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    await world.channel("secret", visibility="private", members=[{"name": "lead"}])
    await refused(
        world.call(
            lead,
            "send_channel_message",
            channel_id="secret",
            content="psst",
            mentions=[fix.metadata.name],
        ),
        "Forbidden",
        "fix is no member",
    )
    assert await world.said(lead, "secret") == []


async def test_a_channel_is_held_before_its_first_message(world: Talk, lead: AgentPod) -> None:
    await world.channel("design")
    assert world.stored("design").metadata.finalizers == ()
    await world.call(lead, "send_channel_message", channel_id="design", content="hello")
    assert world.stored("design").metadata.finalizers == ("agentsmesh.io/messages",)
    assert world.counted == ["design"]


class NobodyJoins:
    """A message store that takes messages, and no members."""

    def __init__(self, messages: Any) -> None:
        self._messages = messages

    def __getattr__(self, name: str) -> Any:
        return getattr(self._messages, name)

    async def join(self, *_: Any) -> bool:
        raise UnavailableError("the database is in trouble")


async def test_a_message_that_is_stored_is_never_denied(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    await world.channel("design", members=[{"name": "lead"}])
    whole, world.messages = world.messages, NobodyJoins(world.messages)  # type: ignore[assignment]
    world.restart()
    sent = await world.call(fix, "send_channel_message", channel_id="design", content="hello")
    assert sent["sequence"] == 1
    error = await refused(world.call(fix, "create_channel", name="own"), "Unavailable", "own")
    assert error.structured == {"channel_id": "own"}
    world.messages = whole
    world.restart()
    assert await world.said(lead, "design") == ["hello"]
    await refused(world.call(fix, "get_channel_messages", channel_id="design"), "Forbidden")
    await world.call(fix, "send_channel_message", channel_id="design", content="again")
    assert await world.said(fix, "design") == ["hello", "again"]


async def test_a_channel_that_goes_takes_nothing(world: Talk, lead: AgentPod) -> None:
    channel = await world.channel("design")
    await world.call(lead, "send_channel_message", channel_id="design", content="hello")
    await world.delete(channel)  # its messages are not deleted yet
    await refused(
        world.call(lead, "send_channel_message", channel_id="design", content="hello"), "NotFound"
    )


# --- get_channel_messages -------------------------------------------------------------------------


@pytest.fixture
async def five(world: Talk, lead: AgentPod, fix: AgentPod) -> AgentPod:
    """Five messages, a minute apart; the second and fourth mention fix."""
    await world.channel("design")
    for number in range(1, 6):
        mentions = [fix.metadata.name] if number % 2 == 0 else []
        await world.call(
            lead,
            "send_channel_message",
            channel_id="design",
            content=str(number),
            mentions=mentions,
        )
        world.now += 60
    return lead


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        pytest.param({}, "12345", id="all"),
        pytest.param({"limit": 2}, "45", id="the newest"),
        pytest.param({"after_sequence": 1, "limit": 2}, "23", id="to read on"),
        pytest.param({"after_sequence": 0, "limit": 2}, "12", id="from the beginning"),
        pytest.param({"after_sequence": 5}, "", id="nothing new"),
        pytest.param({"before_time": "2027-01-15T08:02:00Z"}, "12", id="before"),
        pytest.param({"after_time": "2027-01-15T08:02:00Z"}, "45", id="after"),
        pytest.param({"after_time": "2027-01-15T10:02:00.0+02:00"}, "45", id="elsewhere"),
        pytest.param(
            {"after_time": "2027-01-15T08:00:30Z", "before_time": "2027-01-15T08:03:30Z"},
            "234",
            id="between",
        ),
        pytest.param({"mentioned_pod": "fix"}, "24", id="that mention a pod"),
        pytest.param({"mentioned_pod": "lead"}, "", id="that mention nobody"),
        pytest.param({"mentioned_pod": "fix", "limit": 1}, "4", id="the newest mention"),
    ],
)
async def test_messages_are_read(
    world: Talk, five: AgentPod, arguments: dict[str, Any], found: str
) -> None:
    answer = await world.call(five, "get_channel_messages", channel_id="design", **arguments)
    assert "".join(message["content"] for message in answer["messages"]) == found
    assert answer["last_sequence"] == 5


@pytest.mark.parametrize("argument", ["before_time", "after_time"])
@pytest.mark.parametrize(
    "text", ["yesterday", "2027-01-15", "2027-02-30T00:00:00Z", "2027-01-15T08:00:00", "1e9"]
)
async def test_a_time_that_is_none_is_refused(
    world: Talk, five: AgentPod, argument: str, text: str
) -> None:
    await refused(
        world.call(five, "get_channel_messages", channel_id="design", **{argument: text}),
        "InvalidArgument",
        argument,
        "RFC 3339",
    )


async def test_messages_that_mention_nobody_known_are_not_looked_for(
    world: Talk, five: AgentPod
) -> None:
    await refused(
        world.call(five, "get_channel_messages", channel_id="design", mentioned_pod="nobody"),
        "NotFound",
        "no pod nobody",
    )


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 201}, {"after_sequence": -1}])
async def test_bounds_of_reading_are_kept(
    world: Talk, five: AgentPod, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgumentsError):
        await world.call(five, "get_channel_messages", channel_id="design", **wrong)


# --- the document ---------------------------------------------------------------------------------


async def test_a_document_is_shared_and_keeps_its_bytes(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    await world.channel("design", members=[{"name": "lead"}, {"name": "fix"}])
    empty = await world.call(lead, "get_channel_document", channel_id="design")
    assert empty == {"document": "", "revision": 0}
    text = "# Plan\r\n\ttabs  \n🦊"
    put = await world.call(
        lead, "update_channel_document", channel_id="design", document=text, revision=0
    )
    assert put == {
        "revision": 1,
        "replaced_revision": 0,
        "was_checked": True,
        "updated_at": "2027-01-15T08:00:00.000000Z",
    }
    assert await world.call(fix, "get_channel_document", channel_id="design") == {
        "document": text,
        "revision": 1,
        "updated_by": "lead",
        "updated_at": "2027-01-15T08:00:00.000000Z",
    }


async def test_an_outdated_revision_is_a_conflict_with_the_document_there_is(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    await world.channel("design", members=[{"name": "lead"}, {"name": "fix"}])
    write = "update_channel_document"
    await world.call(lead, write, channel_id="design", document="lead's", revision=0)
    error = await refused(
        world.call(fix, write, channel_id="design", document="fix's", revision=0),
        "Conflict",
        "revision 1, not 0",
    )
    assert error.structured == {
        "document": "lead's",
        "revision": 1,
        "updated_by": "lead",
        "updated_at": "2027-01-15T08:00:00.000000Z",
    }
    assert (await world.call(fix, "get_channel_document", channel_id="design"))["revision"] == 1


async def test_without_a_revision_the_last_write_wins_and_says_so(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    await world.channel("design", members=[{"name": "lead"}, {"name": "fix"}])
    write = "update_channel_document"
    await world.call(lead, write, channel_id="design", document="lead's")
    put = await world.call(fix, write, channel_id="design", document="fix's")
    assert (put["revision"], put["replaced_revision"], put["was_checked"]) == (2, 1, False)


async def test_a_document_is_measured_in_bytes(world: Talk, lead: AgentPod) -> None:
    await world.channel("design", members=[{"name": "lead"}])
    write = "update_channel_document"
    await world.call(lead, write, channel_id="design", document="x" * 1_048_576)
    await refused(
        world.call(lead, write, channel_id="design", document="é" * 524_289), "LimitExceeded"
    )


# --- retention and deletion -----------------------------------------------------------------------


async def test_messages_are_kept_as_long_as_the_channel_says(world: Talk, lead: AgentPod) -> None:
    await world.channel("design", retention={"days": 2})
    await world.channel("forever")
    for channel in ("design", "forever"):
        await world.call(lead, "send_channel_message", channel_id=channel, content="old")
    world.now += 86_400 * 2 + 1
    await world.call(lead, "send_channel_message", channel_id="design", content="new")
    await world.channels.retain()
    found = await world.call(lead, "get_channel_messages", channel_id="design")
    assert [(each["content"], each["sequence"]) for each in found["messages"]] == [("new", 2)]
    assert await world.said(lead, "forever") == ["old"]
