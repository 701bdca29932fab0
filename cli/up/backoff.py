"""How long to wait before a process that ended is started again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubles from the first to the longest wait; a process that lived long enough begins anew."""

    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    longest_worked_seconds: float = 1.0
    """After a process that had become ready: it works, and people wait for it."""
    healthy_seconds: float = 60.0
    """A process that ran so long is not counted as failing."""

    def next(
        self, failures: int, lived_seconds: float, *, worked: bool = False
    ) -> tuple[int, float]:
        """Return the number of failures in a row, and the wait that follows the latest.

        *worked* tells that the process had become ready before it ended.
        """
        failures = 1 if lived_seconds >= self.healthy_seconds else failures + 1
        wait = self.first_seconds * 2.0 ** min(failures - 1, 30)
        return failures, min(wait, self.longest_worked_seconds if worked else self.longest_seconds)
