"""The controller's wall clock, in one place, and Kubernetes' way to write it down."""

import time
from datetime import UTC, datetime
from typing import NewType

UnixSeconds = NewType("UnixSeconds", float)
"""Seconds since 1970. It may jump: durations are measured with ``time.monotonic``."""


def wall() -> UnixSeconds:
    """Return what time it is."""
    return UnixSeconds(time.time())  # noqa: TID251 - the one clock of these packages


def stamp(at: float) -> str:
    """Return the time *at* as a ``metav1.Time``: UTC, whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_stamp(at: float) -> str:
    """Return the time *at* as a ``metav1.MicroTime``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(text: str | None) -> float | None:
    """Return the seconds since 1970 of an RFC 3339 time, None where it is none."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
