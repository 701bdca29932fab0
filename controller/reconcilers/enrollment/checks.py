"""Why nobody can enrol with a RunnerEnrollment. Pure."""

from controller.kernel.clock import seconds, stamp
from controller.kernel.reconciler import Finding
from schemas.runner import RunnerEnrollment


def expires(item: RunnerEnrollment) -> float:
    """Return when the token ends, in seconds since 1970."""
    return (seconds(item.metadata.creation_timestamp) or 0.0) + item.spec.ttl_seconds


def remaining(item: RunnerEnrollment) -> int:
    """Return how many runners may still enrol."""
    return max(0, item.spec.max_uses - len(item.status.uses))


def first(item: RunnerEnrollment, now: float) -> Finding | None:
    """Return why nobody can enrol, None if somebody can."""
    if remaining(item) == 0:
        times = "once" if item.spec.max_uses == 1 else f"{item.spec.max_uses} times"
        return Finding("Exhausted", f"it was used {times}: make a new one", stalled=True)
    if now >= expires(item):
        moment = stamp(expires(item))
        return Finding("Expired", f"it expired at {moment}: make a new one", stalled=True)
    if item.spec.token_hash is None:
        message = "tokenHash is not set: make it with agentsmesh enroll create"
        return Finding("NoToken", message, stalled=True)
    return None
