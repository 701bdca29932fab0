"""The API server's one look at the wall clock, and Kubernetes' way to write it down."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one clock of this package


def unix_seconds() -> float:
    """Return the current time as seconds since 1970."""
    return time.time()  # noqa: TID251 - the one clock of this package


def stamp(moment: datetime | None = None) -> str:
    """Return *moment* (default: now) as a `metav1.Time`: UTC, whole seconds."""
    return (moment or now()).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_stamp(moment: datetime | None = None) -> str:
    """Return *moment* (default: now) as a `metav1.MicroTime`."""
    return (moment or now()).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: object) -> datetime | None:
    """Return the time that an RFC 3339 text names, or None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
