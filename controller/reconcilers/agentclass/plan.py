"""What is done about an AgentClass: nothing but its status. Pure."""

from controller.kernel.reconciler import Plan
from controller.reconcilers.agentclass.snapshot import ClassSnapshot


def plan(snapshot: ClassSnapshot, now: float) -> Plan:
    """Return nothing to do, or that it is going and needs no status."""
    del now
    return Plan(publish=not snapshot.subject.metadata.deleting)
