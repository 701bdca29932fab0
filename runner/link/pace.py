"""Lets a few messages through at once and many only so fast."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Pace:
    """A token bucket: a pod that starts is told step by step, a storm of changes in batches."""

    per_second: float = 20.0
    burst: float = 6.0
    _tokens: float = field(default=0.0, init=False)
    _at: float = field(default=0.0, init=False)

    def spend(self, now: float | None = None) -> None:
        """Note that a message went out."""
        self._refill(now)
        self._tokens -= 1.0

    def wait_seconds(self, now: float | None = None) -> float:
        """Return how long the next message has to wait."""
        self._refill(now)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self.per_second

    def _refill(self, now: float | None) -> None:
        at = time.monotonic() if now is None else now
        passed = at - self._at if self._at else self.burst  # full at the beginning
        self._tokens = min(self.burst, self._tokens + passed * self.per_second)
        self._at = at
