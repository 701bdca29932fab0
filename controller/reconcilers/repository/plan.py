"""What is done about a Repository: its Secret is looked at again from time to time. Pure."""

from typing import Final

from controller.kernel.reconciler import Plan
from controller.reconcilers.repository.checks import first
from controller.reconcilers.repository.snapshot import RepositorySnapshot

_WAITING_SECONDS: Final = 10.0
_SETTLED_SECONDS: Final = 600.0


def plan(snapshot: RepositorySnapshot, now: float) -> Plan:
    """Return when to look again: Secrets are not watched, so that none is ever in memory."""
    del now
    item = snapshot.subject
    if item.metadata.deleting:
        return Plan(publish=False)
    if item.spec.auth_secret_ref is None:
        return Plan()
    waiting = first(snapshot) is not None
    return Plan(recheck_after_seconds=_WAITING_SECONDS if waiting else _SETTLED_SECONDS)
