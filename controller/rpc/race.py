"""Runs the parts of a stream together: when one ends, all end."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first_done(*parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts until the first one returns or raises; cancel the others, and wait for them.

    What the first one raised is raised here, bare and not in a group: it is the end of an RPC, and
    gRPC and its interceptors look at its type. A cancelled caller cancels all parts.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_kept(part)) for part in parts]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
    for task in tasks:
        if task in done and not task.cancelled() and (error := task.result()) is not None:
            raise error


async def _kept(part: Coroutine[Any, Any, None]) -> Exception | None:
    """Return what the part raised, so that the group does not wrap it."""
    try:
        await part
    except Exception as exc:  # noqa: BLE001 - raised again by the caller of first_done
        return exc
    return None
