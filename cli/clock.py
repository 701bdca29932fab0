"""The wall clock of the command line."""

import time


def now() -> float:
    """Return seconds since the epoch."""
    return time.time()  # noqa: TID251 - the one clock of this package
