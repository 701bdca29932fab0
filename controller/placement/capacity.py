"""How many pods a runner takes. Pure."""

from controller.placement.links import About
from schemas.runner import Runner


def max_pods(runner: Runner, about: About | None) -> int | None:
    """Return how many pods the runner takes: the smaller limit of both; None = any number."""
    limits = [runner.spec.capacity.max_pods if runner.spec.capacity else None]
    limits.append(about.max_pods if about else runner.status.max_pods)
    given = [limit for limit in limits if limit is not None]
    return min(given) if given else None
