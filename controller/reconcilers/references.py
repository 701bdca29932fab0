"""The condition that says whether what a resource refers to is there. Pure."""

from typing import Final

from controller.kernel.reconciler import Finding
from controller.reconcilers.conditions import Conditions

REFERENCES_RESOLVED: Final = "ReferencesResolved"
"""Normal-true. Whatever the spec refers to exists."""

_NAMED: Final = 4


def unresolved(missing: tuple[str, ...]) -> Finding | None:
    """Return what is wrong if something is *missing*, each said as ``field: Kind name``."""
    if not missing:
        return None
    named = ", ".join(missing[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return Finding("ReferenceNotFound", f"not there: {named}{more}: create it or change the spec")


def say(said: Conditions, missing: tuple[str, ...]) -> None:
    """Add the condition."""
    finding = unresolved(missing)
    if finding is None:
        said.true(REFERENCES_RESOLVED, "Resolved")
    else:
        said.false(REFERENCES_RESOLVED, finding.reason, finding.message)
