"""Whoever is killed between the journal and the terminal: a prompt arrives once and whole."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from runner.converge.delivery_states import Delivery

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SIGN = "^>$"
TEXT = "Look at the login test, please: it fails\nsince yesterday"
SPACED = TEXT.replace("\n", " ")
POINTS = 12
"""Two around each of three journal entries, three around each of two inputs."""

TYPED = 5
"""The one behind the text."""

AT_ONCE = 4


async def killed_at(agent: Any, point: int, program: str, kind: str, sign: str, text: str) -> int:
    """Have a runner killed at a point and another one carry on; return how the first ended."""
    await agent.start(program, kind, sign)
    await agent.accept(Delivery("one", agent.uid, 1, text))
    status = await agent.carried(point)
    assert await agent.carried() == 0
    return status


async def all_killed(
    make_agent: Callable[[], Any], points: list[int], arrives: str, *program: str
) -> None:
    """Kill at each of the points, some side by side."""
    turns = asyncio.Semaphore(AT_ONCE)
    agents = {point: make_agent() for point in points}

    async def one(point: int) -> int:
        async with turns:
            return await killed_at(agents[point], point, *program)

    async with asyncio.TaskGroup() as tasks:
        ends = {point: tasks.create_task(one(point)) for point in points}
    assert {end.result() for end in ends.values()} == {-signal.SIGKILL}
    submitted = {point: agent.submitted() for point, agent in agents.items()}
    assert submitted == {point: [arrives] for point in points}


async def test_killed_at_any_point_a_prompt_is_submitted_once(
    make_agent: Callable[[], Any],
) -> None:
    points = list(range(1, POINTS + 1))
    await all_killed(make_agent, points, SPACED, "tui.py", "plain", SIGN, TEXT)


async def test_the_points_are_all_there_are(agent: Any) -> None:
    status = await killed_at(agent, POINTS + 1, "tui.py", "plain", SIGN, TEXT)
    assert status == 0
    assert agent.submitted() == [SPACED]


async def test_killed_before_the_key_a_text_that_is_shown_as_a_note_is_submitted(
    agent: Any,
) -> None:
    long = TEXT * 600  # the sign of readiness is gone, and of the text nothing is to be seen
    await killed_at(agent, TYPED, "tui.py", "paste", SIGN, long)
    assert agent.submitted() == [long]


@pytest.mark.faults
@pytest.mark.parametrize("point", [3, 6])
async def test_killed_again_and_again_a_prompt_is_submitted_once(agent: Any, point: int) -> None:
    await agent.start("tui.py", "plain", SIGN)
    await agent.accept(Delivery("one", agent.uid, 1, TEXT))
    for _ in range(4):  # each gets a little further, or not
        await agent.carried(point)
    assert await agent.carried() == 0
    assert agent.submitted() == [SPACED]


async def test_the_first_prompt_of_a_runner_that_is_killed_is_typed_once(agent: Any) -> None:
    typed = {"prompt": TEXT, "prompt_position": link_pb2.PROMPT_TYPED}
    await agent.start("tui.py", "plain", SIGN, **typed)
    for point in (2, 4, 8):
        assert await agent.carried(point) in {0, -signal.SIGKILL}
    assert await agent.carried() == 0
    assert agent.submitted() == [SPACED]


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("program", "kind", "sign", "text", "arrives"),
    [
        pytest.param("tui.py", "plain", "", TEXT, SPACED, id="shows no sign"),
        pytest.param("tui.py", "drops", SIGN, TEXT, SPACED, id="drops the first Enter"),
        pytest.param("tui.py", "menu", SIGN, TEXT, SPACED, id="sits in a menu"),
        pytest.param("tui.py", "late", SIGN, TEXT, SPACED, id="echoes late"),
        pytest.param("tui.py", "chunk", SIGN, TEXT, SPACED, id="takes what is fast for a paste"),
        pytest.param("tui.py", "paste", SIGN, TEXT, TEXT, id="asks for marked pastes"),
        pytest.param("tui.py", "paste", "", TEXT * 600, TEXT * 600, id="is given 32 KiB"),
        pytest.param("tui.py", "paste", SIGN, TEXT * 600, TEXT * 600, id="shows a note and a sign"),
        pytest.param("tui.py", "busy", SIGN, TEXT, SPACED, id="works meanwhile"),
        pytest.param("lines.py", "shown", "", TEXT, SPACED, id="reads lines"),
        pytest.param("lines.py", "hidden", "", TEXT, SPACED, id="shows nothing of what is typed"),
    ],
)
async def test_killed_at_any_point_a_prompt_is_submitted_once_to_a_program_that(
    make_agent: Callable[[], Any], program: str, kind: str, sign: str, text: str, arrives: str
) -> None:
    points = list(range(1, POINTS + 1))
    await all_killed(make_agent, points, arrives, program, kind, sign, text)
