"""What is done about a Runner beside its status: its pods end before it goes. Pure."""

from controller.kernel.reconciler import Patch, Plan, earliest
from controller.placement.links import Reach
from controller.reconcilers.runner.snapshot import ENROLLING_SECONDS, RunnerSnapshot
from schemas.names import FINALIZER_TEARDOWN, RUNNER
from schemas.runner import Runner

DRAIN_SECONDS = 120.0
"""So long a connected runner may take to clear ended pods away once it is deleted."""


def plan(snapshot: RunnerSnapshot, now: float) -> Plan:
    """Return what to do; planning again on the result does nothing."""
    del now
    item = snapshot.subject
    ours = FINALIZER_TEARDOWN in item.metadata.finalizers
    if item.metadata.deleting:
        return _teardown(snapshot) if ours else Plan(publish=False)
    if snapshot.enrolling:
        return Plan(publish=False, recheck_after_seconds=ENROLLING_SECONDS)
    if not ours:
        finalizers = [*item.metadata.finalizers, FINALIZER_TEARDOWN]
        return Plan(
            (_finalizers(item, finalizers, "so that its pods are released"),), publish=False
        )
    return Plan(recheck_after_seconds=snapshot.recheck_seconds)


def _teardown(snapshot: RunnerSnapshot) -> Plan:
    item = snapshot.subject
    why = _done(snapshot)
    if why is None:
        return Plan(recheck_after_seconds=earliest(snapshot.recheck_seconds, 5.0))
    rest = [name for name in item.metadata.finalizers if name != FINALIZER_TEARDOWN]
    return Plan((_finalizers(item, rest, why),), publish=False)


def _done(snapshot: RunnerSnapshot) -> str | None:
    """Return why nothing more can be asked of the runner, None while something can."""
    if not snapshot.left:
        return "it has no pods any more"
    if snapshot.reach is Reach.UNREACHABLE or snapshot.subject.spec.suspend:
        return "it cannot be reached"
    if snapshot.clearing_seconds > DRAIN_SECONDS:
        return f"it has not cleared its pods away in {DRAIN_SECONDS:g} s"
    return None


def _finalizers(item: Runner, finalizers: list[str], why: str) -> Patch:
    metadata = {
        "uid": item.metadata.uid,
        "resourceVersion": item.metadata.resource_version,
        "finalizers": finalizers or None,
    }
    return Patch(RUNNER, item.metadata.namespace, item.metadata.name, {"metadata": metadata}, why)
