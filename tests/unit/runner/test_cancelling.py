"""Tasks end, also those that lose a cancel."""

import asyncio
import contextlib

import pytest

from runner import cancelling
from runner.cancelling import cancelled

pytestmark = pytest.mark.anyio


async def test_a_task_that_loses_a_cancel_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancelling, "_AGAIN_SECONDS", 0.01)
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        while lost < 2:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            lost += 1
        await asyncio.sleep(60)

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(deaf()), tasks.create_task(asyncio.sleep(60))]
        await asyncio.sleep(0)
        await cancelled(running)
    assert all(task.cancelled() for task in running)
