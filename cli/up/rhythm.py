"""How long to wait until the next look, when clocks may jump and laptops sleep."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from cli.clock import now

_SLICE_SECONDS: Final = 5.0
_JUMP_SECONDS: Final = 2.0
"""What clocks are slewed by in a slice is far less."""


async def sleep_unless_jumped(
    seconds: float,
    *,
    slice_seconds: float = _SLICE_SECONDS,
    wall: Callable[[], float] = now,
    monotonic: Callable[[], float] = time.monotonic,
) -> bool:
    """Wait so long, or until the wall clock jumped, as after a sleep; return whether it did."""
    end, apart = monotonic() + seconds, wall() - monotonic()
    while (left := end - monotonic()) > 0:
        await asyncio.sleep(min(left, slice_seconds))
        if abs(wall() - monotonic() - apart) > _JUMP_SECONDS:
            return True
    return False
