"""The status of an AgentClass. Pure."""

from controller.kernel.reconciler import ReconcileError, Report
from controller.reconcilers.agentclass.checks import first
from controller.reconcilers.agentclass.snapshot import ClassSnapshot
from controller.reconcilers.conditions import Conditions
from schemas.agentclass import AgentClassStatus
from schemas.conditions import merge
from schemas.names import ANNOTATION_REQUESTED_AT


def report(snapshot: ClassSnapshot, error: ReconcileError | None, now: float) -> Report:
    """Return whether the class can be used."""
    del error  # nothing is done that could fail
    item = snapshot.subject
    said = Conditions.of(item, now)
    said.ready(first(item), "the class can be used")
    return Report(
        AgentClassStatus(
            observed_generation=item.metadata.generation,
            last_handled_request_at=item.metadata.annotations.get(ANNOTATION_REQUESTED_AT),
            conditions=merge(item.status.conditions, said.items),
        )
    )
