"""The sweep repairs what a broken watch hides."""

import asyncio
from typing import Any

import pytest

from controller.kernel.store import Collection, Store
from controller.kernel.sweep import Sweep
from schemas.agentclass import AgentClass
from schemas.names import AGENT_CLASS

pytestmark = pytest.mark.anyio


@pytest.fixture
def store() -> Store:
    return Store([Collection(AgentClass)])


async def made(kube: Any, name: str) -> dict[str, Any]:
    manifest = {"metadata": {"name": name}, "spec": {"executable": "x"}}
    return await kube.create(AGENT_CLASS, "", manifest)


async def test_an_object_that_vanished_without_an_event_is_buried(kube: Any, store: Any) -> None:
    store.apply("AgentClass", await made(kube, "a"))
    store.apply("AgentClass", await made(kube, "b"))
    await kube.delete(AGENT_CLASS, "", "a")
    sweep = Sweep(kube, store)
    assert await sweep.once() == 1
    assert [item.metadata.name for item in store.of(AgentClass)] == ["b"]


async def test_an_object_that_came_without_an_event_is_found(kube: Any, store: Any) -> None:
    await made(kube, "a")
    await Sweep(kube, store).once()
    assert len(store.of(AgentClass)) == 1


async def test_an_object_that_comes_while_the_list_is_made_is_not_buried(
    kube: Any, store: Any
) -> None:
    await made(kube, "a")

    class Late:
        async def pages(self, resource: Any, namespace: str = "", *, limit: int = 500) -> Any:
            async for page in kube.pages(resource, namespace, limit=limit):
                store.apply("AgentClass", await made(kube, "late"))  # by its watch
                yield page

    assert await Sweep(Late(), store).once() == 0
    assert len(store.of(AgentClass)) == 2


async def test_a_sign_of_a_broken_watch_brings_the_sweep_forward(kube: Any, store: Any) -> None:
    store.apply("AgentClass", await made(kube, "a"))
    await kube.delete(AGENT_CLASS, "", "a")
    sweep = Sweep(kube, store, interval_seconds=600, after_relist_seconds=0.01)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sweep.run())
        sweep.ask()
        while len(store.of(AgentClass)):
            await asyncio.sleep(0.005)
        running.cancel()
    assert sweep.repaired == 1


async def test_a_sweep_that_fails_is_tried_again(kube: Any, store: Any) -> None:
    await made(kube, "a")
    kube.down = True
    sweep = Sweep(kube, store, interval_seconds=0.02)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sweep.run())
        await asyncio.sleep(0.1)
        kube.down = False
        while not len(store.of(AgentClass)):
            await asyncio.sleep(0.005)
        running.cancel()
