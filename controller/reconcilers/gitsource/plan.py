"""What is done about a GitSource: its finalizer comes first and goes last. Pure."""

from controller.kernel.reconciler import Patch, Plan
from controller.reconcilers.gitsource.snapshot import GitSourceSnapshot
from schemas.gitsource import GitSource
from schemas.names import FINALIZER_GIT_PRUNE, GIT_SOURCE


def plan(snapshot: GitSourceSnapshot, now: float) -> Plan:
    """Return the change of the finalizer that is due.

    Nothing is published of a source that was not looked at since the controller started: what its
    status says is still the best there is.
    """
    del now
    item, facts = snapshot.subject, snapshot.facts
    there = FINALIZER_GIT_PRUNE in item.metadata.finalizers
    if item.metadata.deleting:
        if there and facts.released:
            rest = [name for name in item.metadata.finalizers if name != FINALIZER_GIT_PRUNE]
            return Plan((_finalizers(item, rest, "what it made is let go"),), publish=False)
        return Plan(publish=there)
    if not there:
        finalizers = [*item.metadata.finalizers, FINALIZER_GIT_PRUNE]
        return Plan((_finalizers(item, finalizers, "before anything is made"),), publish=False)
    return Plan(publish=facts.generation > 0 or item.status.observed_generation is None)


def _finalizers(item: GitSource, finalizers: list[str], why: str) -> Patch:
    metadata = {
        "uid": item.metadata.uid,
        "resourceVersion": item.metadata.resource_version,
        "finalizers": finalizers or None,
    }
    return Patch(
        GIT_SOURCE, item.metadata.namespace, item.metadata.name, {"metadata": metadata}, why
    )
