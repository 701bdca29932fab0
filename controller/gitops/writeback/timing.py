"""How long write-back waits: for company, for others, for a server that is away."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Waiting times, in seconds."""

    company: float = 0.15
    """An operation waits so long for others to share its push, anew with each that comes."""
    longest_company: float = 2.0
    """But never longer than this."""
    tries: int = 8
    """Pushes against others on the branch, before the source counts as contended."""
    first_pause: float = 0.05
    longest_pause: float = 5.0
    """Between those pushes: full jitter below a bound that doubles."""
    first_away: float = 1.0
    longest_away: float = 60.0
    """Between tries while nothing can be pushed: doubles, too."""
    applying: float = 30.0
    """So long one pass of the sync is waited for."""
    gate: float = 5.0
    """So long it is waited for that the source's status says what was applied, before something of
    ours is pushed on top of it."""
    shown: float = 5.0
    """Changes that are pending for longer are shown in conditions."""
    report_settle: float = 5.0
    """What the controller says of a ticket waits so long for a change of state to go with."""
    report_gap: float = 60.0
    """And is written by itself at most so often per ticket."""

    def pause(self, number: int) -> float:
        """Return how long to wait before try *number* (from 1) against others."""
        bound = min(self.longest_pause, self.first_pause * 2**number)
        return random.uniform(0.0, bound)  # noqa: S311 - spreads load, guards nothing

    def away(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row (from 1)."""
        return min(self.longest_away, self.first_away * 2.0 ** (min(failures, 16) - 1))
