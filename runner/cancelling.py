"""Ends tasks for good."""

import asyncio
import logging
from collections.abc import Collection
from typing import Final

logger = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 3.0


async def cancelled(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel the tasks until each has ended: one cancel may be lost in a call that just ends."""
    left: Collection[asyncio.Task[None]] = tasks
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_SECONDS)
        if left:
            names = ", ".join(sorted(task.get_name() for task in left))
            logger.warning("cancelled once more: %s", names)
