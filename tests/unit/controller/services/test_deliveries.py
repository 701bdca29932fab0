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
from controller.store.records import DeliveryState
from schemas.agentpod import AgentPod
from schemas.names import AGENT_POD, CHANNEL
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
        "[agentsmesh] Message 1 from pod lead in channel design. Answer with "
        f'send_channel_message (channel_id "design", reply_to "{sent["message_id"]}"):\n'
        "please look\nat [201~this"
    )
    assert down.deliver.give_up_unix_ms == int((world.now + GIVE_UP_SECONDS) * 1000)
    assert world.deliveries.open(here) == ()


async def test_prompts_to_a_pod_keep_their_order(
    world: Talk, lead: AgentPod, fix: AgentPod
) -> None:
    for number in range(20):
        await mention(world, lead, "fix", content=f"number {number}")
    await world.deliveries.look()
    texts = [down.deliver.text for down in world.deliveries.open(world.runner_of(fix))]
    assert [text.splitlines()[-1] for text in texts] == [f"number {n}" for n in range(20)]


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
