"""How long to wait before trying again."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Exponential waiting with full jitter: many runners that lost one server come back spread.

    It grows by half each time, and never beyond half of the time that the server is away already:
    one that restarts within seconds is found again within seconds, however the dice fall.
    """

    first_seconds: float = 1.0
    """The first wait is uniform between nothing and this."""

    cap_seconds: float = 30.0
    """No wait is longer."""

    clock: Callable[[], float] = time.monotonic

    _attempts: int = field(default=0, init=False)
    _since: float = field(default=0.0, init=False)

    def next_seconds(self, at_least_seconds: float = 0.0) -> float:
        """Return the next wait, never below *at_least_seconds*, which a server asked for."""
        if not self._attempts:
            self._since = self.clock()
        away = max(self.first_seconds, (self.clock() - self._since) / 2)
        grown = self.first_seconds * 1.5 ** min(self._attempts, 32)
        self._attempts += 1
        ceiling = min(self.cap_seconds, grown, away)
        return at_least_seconds + random.uniform(0.0, ceiling)  # noqa: S311  jitter, no secret

    def reset(self) -> None:
        """Begin anew after a success."""
        self._attempts = 0
