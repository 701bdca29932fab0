"""Prompts of people: taken once for each key, followed to their end, held while a pod pauses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from controller.services.deliveries import GIVE_UP_SECONDS
from controller.services.prompting import Prompting, Wish
from controller.services.waiting import MAX_WAITING
from controller.store.records import DeliveryState
from controller.tools.call import ToolError
from schemas.agentpod import AgentPod
from schemas.names import AGENT_POD
from tests.unit.controller.talk import Talk, talk

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Talk]:
    async with talk(tmp_path) as found:
        yield found


@pytest.fixture
async def fix(world: Talk) -> AgentPod:
    return await world.pod("fix")


def prompting(world: Talk) -> Prompting:
    return Prompting(world.store, world.messages, world.deliveries, world.kube)


def wish(**fields: str) -> Wish:
    values = {"user": "ada", "namespace": "acme", "pod": "fix", "text": "mend it", "key": "k"}
    return Wish(**(values | fields))


@asynccontextmanager
async def running(world: Talk) -> AsyncIterator[None]:
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(world.deliveries.run())
        yield
        task.cancel()


async def told(world: Talk, pod: AgentPod) -> list[str]:
    """Return the texts that the pod's runner is told to deliver."""
    await world.deliveries.look()
    return [down.deliver.text for down in world.deliveries.open(world.runner_of(pod))]


async def report(world: Talk, pod: AgentPod, prompt_id: str, state: Any, **more: str) -> bool:
    ref = link_pb2.PodRef(pod_uid=pod.metadata.uid, epoch=1)
    said = link_pb2.DeliveryReport(ref=ref, id=prompt_id, state=state, **more)
    return await world.deliveries.reported(world.runner_of(pod), said)


async def test_a_prompt_goes_to_the_runner_as_it_was_written(world: Talk, fix: AgentPod) -> None:
    await prompting(world).submit(wish(text="mend it\r\nplease\x1b[201~"))
    assert await told(world, fix) == ["mend it\nplease[201~"]


async def test_the_same_key_is_the_same_prompt_even_after_a_restart(
    world: Talk, fix: AgentPod
) -> None:
    first = await prompting(world).submit(wish())
    world.restart()
    again = await prompting(world).submit(wish())
    assert again.delivery_id == first.delivery_id
    assert await told(world, fix) == ["mend it"]
    await report(world, fix, first.delivery_id, link_pb2.DELIVERY_SUBMITTED)
    assert (await prompting(world).submit(wish())).state is DeliveryState.SUBMITTED
    assert await told(world, fix) == []


async def test_many_at_once_with_one_key_are_one_prompt(world: Talk, fix: AgentPod) -> None:
    found = await asyncio.gather(*(prompting(world).submit(wish()) for _ in range(MAX_WAITING)))
    assert len({one.delivery_id for one in found}) == 1
    assert await told(world, fix) == ["mend it"]


@pytest.mark.usefixtures("fix")
@pytest.mark.parametrize("other", [{"user": "bob"}, {"key": "k2"}, {"pod": "other"}])
async def test_keys_belong_to_a_person_and_a_pod(world: Talk, other: dict[str, str]) -> None:
    await world.pod("other")
    first = await prompting(world).submit(wish())
    second = await prompting(world).submit(wish(**other))
    assert first.delivery_id != second.delivery_id


async def test_a_key_is_not_taken_for_another_text(world: Talk, fix: AgentPod) -> None:
    await prompting(world).submit(wish())
    with pytest.raises(ToolError, match="another text"):
        await prompting(world).submit(wish(text="break it"))
    assert await told(world, fix) == ["mend it"]


@pytest.mark.usefixtures("fix")
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"pod": "nobody"}, "NotFound", id="unknown pod"),
        pytest.param({"namespace": "rival"}, "NotFound", id="pod of another namespace"),
        pytest.param({"text": " \n\x07"}, "InvalidArgument", id="nothing to type"),
        pytest.param({"text": "ä" * 16385}, "InvalidArgument", id="too long"),
        pytest.param({"key": ""}, "InvalidArgument", id="no key"),
        pytest.param({"key": "x" * 129}, "InvalidArgument", id="a key without end"),
    ],
)
async def test_what_cannot_be_is_refused_at_once(
    world: Talk, fields: dict[str, str], reason: str
) -> None:
    with pytest.raises(ToolError) as caught:
        await prompting(world).submit(wish(**fields))
    assert caught.value.reason == reason
    assert await world.messages.open_deliveries() == ()


@pytest.mark.parametrize(
    ("phase", "spec"),
    [
        pytest.param("Succeeded", {}, id="ended well"),
        pytest.param("Failed", {}, id="failed for good"),
        pytest.param("Succeeded", {"restartPolicy": "OnFailure"}, id="nothing to restart"),
        pytest.param(
            "Failed", {"restartPolicy": "OnFailure", "desiredState": "Stopped"}, id="stopped"
        ),
    ],
)
async def test_a_pod_that_has_ended_is_refused(
    world: Talk, phase: str, spec: dict[str, Any]
) -> None:
    await world.pod("done", phase=phase, **spec)
    with pytest.raises(ToolError, match="pod done has ended"):
        await prompting(world).submit(wish(pod="done"))


async def test_a_class_that_takes_no_prompts_is_refused(world: Talk) -> None:
    await world.agent_class("shell", prompt={"position": "none"})
    await world.pod("root", agentClassName="shell")
    with pytest.raises(ToolError, match="takes no prompts"):
        await prompting(world).submit(wish(pod="root"))


async def test_a_pod_that_the_store_has_not_seen_yet_is_not_said_to_be_none(world: Talk) -> None:
    world.watching = False
    await world.make(AGENT_POD, "new", "acme", spec={"agentClassName": "greeter"})
    with pytest.raises(ToolError) as caught:
        await prompting(world).submit(wish(pod="new"))
    assert caught.value.reason == "Unavailable"


@pytest.mark.usefixtures("fix")
async def test_nobody_fills_a_pod_alone(world: Talk) -> None:
    for number in range(MAX_WAITING):
        await prompting(world).submit(wish(key=f"k{number}"))
    world.restart()  # who waits is known by the ids
    with pytest.raises(ToolError) as caught:
        await prompting(world).submit(wish(key="one more"))
    assert caught.value.reason == "LimitExceeded"
    await prompting(world).submit(wish(key="k0"))  # that one is taken already
    await prompting(world).submit(wish(user="bob"))


async def test_a_prompt_is_followed_to_its_end(world: Talk, fix: AgentPod) -> None:
    asking = prompting(world)
    async with running(world):
        first = await asking.submit(wish())
        seen = []
        async for delivery in asking.follow(first):
            seen.append(delivery.state)
            now = {
                DeliveryState.QUEUED: link_pb2.DELIVERY_ACCEPTED,
                DeliveryState.ACCEPTED: link_pb2.DELIVERY_SUBMITTED,
            }.get(delivery.state)
            if now is not None:
                await report(world, fix, first.delivery_id, now)
    assert seen == [DeliveryState.QUEUED, DeliveryState.ACCEPTED, DeliveryState.SUBMITTED]


async def test_a_prompt_that_fails_is_told_as_an_event_on_its_pod(
    world: Talk, fix: AgentPod
) -> None:
    first = await prompting(world).submit(wish())
    failed = {"reason": "NotReady", "message": "The agent did not run in time."}
    await report(world, fix, first.delivery_id, link_pb2.DELIVERY_FAILED, **failed)
    ((name, reason, message),) = world.recorder.events
    assert (name, reason) == ("fix", "DeliveryFailed")
    assert "was not submitted: The agent did not run in time." in message
    assert (await prompting(world).submit(wish())).reason == "NotReady"


async def test_a_suspended_pod_keeps_its_prompt_waiting(world: Talk, fix: AgentPod) -> None:
    first = await prompting(world).submit(wish())
    await world.kube.patch(AGENT_POD, "acme", "fix", {"spec": {"suspend": True}})
    assert await told(world, fix) == []
    for _ in range(3):
        world.now += GIVE_UP_SECONDS
        assert await told(world, fix) == []
    await world.kube.patch(AGENT_POD, "acme", "fix", {"spec": {"suspend": False}})
    assert await told(world, fix) == ["mend it"]
    (down,) = world.deliveries.open(world.runner_of(fix))
    assert down.deliver.give_up_unix_ms == int((world.now + GIVE_UP_SECONDS) * 1000)
    found = await world.messages.delivery(first.delivery_id)
    assert found is not None
    assert found.state is DeliveryState.QUEUED
