"""Events of another thread reach the main loop: all of them, in order, and in turns."""

import asyncio
from typing import Any

import pytest

from controller.kernel.triggers import Events

pytestmark = pytest.mark.anyio

COUNT = 2000


def event(number: int) -> dict[str, Any]:
    return {"number": number}


async def test_many_events_arrive_in_order_and_others_have_their_turn() -> None:
    taken: list[int] = []
    done = asyncio.Event()

    def take(_kind: str, _event: str | None, manifest: dict[str, Any]) -> None:
        taken.append(manifest["number"])
        if len(taken) == COUNT:
            done.set()

    events = Events(asyncio.get_running_loop(), take)

    def put() -> None:
        for number in range(COUNT):
            events.put("Ticket", "ADDED", event(number))

    put()
    await asyncio.sleep(0)
    assert 0 < len(taken) < COUNT
    async with asyncio.timeout(20):
        await done.wait()
    assert taken == list(range(COUNT))


async def test_events_of_a_thread_are_all_taken_however_it_is_timed() -> None:
    taken: list[int] = []
    done = asyncio.Event()

    def take(_kind: str, _event: str | None, manifest: dict[str, Any]) -> None:
        taken.append(manifest["number"])
        if manifest["number"] == COUNT - 1:
            done.set()

    events = Events(asyncio.get_running_loop(), take)

    def put() -> None:
        for number in range(COUNT):
            events.put("Ticket", "ADDED", event(number))

    await asyncio.to_thread(put)
    async with asyncio.timeout(20):
        await done.wait()
    assert taken == list(range(COUNT))


async def test_an_event_that_cannot_be_taken_keeps_no_other_one_away() -> None:
    loop, taken = asyncio.get_running_loop(), list[int]()
    done = asyncio.Event()
    failures: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def take(_kind: str, _event: str | None, manifest: dict[str, Any]) -> None:
        if manifest["number"] == 1:
            raise ValueError("odd")
        taken.append(manifest["number"])
        if manifest["number"] == 3:
            done.set()

    events = Events(loop, take)
    for number in range(4):
        events.put("Ticket", None, event(number))
    async with asyncio.timeout(20):
        await done.wait()
    loop.set_exception_handler(None)
    assert (taken, len(failures)) == ([0, 2, 3], 1)
