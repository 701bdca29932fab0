"""How long to wait before a process that ended is started again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubles from the first to the longest wait; a process that lived long enough begins anew."""

    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    healthy_seconds: float = 60.0
    """A process that ran so long is not counted as failing."""

    def next(self, failures: int, lived_seconds: float) -> tuple[int, float]:
        """Return the number of failures in a row, and the wait that follows the latest."""
        failures = 1 if lived_seconds >= self.healthy_seconds else failures + 1
        wait = self.first_seconds * 2.0 ** min(failures - 1, 30)
        return failures, min(wait, self.longest_seconds)
