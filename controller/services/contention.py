"""Writing against others by compare-and-swap: try again, but not in step with them."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Final

_ATTEMPTS: Final = 8
"""How often a lost race against an unrelated change is run: for two seconds or so.

An API server whose disk is slow shows a write only once it is durable, and refuses ours until then.
"""
_FIRST_SECONDS: Final = 0.02


async def attempts() -> AsyncIterator[int]:
    """Give the number of each attempt, the first at once, the others after growing pauses.

    Each pause is between half and all of 20 ms, doubled with every attempt.
    """
    yield 0
    for number in range(1, _ATTEMPTS):
        ceiling = _FIRST_SECONDS * 2 ** (number - 1)
        pause = random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads load, guards nothing
        await asyncio.sleep(pause)
        yield number
