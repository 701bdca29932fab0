"""The parts of a stream end together, and the first end is the one that is told."""

import asyncio

import pytest

from controller.rpc.race import first_done
from controller.rpc.signals import Signals

pytestmark = pytest.mark.anyio


async def _for_ever(ended: list[str], name: str) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append(name)


async def _fail(error: Exception) -> None:
    raise error


async def test_the_first_to_return_ends_all() -> None:
    ended: list[str] = []
    async with asyncio.timeout(5):
        await first_done(_for_ever(ended, "a"), asyncio.sleep(0), _for_ever(ended, "b"))
    assert sorted(ended) == ["a", "b"]


async def test_what_the_first_one_raised_is_raised_bare() -> None:
    ended: list[str] = []
    with pytest.raises(KeyError, match="why"):
        await first_done(_for_ever(ended, "a"), _fail(KeyError("why")))
    assert ended == ["a"]


async def test_a_cancelled_caller_cancels_the_parts() -> None:
    ended: list[str] = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await first_done(_for_ever(ended, "a"), _for_ever(ended, "b"))
    assert sorted(ended) == ["a", "b"]


async def test_a_change_between_two_waits_is_not_missed_and_many_are_one() -> None:
    signals: Signals[str] = Signals()
    async with asyncio.timeout(5):
        with signals.subscribe("a") as mine, signals.subscribe("b") as other:
            signals.notify("a")
            signals.notify("a")
            await mine.wait()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await mine.wait()
            signals.notify_all()
            await mine.wait()
            await other.wait()
    signals.notify("a")  # nobody listens any more


async def test_a_subscription_may_end_while_others_are_told() -> None:
    signals: Signals[str] = Signals()
    with signals.subscribe("a") as outer:
        with signals.subscribe("a"):
            signals.notify("a")
        signals.notify("a")
        async with asyncio.timeout(5):
            await outer.wait()
