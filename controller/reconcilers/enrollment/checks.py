"""Why nobody can enrol with a RunnerEnrollment. Pure."""

from typing import Final

from controller.kernel.clock import seconds, stamp
from controller.kernel.reconciler import Finding
from schemas.runner import RunnerEnrollment

_NAMED: Final = 5


def expires(item: RunnerEnrollment) -> float:
    """Return when the token ends, in seconds since 1970."""
    return (seconds(item.metadata.creation_timestamp) or 0.0) + item.spec.ttl_seconds


def remaining(item: RunnerEnrollment) -> int:
    """Return how many runners may still enrol."""
    return max(0, item.spec.max_uses - len(item.status.uses))


def used(item: RunnerEnrollment) -> str | None:
    """Return by whom it was used up, None if it was not."""
    if remaining(item) > 0:
        return None
    names = [use.runner_name for use in item.status.uses]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"used by {', '.join(names[:_NAMED])}{more}: make a new one for another runner"


def first(item: RunnerEnrollment, now: float) -> Finding | None:
    """Return why nobody can enrol, None if somebody can or all have for whom it was made."""
    if remaining(item) == 0:
        return None  # it has done what it was made for
    if now >= expires(item):
        moment = stamp(expires(item))
        return Finding("Expired", f"it expired at {moment}: make a new one", stalled=True)
    if item.spec.token_hash is None:
        message = "tokenHash is not set: make it with agentsmesh enroll create"
        return Finding("NoToken", message, stalled=True)
    return None
