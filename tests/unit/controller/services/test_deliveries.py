"""Prompts to pods: sent until their end is known, and the sender hears of those that fail."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from controller.rpc.ports import RunnerKey
from controller.services.deliveries import GIVE_UP_SECONDS
from controller.store.records import ChannelRef, DeliveryState
from controller.tools.call import ToolError
from schemas.agentpod import AgentPod
from schemas.names import AGENT_CLASS, AGENT_POD, CHANNEL
from tests.unit.controller.talk import Talk, talk

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Talk]:
    async with talk(tmp_path) as found:
        await found.channel("design")
        yield found


@pytest.fixture
async def lead(world: Talk) -> AgentPod:
    return await world.pod("lead")


@pytest.fixture
async def fix(world: Talk) -> AgentPod:
    return await world.pod("fix", runner="r2")


async def mention(world: Talk, lead: AgentPod, *pods: str, content: str = "look") -> dict[str, Any]:
    return await world.call(
        lead, "send_channel_message", channel_id="design", content=content, mentions=list(pods)
    )


def report(down: link_pb2.AskDown, state: Any, **fields: str) -> link_pb2.DeliveryReport:
    return link_pb2.DeliveryReport(ref=down.ref, id=down.deliver.id, state=state, **fields)


async def state_of(world: Talk, delivery_id: str) -> DeliveryState:
    found = await world.messages.delivery(delivery_id)
    assert found is not None
    return found.state


@asynccontextmanager
async def running(world: Talk) -> AsyncIterator[None]:
    """Run the service, as the composition root does."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(world.deliveries.run())
        yield
        task.cancel()


async def until(condition: Callable[[], bool], changed: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await changed.wait()


# --- what a runner is told ------------------------------------------------------------------------


async def test_a_mention_is_sent_to_the_runner_of_its_pod(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    here, there = world.runner_of(lead), world.runner_of(fix)
    async with running(world):
        with world.deliveries.changes(there) as changes:
            sent = await mention(world, lead, "fix", content="please look\r\nat \x1b[201~this")
            await until(lambda: bool(world.deliveries.open(there)), changes)
    (down,) = world.deliveries.open(there)
    assert (down.ref.pod_uid, down.ref.epoch, down.number) == (fix.metadata.uid, 1, 0)
    assert down.deliver.text == (
        '[agentsmesh] Message 1 from pod "lead" in channel "design". Answer with '
        f'send_channel_message (channel_id "design", reply_to "{sent["message_id"]}"):\n'
        "please look\nat [201~this"
    )
    assert down.deliver.give_up_unix_ms == int((world.now + GIVE_UP_SECONDS) * 1000)
    assert world.deliveries.open(here) == ()


async def test_prompts_to_a_pod_keep_their_order(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    for number in range(8):
        await mention(world, lead, "fix", content=f"number {number}")
    await world.deliveries.look()
    texts = [down.deliver.text for down in world.deliveries.open(world.runner_of(fix))]
    assert [text.splitlines()[-1] for text in texts] == [f"number {n}" for n in range(8)]


async def test_after_a_restart_all_that_is_open_is_sent_again_and_the_same(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    await mention(world, lead, "fix")
    await world.deliveries.look()
    before = world.deliveries.open(world.runner_of(fix))
    world.restart()
    assert world.deliveries.open(world.runner_of(fix)) == ()
    await world.deliveries.look()
    assert world.deliveries.open(world.runner_of(fix)) == before


async def test_a_prompt_waits_for_its_pod_to_be_placed_and_goes_with_it(
    world: Talk, lead: AgentPod
) -> None:
    late = await world.pod("late", runner=None)
    placements = [
        {"runnerName": name, "runnerUID": f"uid-{name}", "epoch": epoch, "placedAt": "x"}
        for name, epoch in (("r8", 1), ("r9", 2))
    ]
    first, second = (RunnerKey("acme", one["runnerName"], one["runnerUID"]) for one in placements)
    async with running(world):
        await mention(world, lead, "late")
        for place, runner in zip(placements, (first, second), strict=True):
            with world.deliveries.changes(runner) as changes:
                await world.status(late, {"phase": "Starting", "placement": place})
                await until(lambda r=runner: bool(world.deliveries.open(r)), changes)
    assert world.deliveries.open(first) == ()
    assert [down.ref.epoch for down in world.deliveries.open(second)] == [2]


async def test_a_binding_notice_is_typed_once(world: Talk, fix: AgentPod) -> None:
    uid = fix.metadata.uid
    for _ in range(2):
        await world.deliveries.tell("acme", uid, "bind\x07 me", key="request-1")
    await world.deliveries.tell("rival", uid, "not yours", key="request-2")
    await world.deliveries.tell("acme", "uid-of-nobody", "gone", key="request-3")
    await world.deliveries.look()
    (down,) = world.deliveries.open(world.runner_of(fix))
    assert down.deliver.text == "bind me"


async def test_an_ended_pod_is_told_nothing(world: Talk, fix: AgentPod) -> None:
    await world.end(fix)
    await world.deliveries.tell("acme", fix.metadata.uid, "hello", key="k")
    assert await world.messages.open_deliveries() == ()


async def test_a_long_message_is_cut_in_the_prompt_and_whole_in_the_channel(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    content = "🦊" * 32_768
    await mention(world, lead, "fix", content=content)
    await world.deliveries.look()
    (down,) = world.deliveries.open(world.runner_of(fix))
    assert len(down.deliver.text.encode()) <= 32 * 1024
    assert down.deliver.text.endswith("read the rest with get_channel_messages.")
    assert await world.said(lead, "design") == [content]


# --- what a runner says ---------------------------------------------------------------------------


@pytest.fixture
async def down(world: Talk, lead: AgentPod, fix: AgentPod) -> link_pb2.AskDown:
    await mention(world, lead, "fix")
    await world.deliveries.look()
    (found,) = world.deliveries.open(world.runner_of(fix))
    return found


async def test_a_submitted_prompt_is_over_at_once(
    world: Talk, fix: AgentPod, down: link_pb2.AskDown
) -> None:
    runner, say = world.runner_of(fix), world.deliveries.reported
    assert await say(runner, report(down, link_pb2.DELIVERY_ACCEPTED)) is False
    assert await state_of(world, down.deliver.id) is DeliveryState.ACCEPTED
    assert len(world.deliveries.open(runner)) == 1
    assert await say(runner, report(down, link_pb2.DELIVERY_SUBMITTED)) is True
    assert world.deliveries.open(runner) == ()  # before anybody has looked again
    assert await state_of(world, down.deliver.id) is DeliveryState.SUBMITTED
    assert await say(runner, report(down, link_pb2.DELIVERY_SUBMITTED)) is True
    assert await say(runner, report(down, link_pb2.DELIVERY_FAILED)) is True
    assert await state_of(world, down.deliver.id) is DeliveryState.SUBMITTED


async def test_what_was_settled_is_not_sent_by_a_look_that_began_before(
    world: Talk, fix: AgentPod, down: link_pb2.AskDown
) -> None:
    runner = world.runner_of(fix)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(world.deliveries.look())
        tasks.create_task(
            world.deliveries.reported(runner, report(down, link_pb2.DELIVERY_SUBMITTED))
        )
    assert world.deliveries.open(runner) == ()


async def test_a_failed_mention_is_told_in_the_channel_and_on_the_sender(
    world: Talk, lead: AgentPod, fix: AgentPod, down: link_pb2.AskDown
) -> None:
    failed = report(
        down, link_pb2.DELIVERY_FAILED, reason="NotSubmitted", message="it sits in a menu"
    )
    for _ in range(2):
        assert await world.deliveries.reported(world.runner_of(fix), failed) is True
    found = (await world.call(lead, "get_channel_messages", channel_id="design"))["messages"]
    assert len(found) == 2
    note = found[1]
    assert note["message_type"] == "system"
    assert note["sender_user"] == "system:agentsmesh"
    assert note["reply_to"] == found[0]["message_id"]
    assert note["mentions"] == []
    said = (
        "DeliveryFailed: pod fix did not get message 1 of channel design as a prompt: "
        "it sits in a menu"
    )
    assert note["content"] == said
    assert world.recorder.events == [("lead", "DeliveryFailed", said)]
    stored = await world.messages.delivery(down.deliver.id)
    assert stored is not None
    assert (stored.state, stored.reason) == (DeliveryState.FAILED, "NotSubmitted")


async def test_a_failure_in_an_archived_channel_is_told_on_the_sender_alone(
    world: Talk, lead: AgentPod, fix: AgentPod, down: link_pb2.AskDown
) -> None:
    await world.kube.patch(CHANNEL, "acme", "design", {"spec": {"archived": True}})
    failed = report(down, link_pb2.DELIVERY_FAILED, reason="NotReady")
    assert await world.deliveries.reported(world.runner_of(fix), failed) is True
    assert len(await world.said(lead, "design")) == 1
    assert [event[:2] for event in world.recorder.events] == [("lead", "DeliveryFailed")]


async def test_a_crash_between_the_note_and_the_record_tells_it_once(
    world: Talk, lead: AgentPod, fix: AgentPod, down: link_pb2.AskDown
) -> None:
    stored = await world.messages.delivery(down.deliver.id)
    assert stored is not None
    await world.deliveries._failures.note(stored, "it sits in a menu")  # noqa: SLF001 - and crash
    world.restart()
    failed = report(down, link_pb2.DELIVERY_FAILED, message="it sits in a menu")
    assert await world.deliveries.reported(world.runner_of(fix), failed) is True
    assert len(await world.said(lead, "design")) == 2


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"uid": "uid-of-another"}, id="a runner of the same name"),
        pytest.param({"namespace": "rival"}, id="a runner of another organization"),
    ],
)
async def test_a_runner_that_has_not_the_pod_moves_nothing(
    world: Talk, fix: AgentPod, down: link_pb2.AskDown, change: dict[str, str]
) -> None:
    stranger = replace(world.runner_of(fix), **change)
    for state in (link_pb2.DELIVERY_SUBMITTED, link_pb2.DELIVERY_FAILED):
        assert await world.deliveries.reported(stranger, report(down, state)) is True
    assert await state_of(world, down.deliver.id) is DeliveryState.QUEUED


async def test_an_old_placement_moves_nothing(
    world: Talk, fix: AgentPod, down: link_pb2.AskDown
) -> None:
    late = report(down, link_pb2.DELIVERY_SUBMITTED)
    late.ref.epoch = 7
    assert await world.deliveries.reported(world.runner_of(fix), late) is True
    assert await state_of(world, down.deliver.id) is DeliveryState.QUEUED


async def test_what_nobody_knows_may_be_forgotten(world: Talk, fix: AgentPod) -> None:
    unknown = link_pb2.DeliveryReport(id="who?", state=link_pb2.DELIVERY_ACCEPTED)
    assert await world.deliveries.reported(world.runner_of(fix), unknown) is True
    unknown.state = link_pb2.DELIVERY_STATE_UNSPECIFIED
    assert await world.deliveries.reported(world.runner_of(fix), unknown) is False


# --- what nobody takes ----------------------------------------------------------------------------


async def reason_of(world: Talk, down: link_pb2.AskDown) -> str:
    found = await world.messages.delivery(down.deliver.id)
    assert found is not None
    return found.reason


@pytest.mark.parametrize(
    ("accepted", "seconds", "reason"),
    [
        pytest.param(False, 659.0, "", id="the runner may still say it"),
        pytest.param(False, 660.0, "GaveUp", id="no runner took it"),
        pytest.param(True, 1199.0, "", id="its runner is away"),
        pytest.param(True, 1200.0, "RunnerAway", id="for too long"),
    ],
)
async def test_a_prompt_is_given_up_after_its_time(
    world: Talk,
    fix: AgentPod,
    down: link_pb2.AskDown,
    accepted: bool,  # noqa: FBT001 - a row of a table
    seconds: float,
    reason: str,
) -> None:
    if accepted:
        said = report(down, link_pb2.DELIVERY_ACCEPTED)
        await world.deliveries.reported(world.runner_of(fix), said)
    world.now += seconds
    left = await world.deliveries.look()
    assert await reason_of(world, down) == reason
    assert left == (None if reason else pytest.approx(1.0))
    assert [event[1] for event in world.recorder.events] == (["DeliveryFailed"] if reason else [])


async def test_a_pod_without_a_runner_is_given_up_in_time(world: Talk, lead: AgentPod) -> None:
    await world.pod("late", runner=None)
    sent = await mention(world, lead, "late")
    assert await world.deliveries.look() == pytest.approx(GIVE_UP_SECONDS)
    world.now += GIVE_UP_SECONDS
    assert await world.deliveries.look() is None
    (stored,) = await world.messages.deliveries_of(sent["message_id"])
    assert stored.reason == "GaveUp"


async def test_the_end_of_a_pod_ends_its_prompts_after_a_moment(
    world: Talk, fix: AgentPod, down: link_pb2.AskDown
) -> None:
    await world.status(
        fix, {"phase": "Succeeded", "observed": {"epoch": 1, "finishedAt": "2027-01-15T08:00:00Z"}}
    )
    assert await world.deliveries.look() == pytest.approx(10.0)
    assert await reason_of(world, down) == ""
    world.now += 10
    await world.deliveries.look()
    assert await reason_of(world, down) == "AgentEnded"


async def test_a_pod_that_is_gone_gets_no_prompt_and_is_no_member(
    world: Talk, lead: AgentPod, fix: AgentPod, down: link_pb2.AskDown
) -> None:
    world.now += 1
    await world.call(fix, "send_channel_message", channel_id="design", content="I join")
    members = await world.messages.members(world.stored("design").metadata.uid)
    assert [member.pod_name for member in members] == ["lead", "fix"]
    async with running(world):
        with world.messages.changes(world.stored("design").metadata.uid) as changes:
            await world.kube.delete(AGENT_POD, "acme", "fix")
            await changes.wait()  # the note
        with world.messages.delivery_changes() as changes:
            while await state_of(world, down.deliver.id) is not DeliveryState.FAILED:
                await changes.wait()
    await world.deliveries.look()
    assert await reason_of(world, down) == "AgentEnded"
    members = await world.messages.members(world.stored("design").metadata.uid)
    assert [member.pod_name for member in members] == ["lead"]
    assert (await world.said(lead, "design"))[-1].endswith("pod fix has ended")


# --- who takes no prompts -------------------------------------------------------------------------


async def shell(world: Talk, **readiness: str) -> AgentPod:
    """Return a pod whose class says no word of prompts, but what its readiness says."""
    await world.agent_class("shell", prompt={"position": "none"}, readiness=readiness)
    return await world.pod("sh", agentClassName="shell")


async def test_nothing_is_typed_into_a_shell(world: Talk, lead: AgentPod) -> None:
    pod = await shell(world)
    sent = await mention(world, lead, "sh", content="rm -rf ~")
    assert sent["undeliverable"] == ["sh"]
    await world.deliveries.tell("acme", pod.metadata.uid, "Pod lead asks", key="k")
    assert await world.messages.open_deliveries() == ()
    assert await world.said(lead, "design") == ["rm -rf ~"], "it is stored"
    why = (
        "pod sh takes no prompts: its AgentClass shell has prompt.position none and no"
        " readiness.regex, so nothing says that it reads them"
    )
    assert world.recorder.events == [
        ("lead", "TakesNoPrompts", f"{why}; message 1 of channel design was not typed"),
        ("sh", "TakesNoPrompts", f"{why}; this was not typed: Pod lead asks"),
    ]


async def test_an_empty_sign_is_none(world: Talk, lead: AgentPod) -> None:
    await shell(world, regex="")
    assert (await mention(world, lead, "sh"))["undeliverable"] == ["sh"]


async def test_a_program_whose_class_says_how_it_looks_when_ready_is_prompted(
    world: Talk, lead: AgentPod
) -> None:
    pod = await shell(world, regex="> $")
    assert (await mention(world, lead, "sh"))["undeliverable"] == []
    await world.deliveries.look()
    assert len(world.deliveries.open(world.runner_of(pod))) == 1


@pytest.mark.parametrize("gone", [False, True])
async def test_what_is_queued_fails_when_the_class_says_no_more(
    world: Talk,
    lead: AgentPod,
    gone: bool,  # noqa: FBT001 - a row of a table
) -> None:
    pod = await shell(world, regex="> $")
    async with running(world):
        sent = await mention(world, lead, "sh")
        with world.messages.changes(world.stored("design").metadata.uid) as changes:
            if gone:
                await world.kube.delete(AGENT_CLASS, "", "shell")
            else:
                change = {"spec": {"readiness": {"regex": None}}}
                await world.kube.patch(AGENT_CLASS, "", "shell", change)
            await changes.wait()  # the note
        (stored,) = await world.messages.deliveries_of(sent["message_id"])
        with world.messages.delivery_changes() as changes:
            while (await state_of(world, stored.delivery_id)) is not DeliveryState.FAILED:
                await changes.wait()
        async with asyncio.timeout(5):
            while world.deliveries.open(world.runner_of(pod)):
                await asyncio.sleep(0.01)  # it is on record before it is not sent any more
    (stored,) = await world.messages.deliveries_of(sent["message_id"])
    assert stored.reason == "TakesNoPrompts"


async def test_what_a_runner_has_taken_is_for_the_runner_to_end(
    world: Talk, lead: AgentPod
) -> None:
    pod = await shell(world, regex="> $")
    await mention(world, lead, "sh")
    await world.deliveries.look()
    runner = world.runner_of(pod)
    (down,) = world.deliveries.open(runner)
    await world.deliveries.reported(runner, report(down, link_pb2.DELIVERY_ACCEPTED))
    await world.kube.patch(AGENT_CLASS, "", "shell", {"spec": {"readiness": {"regex": None}}})
    await world.deliveries.look()
    assert await state_of(world, down.deliver.id) is DeliveryState.ACCEPTED


# --- fairness -------------------------------------------------------------------------------------


def contents(world: Talk, pod: AgentPod) -> list[str]:
    """Return what is to be typed at the pod, as its runner has it."""
    downs = world.deliveries.open(world.runner_of(pod))
    return [down.deliver.text.splitlines()[-1] for down in downs]


async def too_many(awaitable: Any) -> str:
    with pytest.raises(ToolError) as caught:
        await awaitable
    assert caught.value.reason == "LimitExceeded"
    return caught.value.message


@pytest.mark.usefixtures("fix")
async def test_a_ninth_prompt_of_one_sender_is_refused_before_anything_is_stored(
    world: Talk, lead: AgentPod
) -> None:
    other = await world.pod("other")
    sent = await asyncio.gather(
        *(mention(world, lead, "fix", content=str(n)) for n in range(16)), return_exceptions=True
    )
    refused = [one for one in sent if isinstance(one, ToolError)]
    assert len(refused) == 8
    assert refused[0].message == (
        "mentions: 8 prompts of yours wait for pod fix, and more are not taken: try again once it"
        " has taken some, or send without mentioning it; nothing was sent"
    )
    assert {one.reason for one in refused} == {"LimitExceeded"}
    assert len(await world.said(lead, "design")) == 8
    assert world.recorder.events == []
    await mention(world, lead, content="without a mention")
    await mention(world, other, "fix", content="of another")
    world.restart()
    assert "pod fix" in await too_many(mention(world, lead, "other", "fix", content="restarted"))
    assert len(await world.messages.open_deliveries()) == 9


async def test_what_was_taken_makes_room(world: Talk, lead: AgentPod, fix: AgentPod) -> None:
    for number in range(8):
        await mention(world, lead, "fix", content=str(number))
    await world.deliveries.look()
    first, *_ = world.deliveries.open(world.runner_of(fix))
    await world.deliveries.reported(
        world.runner_of(fix), report(first, link_pb2.DELIVERY_SUBMITTED)
    )
    await mention(world, lead, "fix", content="8")
    await world.deliveries.look()
    assert contents(world, fix) == [str(number) for number in range(1, 9)]
    await too_many(mention(world, lead, "fix"))


@pytest.mark.usefixtures("fix")
async def test_a_repeat_is_no_ninth_prompt(world: Talk, lead: AgentPod) -> None:
    arguments = {"channel_id": "design", "content": "once", "mentions": ["fix"]}
    first = await world.call(lead, "send_channel_message", idempotency_key="k", **arguments)
    for number in range(7):
        await mention(world, lead, "fix", content=str(number))
    again = await world.call(lead, "send_channel_message", idempotency_key="k", **arguments)
    assert again == first
    await too_many(world.call(lead, "send_channel_message", idempotency_key="new", **arguments))
    assert len(await world.messages.open_deliveries()) == 8


async def test_senders_take_turns_and_few_are_on_their_way(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    others = [await world.pod(name) for name in ("b", "c")]
    for number in range(8):
        await mention(world, lead, "fix", content=f"lead {number}")
    for number in range(3):
        for other in others:
            await mention(world, other, "fix", content=f"{other.metadata.name} {number}")
    await world.deliveries.look()
    assert contents(world, fix) == [
        *("lead 0", "b 0", "c 0", "lead 1", "b 1", "c 1", "lead 2", "b 2"),
    ]


async def test_who_comes_later_waits_for_what_is_on_its_way_alone(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    runner, (b, c) = world.runner_of(fix), [await world.pod(name) for name in ("b", "c")]
    for sender in (lead, b):
        for number in range(8):
            await mention(world, sender, "fix", content=f"{sender.metadata.name} {number}")
    await world.deliveries.look()
    before = contents(world, fix)
    await mention(world, c, "fix", content="c 0")
    await world.deliveries.look()
    assert contents(world, fix) == before
    first, *_ = world.deliveries.open(runner)
    await world.deliveries.reported(runner, report(first, link_pb2.DELIVERY_SUBMITTED))
    await world.deliveries.look()
    assert contents(world, fix) == [*before[1:], "c 0"]


async def test_texts_are_read_when_they_are_sent_and_not_again(
    world: Talk, lead: AgentPod, fix: AgentPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    listed, one = world.messages.open_deliveries, world.messages.delivery

    async def all_of_them(**which: Any) -> Any:
        read.append("all")
        return await listed(**which)

    async def text_of(delivery_id: str) -> Any:
        read.append("one")
        return await one(delivery_id)

    monkeypatch.setattr(world.messages, "open_deliveries", all_of_them)
    monkeypatch.setattr(world.messages, "delivery", text_of)
    b = await world.pod("b")
    for number in range(8):
        for sender in (lead, b):
            await mention(world, sender, "fix", content=str(number))
            await world.deliveries.look()
    assert read == ["all", *["one"] * 8]
    assert len(contents(world, fix)) == 8


async def test_what_is_stored_by_a_call_that_was_given_up_is_found(
    world: Talk, lead: AgentPod, fix: AgentPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.deliveries.look()
    append, begun = world.messages.append, asyncio.Event()

    async def heard_of(*what: Any) -> Any:
        begun.set()
        return await append(*what)

    monkeypatch.setattr(world.messages, "append", heard_of)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        with world.messages.delivery_changes() as changes:
            call = tasks.create_task(mention(world, lead, "fix", content="given up"))
            await begun.wait()
            call.cancel()
            await changes.wait()
    assert call.cancelled()
    await world.deliveries.look()
    assert contents(world, fix) == []
    world.deliveries._outbox.reread()  # noqa: SLF001 - some seconds later
    await world.deliveries.look()
    assert contents(world, fix) == ["given up"]


async def test_a_deleted_channel_takes_its_prompts_with_it(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    await mention(world, lead, "fix")
    await world.deliveries.look()
    channel = world.stored("design").metadata
    await world.messages.forget_channel(ChannelRef(channel.uid, "acme"))
    world.store.remove("Channel", channel.uid)
    await world.deliveries.look()
    assert contents(world, fix) == []
