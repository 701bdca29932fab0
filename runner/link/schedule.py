"""When a certificate is renewed, safe against clocks that jump."""

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Final

from runner.clock import wall_seconds
from runner.link.identity import Identity

_RECHECK_SECONDS: Final = 60.0
"""A sleeping laptop or a corrected clock is noticed after at most this long."""


@dataclass(frozen=True, slots=True)
class Due:
    """A moment told by two clocks; whichever says it first is believed."""

    wall: float
    monotonic: float

    def remaining(self, wall: float, monotonic: float) -> float:
        """Return the seconds left, at most 0 once either clock passed it."""
        return min(self.wall - wall, self.monotonic - monotonic)


def due_at(wall: float) -> Due:
    """Return the moment that the wall clock calls *wall* as seen from now."""
    return Due(wall, time.monotonic() + (wall - wall_seconds()))


def renewal(identity: Identity, *, fresh: bool, now: float) -> Due:
    """Return when to renew: between half and two thirds of the lifetime, at random.

    A fresh certificate's lifetime counts from *now*: the server dates it back a little against
    clock skew, which for a short-lived one could otherwise mean: at once, and again, and again.
    """
    begin = now if fresh else identity.not_before
    share = random.uniform(1 / 2, 2 / 3)  # noqa: S311  spreads load, no secret
    return due_at(begin + share * max(0.0, identity.not_after - begin))


def retry_seconds(remaining_seconds: float) -> float:
    """Return how long to wait after a failed renewal when so much lifetime remains."""
    wait = random.uniform(30.0, 600.0)  # noqa: S311  spreads load, no secret
    return max(0.5, min(wait, remaining_seconds * random.uniform(0.05, 0.2)))  # noqa: S311  likewise


def is_expired(identity: Identity) -> bool:
    """Whether the certificate is of no use any more, by the wall clock."""
    return wall_seconds() >= identity.not_after


async def sleep_until(due: Due) -> None:
    """Sleep until either clock passed the moment, looking at the wall clock now and then."""
    while (left := due.remaining(wall_seconds(), time.monotonic())) > 0:  # noqa: ASYNC110  a clock
        await asyncio.sleep(min(left, _RECHECK_SECONDS))
