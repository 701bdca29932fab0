"""The runner's wall clock, in one place, so that everything else can be given a time."""

import time


def wall_seconds() -> float:
    """Return seconds since 1970. It may jump: durations are measured with ``time.monotonic``."""
    return time.time()  # noqa: TID251  the one place that may ask


def wall_ms() -> int:
    """Return milliseconds since 1970, as the wire wants them."""
    return int(wall_seconds() * 1000)


def boot_seconds() -> float:
    """Return the seconds since the machine's boot, those that it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
