"""A clock that jumps is noticed before the next look would be due."""

import time

import pytest

from cli.up.rhythm import sleep_unless_jumped

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0], ids=["a day on", "a day back"])
async def test_a_jump_ends_the_wait(jump: float) -> None:
    looks = 0

    def wall() -> float:
        nonlocal looks
        looks += 1
        return time.monotonic() + (jump if looks > 3 else 0.0)

    began = time.monotonic()
    assert await sleep_unless_jumped(50, slice_seconds=0.01, wall=wall)
    assert time.monotonic() - began < 25


async def test_without_a_jump_it_waits_so_long() -> None:
    began = time.monotonic()
    assert not await sleep_unless_jumped(0.2, slice_seconds=0.05)
    assert time.monotonic() - began >= 0.2
