"""All that a Runner's plan and status are computed from."""

from dataclasses import dataclass
from typing import Final

from controller.placement.links import About, Reach
from schemas.runner import Runner

ENROLLING_SECONDS: Final = 1.0
"""So long a new Runner is left to the enrolment that may have made it: both write to it."""


@dataclass(frozen=True, slots=True)
class RunnerSnapshot:
    """The runner, its connection and its pods."""

    subject: Runner
    reach: Reach
    recheck_seconds: float | None
    """After which time the reach may be different by itself."""
    about: About | None
    """What it said of itself; None if it has not been here since our start."""
    running: int
    """Pods placed on it that have not ended."""
    left: tuple[str, ...]
    """While it is being deleted: names of pods placed on it that it has not reported as removed."""
    waiting: tuple[str, ...] = ()
    """While it is being deleted: names of pods placed on it that have not ended."""
    clearing_seconds: float = 0.0
    """For how long it has been being deleted with no such pod; 0 while there is one."""
    enrolling: bool = False
    """It was made a moment ago by an enrolment, which is about to write its certificate."""
