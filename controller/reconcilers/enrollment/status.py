"""The status of a RunnerEnrollment. Pure. ``uses`` is the enrolment service's."""

from controller.kernel.clock import stamp
from controller.kernel.reconciler import ReconcileError, Report
from controller.reconcilers.conditions import Conditions
from controller.reconcilers.enrollment.checks import expires, first, remaining
from controller.reconcilers.enrollment.snapshot import EnrollmentSnapshot
from schemas.conditions import merge
from schemas.names import ANNOTATION_REQUESTED_AT


def report(snapshot: EnrollmentSnapshot, error: ReconcileError | None, now: float) -> Report:
    """Return whether a runner can enrol with it."""
    del error  # nothing is done that could fail
    item = snapshot.subject
    said = Conditions.of(item, now)
    said.ready(first(item, now), "a runner can enrol with its token")
    update = {
        "observed_generation": item.metadata.generation,
        "last_handled_request_at": item.metadata.annotations.get(ANNOTATION_REQUESTED_AT),
        "conditions": merge(item.status.conditions, said.items),
        "remaining": remaining(item),
        "expires_at": stamp(expires(item)),
    }
    return Report(item.status.model_copy(update=update))
