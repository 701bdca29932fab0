"""The status of a RunnerEnrollment. Pure. ``uses`` is the enrolment service's."""

from controller.kernel.clock import stamp
from controller.kernel.reconciler import ReconcileError, Report
from controller.reconcilers.conditions import Conditions
from controller.reconcilers.enrollment.checks import expires, first, remaining, used
from controller.reconcilers.enrollment.snapshot import EnrollmentSnapshot
from schemas.conditions import READY, merge
from schemas.names import ANNOTATION_REQUESTED_AT


def report(snapshot: EnrollmentSnapshot, error: ReconcileError | None, now: float) -> Report:
    """Return whether a runner can enrol with it, or all have for whom it was made."""
    del error  # nothing is done that could fail
    item = snapshot.subject
    said = Conditions.of(item, now)
    if (by_whom := used(item)) is not None:
        said.true(READY, "Exhausted", by_whom)  # it is not broken: it was used as intended
    else:
        said.ready(first(item, now), "a runner can enrol with its token")
    update = {
        "observed_generation": item.metadata.generation,
        "last_handled_request_at": item.metadata.annotations.get(ANNOTATION_REQUESTED_AT),
        "conditions": merge(item.status.conditions, said.items),
        "remaining": remaining(item),
        "expires_at": stamp(expires(item)),
    }
    return Report(item.status.model_copy(update=update))
