"""Writes conditions of one moment: the same generation and time for all. Pure."""

from dataclasses import dataclass, field

from controller.kernel.clock import stamp
from controller.kernel.reconciler import Finding
from schemas.base import Condition, ConditionStatus, Object
from schemas.conditions import FALSE, READY, RECONCILING, STALLED, TRUE, UNKNOWN, condition


@dataclass(slots=True)
class Conditions:
    """Collects the conditions of an object; each type once."""

    generation: int
    now: float
    items: list[Condition] = field(default_factory=list)

    @classmethod
    def of(cls, subject: Object, now: float) -> "Conditions":
        """Return an empty collection for the present generation of *subject*."""
        return cls(subject.metadata.generation, now)

    def say(self, kind: str, status: ConditionStatus, reason: str, message: str = "") -> None:
        """Add a condition."""
        self.items.append(
            condition(
                kind, status, reason, message, generation=self.generation, now=stamp(self.now)
            )
        )

    def true(self, kind: str, reason: str, message: str = "") -> None:
        """Add a condition that is true."""
        self.say(kind, TRUE, reason, message)

    def false(self, kind: str, reason: str, message: str = "") -> None:
        """Add a condition that is false."""
        self.say(kind, FALSE, reason, message)

    def unknown(self, kind: str, reason: str, message: str = "") -> None:
        """Add a condition of which nothing is known."""
        self.say(kind, UNKNOWN, reason, message)

    def ready(self, finding: Finding | None, message: str, reason: str = "Ready") -> None:
        """Add Ready, and Stalled or Reconciling where it is false (kstatus)."""
        if finding is None:
            self.true(READY, reason, message)
            return
        self.false(READY, finding.reason, finding.message)
        self.true(STALLED if finding.stalled else RECONCILING, finding.reason, finding.message)
