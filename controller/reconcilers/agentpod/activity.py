"""When an agent began to wait for a person, or is stuck: what is urgent, and told as Events. Pure.

Computed from the status on record, so that a restarted controller repeats nothing: an episode of
waiting is known by when it began.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from controller.reconcilers.agentpod.standing import STUCK
from schemas.agentpod_status import AgentPodStatus
from schemas.conditions import TRUE, find

WAITING: Final = "waiting"

_AGAIN_SECONDS: Final = 3.0
"""One episode after the other is told so soon: an agent must not make the controller write more."""


class Notice(NamedTuple):
    """An Event."""

    warning: bool
    reason: str
    message: str


def began_to_wait(old: AgentPodStatus, new: AgentPodStatus) -> bool:
    """Whether *new* tells of an episode of waiting that *old* does not know."""
    if new.activity != WAITING:
        return False
    return old.activity != WAITING or old.activity_since != new.activity_since


def hold_seconds(
    old: AgentPodStatus, new: AgentPodStatus, since_write_seconds: float
) -> float | None:
    """Return how long a change of the activity may wait, if it is urgent; None: it is not."""
    if not began_to_wait(old, new):
        return None
    return max(0.0, _AGAIN_SECONDS - since_write_seconds) if old.activity == WAITING else 0.0


def notices(old: AgentPodStatus, new: AgentPodStatus) -> Iterator[Notice]:
    """Give what a person wants to see of the change."""
    if began_to_wait(old, new):
        why = f": {new.activity_evidence}" if new.activity_evidence else ""
        yield Notice(False, "WaitingForInput", f"the agent waits for a person{why}")
    stuck, before = find(new.conditions, STUCK), find(old.conditions, STUCK)
    if stuck is not None and stuck.status == TRUE and (before is None or before.status != TRUE):
        yield Notice(True, STUCK, stuck.message)
