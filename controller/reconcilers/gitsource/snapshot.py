"""All that a GitSource's plan and status are computed from."""

from dataclasses import dataclass

from controller.gitops.facts import SourceFacts, Trouble
from controller.gitops.writeback.values import SourceWrites
from schemas.gitsource import GitSource


@dataclass(frozen=True, slots=True)
class GitSourceSnapshot:
    """The source, what its last pass has found, and how its commits do."""

    subject: GitSource
    facts: SourceFacts
    writes: SourceWrites
    hold_seconds: float = 0.0
    """For so long a change of the status may wait: it has changed often just now."""
    webhook: Trouble | None = None
    """Why calls of its webhook are refused, whoever signs them."""
