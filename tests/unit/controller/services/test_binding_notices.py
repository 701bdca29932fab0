"""Pods are told of requests and of answers, once each, whatever fails in between."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controller.services.binding_notices import BindingNotices
from controller.store.errors import UnavailableError
from controller.tools.bindings import BindingTools
from schemas.agentpod import AgentPod
from tests.unit.controller.tools.world import World

pytestmark = pytest.mark.anyio

READ, WRITE = "terminal:read", "terminal:write"


class Told:
    """Keeps what pods are told, by key, as the message store does."""

    def __init__(self) -> None:
        self.texts: dict[str, tuple[str, str]] = {}
        self.calls = 0
        self.broken = False
        self._news = asyncio.Event()

    async def tell(self, namespace: str, pod_uid: str, text: str, *, key: str) -> None:
        assert namespace == "acme"
        self.calls += 1
        self._news.set()
        if self.broken:
            raise UnavailableError("the database is in trouble")
        self.texts.setdefault(key, (pod_uid, text))

    async def until(self, count: int) -> list[tuple[str, str]]:
        """Return what was told, once so much was tried."""
        async with asyncio.timeout(10):
            while self.calls < count:
                self._news.clear()
                await self._news.wait()
        return list(self.texts.values())


@pytest.fixture
def world() -> World:
    world = World()
    world.handlers |= BindingTools(world.authoriser, world.bindings).handlers()
    return world


@pytest.fixture
async def lead(world: World) -> AgentPod:
    return await world.pod("lead")


@pytest.fixture
async def fix(world: World) -> AgentPod:
    return await world.pod("fix")


@asynccontextmanager
async def running(world: World, told: Told) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(BindingNotices(world.store, told, world.clock).run())
        yield
        task.cancel()


async def quiet() -> None:
    """Let everybody who can go on do so."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_the_target_is_told_who_asks_for_what_and_how_to_answer(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    told = Told()
    async with running(world, told):
        asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
        [(uid, text)] = await told.until(1)
    assert uid == fix.metadata.uid
    for part in ('Pod "lead"', READ, asked["binding_id"], "accept_binding", "reject_binding"):
        assert part in text
    assert WRITE not in text
    assert text.isprintable()


async def test_a_repeat_is_not_told_again_and_a_further_scope_is(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    told = Told()
    async with running(world, told):
        await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
        await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
        await told.until(1)
        world.now += 30
        await world.call(lead, "bind_pod", target_pod="fix", scopes=[WRITE])
        texts = await told.until(2)
        [bound] = world.bindings.of(lead)
        await world.status(bound.binding, {"observedGeneration": 7})
        await quiet()
    assert len(texts) == told.calls == 2
    assert {uid for uid, _ in texts} == {fix.metadata.uid}
    assert WRITE in texts[1][1]


@pytest.mark.usefixtures("fix")
async def test_a_restart_tells_what_was_not_told_and_nothing_twice(
    world: World, lead: AgentPod
) -> None:
    await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    told = Told()
    for life in (1, 2):
        async with running(world, told):
            await told.until(life)
    assert told.calls == 2
    assert len(told.texts) == 1, "the key is the same"


@pytest.mark.usefixtures("fix")
async def test_a_store_in_trouble_is_asked_again(
    world: World, lead: AgentPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.services.binding_notices._AGAIN_SECONDS", 0)
    told = Told()
    told.broken = True
    async with running(world, told):
        await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
        assert await told.until(3) == []
        told.broken = False
        while not told.texts:
            await asyncio.sleep(0)
    assert len(told.texts) == 1


async def test_the_initiator_is_told_the_answer(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    told = Told()
    async with running(world, told):
        asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
        await told.until(1)
        await world.call(
            fix, "reject_binding", binding_id=asked["binding_id"], reason="not\nnow \x1b[2J"
        )
        [_, (uid, text)] = await told.until(2)
        world.now += 30
        await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
        await told.until(3)
        await world.call(fix, "accept_binding", binding_id=asked["binding_id"])
        [*_, (_, accepted)] = await told.until(4)
    assert uid == lead.metadata.uid
    assert text.endswith('Its reason: "not now (2J"')
    assert "accepted" in accepted


async def test_pods_of_one_creator_are_not_disturbed(world: World, lead: AgentPod) -> None:
    await world.pod("one", creator=lead)
    told = Told()
    async with running(world, told):
        await world.call(lead, "bind_pod", target_pod="one", scopes=[READ])
        await quiet()
    assert told.calls == 0


async def test_what_was_answered_before_it_could_be_told_is_not_told(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    await world.call(fix, "unbind_pod", target_pod="lead")
    told = Told()
    async with running(world, told):
        await quiet()
    assert asked["status"] == "pending"
    assert told.calls == 0


async def test_a_loop_of_requests_and_refusals_is_told_every_half_minute(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    told = Told()
    async with running(world, told):
        for number in range(20):
            asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
            await quiet()
            why = f"no {number}"
            await world.call(fix, "reject_binding", binding_id=asked["binding_id"], reason=why)
            await quiet()
            world.now += 1
        await world.call(lead, "bind_pod", target_pod="fix", scopes=[WRITE])
        await quiet()
        assert [uid for uid, _ in told.texts.values()] == [fix.metadata.uid, lead.metadata.uid]
        world.now += 10
        [bound] = world.bindings.of(lead)
        await world.status(bound.binding, {"observedGeneration": 7})
        texts = await told.until(3)
        await quiet()
    assert told.calls == 3
    assert texts[2][0] == fix.metadata.uid
    assert WRITE in texts[2][1], "the latest state"
    assert READ not in texts[2][1]


async def test_what_had_to_wait_is_told_without_further_news(
    world: World, lead: AgentPod, fix: AgentPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.services.binding_notices._SPACING_SECONDS", 0.05)
    world.clock = time.time  # type: ignore[method-assign]  # it goes on by itself
    told = Told()
    async with running(world, told):
        await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
        await told.until(1)
        await world.call(lead, "bind_pod", target_pod="fix", scopes=[WRITE])
        texts = await told.until(2)
    assert [uid for uid, _ in texts] == [fix.metadata.uid] * 2


async def test_pairs_do_not_wait_for_each_other(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    other = await world.pod("other")
    told = Told()
    async with running(world, told):
        for pod in (lead, other):
            await world.call(pod, "bind_pod", target_pod="fix", scopes=[READ])
        texts = await told.until(2)
    assert [uid for uid, _ in texts] == [fix.metadata.uid] * 2
