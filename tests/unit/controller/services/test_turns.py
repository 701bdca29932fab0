"""Long looks in turns: nobody waits for a whole one, and each gets their turn."""

import asyncio
from collections.abc import Iterator

import pytest

from controller.services.turns import Turns

pytestmark = pytest.mark.anyio


class Work:
    """Steps that take a millisecond each, by a clock of their own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def ticks(self) -> float:
        return self.now

    def steps(self, name: str, number: int) -> Iterator[None]:
        for _ in range(number):
            self.now += 0.001
            self.log.append(name)
            yield


async def test_others_have_the_loop_after_each_few_steps() -> None:
    work = Work()
    turns = Turns(work.ticks)

    async def other() -> None:
        while True:
            work.log.append("-")
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        busy = tasks.create_task(other())
        await turns.carry_out("acme", "lead", work.steps("s", 50))
        busy.cancel()
    stretches = "".join(work.log).replace("-", " ").split()
    assert "".join(stretches) == 50 * "s"
    assert max(map(len, stretches)) <= 6


async def test_who_asks_for_much_at_once_waits_for_itself() -> None:
    work = Work()
    turns = Turns(work.ticks)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(16):
            tasks.create_task(turns.carry_out("acme", "greedy", work.steps("g", 40)))
        await asyncio.sleep(0)
        tasks.create_task(turns.carry_out("acme", "modest", work.steps("m", 40)))
        tasks.create_task(turns.carry_out("rival", "other", work.steps("o", 40)))
    whole = "".join(work.log)
    assert (whole.count("g"), whole.count("m"), whole.count("o")) == (640, 40, 40)
    assert whole.rindex("m") < 130, "an agent waits for all that another one of its own asks"
    assert whole.rindex("o") < 130, "an organization waits for all that another one asks"


async def test_a_look_that_is_given_up_keeps_nobody_waiting() -> None:
    work = Work()
    turns = Turns(work.ticks)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(turns.carry_out("acme", "lead", work.steps("a", 1000)))
        second = tasks.create_task(turns.carry_out("acme", "lead", work.steps("b", 3)))
        await asyncio.sleep(0)
        first.cancel()
    assert second.done()
    assert "".join(work.log).endswith("bbb")
