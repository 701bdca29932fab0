"""What is done about a Channel: once its messages are deleted it may go. Pure."""

from controller.kernel.reconciler import Patch, Plan
from controller.reconcilers.channel.snapshot import ChannelSnapshot
from schemas.names import CHANNEL, FINALIZER_MESSAGES


def plan(snapshot: ChannelSnapshot, now: float) -> Plan:
    """Return the removal of the finalizer from a channel that is being deleted."""
    del now
    metadata = snapshot.subject.metadata
    if not metadata.deleting:
        return Plan()
    if FINALIZER_MESSAGES not in metadata.finalizers:
        return Plan(publish=False)  # it goes as soon as others let it
    rest = [name for name in metadata.finalizers if name != FINALIZER_MESSAGES]
    patch = {"metadata": {"finalizers": rest, "resourceVersion": metadata.resource_version}}
    change = Patch(CHANNEL, metadata.namespace, metadata.name, patch, "its messages are deleted")
    return Plan((change,), publish=False)
