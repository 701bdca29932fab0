"""A prompt for a frozen pod: it waits, however long, and is typed once when that goes on."""

import asyncio
import dataclasses
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from runner.clock import wall_ms
from runner.converge.delivery_states import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

TEXT = "mend the tests, please"


async def until(claim: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not claim():
            await asyncio.sleep(0.01)


async def hold(agent: Any, runner: Any) -> None:
    os.kill(agent.row.child_pid, signal.SIGSTOP)
    await runner.put(dataclasses.replace(agent.row, suspended=True, frozen_at_ms=1))


async def go_on(agent: Any, runner: Any) -> None:
    os.kill(agent.row.child_pid, signal.SIGCONT)
    await runner.put(agent.row)


async def test_a_prompt_to_a_frozen_agent_outlives_its_time_and_is_typed_once(
    agent: Any, runner: Any
) -> None:
    await agent.start("tui.py", "plain", "^>$")
    async with runner:
        await hold(agent, runner)
        soon = wall_ms() + 1000
        await runner.want("one", TEXT, give_up_ms=soon)
        await runner.want("two", f"{TEXT} too", give_up_ms=soon)
        known = runner.journal.deliveries
        await until(lambda: all(known[each].give_up_ms > soon for each in ("one", "two")))
        await until(lambda: wall_ms() > soon)
        assert all(known[each].is_open for each in ("one", "two"))
        assert agent.submitted() == []
        await go_on(agent, runner)
        ends = [await runner.end_of("one"), await runner.end_of("two")]
    assert agent.submitted() == [TEXT, f"{TEXT} too"]
    assert [end.state for end in ends] == [link_pb2.DELIVERY_SUBMITTED] * 2


async def test_an_agent_that_is_frozen_while_it_is_typed_to_gets_the_text_once(
    agent: Any, runner: Any
) -> None:
    await agent.start("tui.py", "plain", "^>$")
    async with runner:
        await runner.want("one", TEXT)
        await until(lambda: runner.journal.deliveries["one"].stage is not Stage.WAITING)
        await hold(agent, runner)
        await until(lambda: not runner.deliveries._bouts)
        assert runner.journal.deliveries["one"].is_open or agent.submitted() == [TEXT]
        await go_on(agent, runner)
        end = await runner.end_of("one")
    assert agent.submitted() == [TEXT]
    assert end.state == link_pb2.DELIVERY_SUBMITTED
