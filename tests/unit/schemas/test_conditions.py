"""How a new set of conditions replaces an old one."""

from schemas import conditions
from schemas.base import Condition

OLD, NEW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def _ready(status: conditions.ConditionStatus, now: str, reason: str = "Because") -> Condition:
    return conditions.condition(conditions.READY, status, reason, generation=3, now=now)


def test_transition_time_stays_while_the_status_stays():
    merged = conditions.merge([_ready(conditions.TRUE, OLD)], [_ready(conditions.TRUE, NEW, "X")])
    assert merged[0].last_transition_time == OLD
    assert merged[0].reason == "X"


def test_transition_time_moves_when_the_status_flips():
    merged = conditions.merge([_ready(conditions.TRUE, OLD)], [_ready(conditions.FALSE, NEW)])
    assert merged[0].last_transition_time == NEW


def test_conditions_that_are_not_stated_again_vanish():
    stalled = conditions.condition(
        conditions.STALLED, conditions.TRUE, "Why", generation=3, now=OLD
    )
    assert [c.type for c in conditions.merge([stalled], [_ready(conditions.TRUE, NEW)])] == [
        "Ready"
    ]


def test_messages_are_cut_to_what_the_api_accepts():
    long = conditions.condition(
        conditions.READY, conditions.FALSE, "Long", "x" * 5000, generation=1, now=NEW
    )
    assert len(long.message) == 1024
    assert long.message.endswith("…")
