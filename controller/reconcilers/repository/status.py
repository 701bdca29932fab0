"""The status of a Repository. Pure."""

from controller.kernel.reconciler import ReconcileError, Report
from controller.reconcilers.conditions import Conditions
from controller.reconcilers.repository.checks import first
from controller.reconcilers.repository.snapshot import RepositorySnapshot
from schemas.conditions import merge
from schemas.names import ANNOTATION_REQUESTED_AT
from schemas.repository import RepositoryStatus


def report(snapshot: RepositorySnapshot, error: ReconcileError | None, now: float) -> Report:
    """Return whether the repository can be used, as far as the controller can tell."""
    del error  # nothing is done that could fail
    item = snapshot.subject
    said = Conditions.of(item, now)
    said.ready(first(snapshot), "accepted; not contacted from here: its runners do that")
    return Report(
        RepositoryStatus(
            observed_generation=item.metadata.generation,
            last_handled_request_at=item.metadata.annotations.get(ANNOTATION_REQUESTED_AT),
            conditions=merge(item.status.conditions, said.items),
        )
    )
