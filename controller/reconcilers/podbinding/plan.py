"""What is done about a PodBinding: it is looked at again when it expires. Pure.

Nothing else: those that pods asked for go with their pods by owner references, those that people
declared stay, and hold again for pods that are made anew.
"""

from typing import Final

from controller.bindings.rules import standing
from controller.kernel.reconciler import Plan
from controller.reconcilers.podbinding.snapshot import BindingSnapshot

_AFTER_SECONDS: Final = 0.1
"""A look at the very moment could come too early, by the resolution of the clock."""


def plan(snapshot: BindingSnapshot, now: float) -> Plan:
    """Return when to look again: expiry comes without any event."""
    binding = snapshot.subject
    if binding.metadata.deleting:
        return Plan(publish=False)
    end = standing(binding, snapshot.initiator, snapshot.target, now).changes_at
    return Plan(recheck_after_seconds=end - now + _AFTER_SECONDS if end is not None else None)
