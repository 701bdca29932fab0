import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runner.converge.delivery_sight import Sight
from runner.drivers.screen import Screen
from runner.drivers.terminal_values import Chunk, Ended, Gap
from schemas.patterns import Pattern

pytestmark = pytest.mark.anyio

NEVER = float("inf")


async def told(*items: Chunk | Gap | Ended) -> AsyncIterator[Chunk | Gap | Ended]:
    for item in items:
        yield item


def sight(span: tuple[int, int] = (0, 0), keep: tuple[int, ...] = (), sign: str = "^>$") -> Any:
    screen = Screen(40, 10)
    return Sight(screen, (40, 10), span, Pattern(sign, by_lines=True), lambda: 5.0, keep)


async def test_the_screen_is_remembered_as_it_was_at_offsets_within_the_output() -> None:
    seen = sight((10, 22), keep=(13, 16, 10, 22, 4))
    await seen.read(told(Chunk(10, b"abcdef"), Gap(16, 20), Chunk(20, b"XY"), Ended(22, None)))
    await seen.caught_up()
    looks = {offset: seen.at(offset).text for offset in (10, 13, 16, 22)}
    assert looks == {10: "", 13: "abc", 16: "abcdef", 22: "abcdefXY"}
    assert seen.at(4) is None  # before the first byte: nobody knows
    assert (seen.look().offset, seen.ended) == (22, True)
    seen.close()


async def test_output_that_is_lost_at_the_end_is_not_waited_for() -> None:
    seen = sight((0, 9))
    await seen.read(told(Chunk(0, b"abc"), Gap(3, 9)))
    async with asyncio.timeout(1):
        await seen.caught_up()
    seen.close()


async def test_a_look_tells_cursor_modes_sign_and_who_else_typed() -> None:
    seen = sight()
    assert seen.look().is_blank
    await seen.read(told(Chunk(0, b"\x1b[?2004hhello\r\n> ")))
    seen.told((40, 10), line_mode=True)
    first = seen.look()
    assert (first.column, first.row, first.bracketed, first.line_mode) == (2, 1, True, True)
    assert (first.is_blank, first.others_at, first.sign_at) == (False, 5.0, first.at)
    assert seen.look().sign_at == first.at  # since when, and not that it does
    await seen.read(told(Chunk(17, b"x")))
    assert seen.look().sign_at is None
    seen.told((80, 10), line_mode=False)
    assert seen.look().size == (80, 10)
    seen.close()


async def test_a_wait_ends_with_output_with_a_wake_and_with_the_end() -> None:
    seen = sight()
    seen.look()
    async with asyncio.timeout(5):
        await seen.changed(time.monotonic() + 0.01, 0.0)
        seen.wake()
        await seen.changed(NEVER, 0.0)
        seen.look()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(seen.changed(NEVER, 0.0))
            tasks.create_task(seen.read(told(Chunk(0, b"x"))))
            await waiting
        await seen.changed(NEVER, 0.0)  # the run is over: nothing will change any more
    seen.close()


async def test_a_look_tells_until_when_something_was_unread() -> None:
    seen = sight()
    assert not seen.look().is_unread
    seen.told((40, 10), line_mode=False, unread=True)
    last = seen.look()
    assert last.is_unread
    seen.told((40, 10), line_mode=False, unread=False)
    assert (seen.look().is_unread, seen.look().unread_at) == (False, last.at)
    seen.close()


async def test_a_sign_may_end_in_the_blank_that_the_prompt_ends_in() -> None:
    seen = sight(sign="^ready> $")
    await seen.read(told(Chunk(0, b"ready> \r\nready> ")))
    assert seen.look().sign_at is not None
    await seen.read(told(Chunk(16, b"x")))
    assert seen.look().sign_at is None
    seen.close()
