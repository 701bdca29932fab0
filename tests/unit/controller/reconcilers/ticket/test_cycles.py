"""Cycles of tickets are looked for once for all, with rests, and none is missed."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kernel.store import Collection, Store
from controller.placement.indexes import BY_NAMESPACE, new_store
from controller.reconcilers.ticket.observe import TicketObserver

pytestmark = pytest.mark.anyio


class World:
    """Tickets, and a time that goes on where it is told to."""

    def __init__(self, build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.store: Store = new_store()
        self.queue = WorkQueue(clock=lambda: self.now)
        self.reads = 0
        self._build, self._version = build, 0
        get = Collection.get

        def counted(collection: Any, namespace: str, name: str) -> Any:
            self.reads += 1
            return get(collection, namespace, name)

        monkeypatch.setattr(Collection, "get", counted)
        indexed = Collection.indexed

        def slow(collection: Any, index: str, value: Any) -> Any:
            if index == BY_NAMESPACE:  # all are looked over, which takes half a second
                self.now += 0.5
            return indexed(collection, index, value)

        monkeypatch.setattr(Collection, "indexed", slow)
        self.observer = TicketObserver(self.store, queue=self.queue, ticks=lambda: self.now)

    def put(self, name: str, *needs: str, parent: str | None = None, title: str = "t") -> None:
        self._version += 1
        spec = {"title": title, "dependsOn": list(needs), **({"parent": parent} if parent else {})}
        meta = {"resourceVersion": str(self._version)}
        self.store.apply("Ticket", self._build("Ticket", name, spec=spec, metadata=meta).manifest())

    async def ways(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        found = await self.observer.observe(Key("Ticket", "acme", name))
        assert found is not None
        return found.parents_cycle, found.dependencies_cycle

    async def asked(self) -> set[str]:
        """Return the tickets that are looked at by now."""
        self.queue.add(Key("Nothing", "", ""))
        found = set(self._names_of([await self.queue.take()]))
        while not self.queue.idle:
            found |= set(self._names_of([await self.queue.take()]))
        return found

    def _names_of(self, keys: list[Key]) -> Iterator[str]:
        for key in keys:
            self.queue.done(key)
            if key.kind == "Ticket":
                yield key.name


@pytest.fixture
def world(build: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(build, monkeypatch)


async def test_what_one_ticket_costs_does_not_grow_with_the_graph(world: World) -> None:
    for number in range(1_000):
        ahead = range(number + 1, min(number + 21, 1_000))
        world.put(f"tk-{number}", *(f"tk-{there}" for there in ahead))
    assert await world.ways("tk-0") == ((), ())
    world.reads = 0
    assert await world.ways("tk-1") == ((), ())
    assert world.reads < 100


async def test_a_cycle_that_comes_is_found_after_a_rest_and_told_to_all_in_it(
    world: World,
) -> None:
    world.put("a", "b")
    world.put("b", "c")
    world.put("c")
    world.put("d", "a")
    assert await world.ways("a") == ((), ())
    world.put("c", "a")
    assert await world.ways("c") == ((), ())  # not yet
    assert await world.ways("b") == ((), ())
    assert await world.asked() == set()
    world.now += 3
    assert await world.asked() == {"c"}
    assert await world.ways("c") == ((), ("c", "a", "b", "c"))
    assert await world.asked() == {"a", "b", "c"}
    assert await world.ways("a") == ((), ("a", "b", "c", "a"))
    assert await world.ways("d") == ((), ())
    world.now += 3
    world.put("b")
    assert await world.ways("a") == ((), ())
    assert await world.asked() == {"a", "b", "c"}


async def test_one_that_is_looked_at_earlier_than_asked_comes_again(world: World) -> None:
    world.put("a")
    await world.ways("a")
    world.put("a", "a")
    await world.ways("a")
    world.queue.add_after(Key("Ticket", "acme", "a"), 0.5)
    world.now += 0.6
    assert await world.asked() == {"a"}
    assert await world.ways("a") == ((), ())
    world.now += 3
    assert await world.asked() == {"a"}
    assert await world.ways("a") == ((), ("a", "a"))


async def test_parents_are_looked_at_too_and_gone_tickets_end_a_cycle(world: World) -> None:
    world.put("a", parent="b")
    world.put("b", parent="a")
    assert await world.ways("a") == (("a", "b", "a"), ())
    world.now += 3
    world.store.remove("Ticket", "uid-of-b")
    assert await world.ways("a") == ((), ())


async def test_nothing_is_looked_over_for_what_can_close_no_cycle(world: World) -> None:
    world.put("a", "b")
    world.put("b")
    await world.ways("a")
    world.put("a", title="another")
    world.put("a")
    world.put("new")
    await world.ways("a")
    world.now += 3
    assert await world.asked() == set()


async def test_those_who_come_at_once_wait_for_one_look(world: World) -> None:
    world.put("a", "b")
    world.put("b", "a")
    found: list[Any] = []

    async def look(name: str) -> None:
        found.append(await world.ways(name))

    async with asyncio.TaskGroup() as group:
        for name in ("a", "b"):
            group.create_task(look(name))
    assert sorted(way for _, way in found) == [("a", "b", "a"), ("b", "a", "b")]


async def test_a_look_that_was_ended_is_begun_anew(world: World) -> None:
    for number in range(3_000):
        world.put(f"tk-{number}", f"tk-{(number + 1) % 3_000}")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await world.ways("tk-0")
    _, way = await world.ways("tk-0")
    assert len(way) == 3_001
