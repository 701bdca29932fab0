"""When Python looks for cyclic garbage: seldom, and all objects only every few minutes.

Nearly everything here is freed by counting references. Python's own rhythm would walk through the
whole store again and again while a pass makes new values: half a second each time with 10,000
tickets, in which no runner and no agent is answered.
"""

import asyncio
import gc
from typing import Final

_YOUNG: Final = 2_000
"""Allocations after which the young objects are looked at: a tenth of a millisecond."""
_MIDDLE: Final = 50
_OLD: Final = 1_000_000
"""Practically never by itself: `run` does it."""
_FULL_SECONDS: Final = 300.0


def calm() -> None:
    """Set the rhythm, and leave alone for good what is loaded by now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)


async def run() -> None:
    """Look at all objects every few minutes, until cancelled."""
    while True:
        await asyncio.sleep(_FULL_SECONDS)
        gc.collect()
