"""What is done about a RunnerEnrollment: it is deleted a day after it expired. Pure."""

from typing import Final

from controller.kernel.reconciler import Delete, Plan
from controller.reconcilers.enrollment.checks import expires
from controller.reconcilers.enrollment.snapshot import EnrollmentSnapshot
from schemas.names import RUNNER_ENROLLMENT

_KEPT_SECONDS: Final = 86_400.0


def plan(snapshot: EnrollmentSnapshot, now: float) -> Plan:
    """Return the deletion when it is due, else when something changes by itself."""
    metadata = snapshot.subject.metadata
    if metadata.deleting:
        return Plan(publish=False)
    end = expires(snapshot.subject)
    if now >= end + _KEPT_SECONDS:
        why = "expired a day ago"
        gone = Delete(RUNNER_ENROLLMENT, metadata.namespace, metadata.name, metadata.uid, why)
        return Plan((gone,), publish=False)
    return Plan(recheck_after_seconds=(end if now < end else end + _KEPT_SECONDS) - now + 0.5)
