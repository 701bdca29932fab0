"""Conditions: types, polarity, and how a new set replaces an old one.

Types are constants here; reasons belong to the kind that sets them (its page in ``docs/kinds``).
"""

from collections.abc import Iterable
from typing import Final

from schemas.base import Condition, ConditionStatus

READY: Final = "Ready"
"""Normal-true. The observed state equals the desired state of the observed generation."""
RECONCILING: Final = "Reconciling"
"""Abnormal-true, absent otherwise. Work is under way. Source: kstatus."""
STALLED: Final = "Stalled"
"""Abnormal-true, absent otherwise. Nothing more happens until a person acts. Source: kstatus."""

TRUE: Final = ConditionStatus.TRUE
FALSE: Final = ConditionStatus.FALSE
UNKNOWN: Final = ConditionStatus.UNKNOWN

_MESSAGE_CHARACTERS: Final = 1024


def condition(  # noqa: PLR0913 - the fields of a condition, by name
    kind: str,
    status: ConditionStatus,
    reason: str,
    message: str = "",
    *,
    generation: int,
    now: str,
) -> Condition:
    """Return a condition of type *kind*, its message cut to what the API accepts."""
    if len(message) > _MESSAGE_CHARACTERS:
        message = message[: _MESSAGE_CHARACTERS - 1] + "…"
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=now,
        observed_generation=generation,
    )


def merge(old: Iterable[Condition], new: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return *new*, keeping the old transition time wherever the status did not flip.

    Conditions that are absent from *new* are dropped: the caller states the full truth each time.
    """
    before = {item.type: item for item in old}
    merged: list[Condition] = []
    for item in new:
        last = before.get(item.type)
        if last is not None and last.status == item.status:
            kept = {"last_transition_time": last.last_transition_time}
            merged.append(item.model_copy(update=kept))
        else:
            merged.append(item)
    return tuple(merged)


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of type *kind*, if it is there."""
    return next((item for item in conditions if item.type == kind), None)
