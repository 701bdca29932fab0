import pytest

from controller.reconcilers.agentpod.activity import hold_seconds, notices
from controller.reconcilers.agentpod.standing import STUCK
from schemas.agentpod_status import AgentPodStatus
from schemas.conditions import TRUE, condition

EARLIER, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"


def doing(word: str | None, since: str = EARLIER, stuck: str = "") -> AgentPodStatus:
    conditions = (
        (condition(STUCK, TRUE, "NoProgress", stuck, generation=1, now=since),) if stuck else ()
    )
    return AgentPodStatus(
        activity=word,
        activity_since=since if word else None,
        activity_evidence="its hook PermissionRequest" if word else None,
        conditions=conditions,
    )


@pytest.mark.parametrize(
    ("old", "new", "reasons"),
    [
        pytest.param(
            doing("executing"), doing("waiting"), ["WaitingForInput"], id="it begins to wait"
        ),
        pytest.param(doing(None), doing("waiting"), ["WaitingForInput"], id="its first word"),
        pytest.param(doing("waiting"), doing("waiting"), [], id="one episode is told once"),
        pytest.param(
            doing("waiting"),
            doing("waiting", LATER),
            ["WaitingForInput"],
            id="the next episode is told, although what was between them was not",
        ),
        pytest.param(doing("waiting"), doing("executing"), [], id="going on is no news"),
        pytest.param(doing("executing"), doing("idle"), [], id="being done is no news"),
        pytest.param(
            doing("executing"), doing("executing", stuck="No."), ["Stuck"], id="it is stuck"
        ),
        pytest.param(
            doing("executing", stuck="No."),
            doing("executing", stuck="Still not."),
            [],
            id="being stuck is told once",
        ),
    ],
)
def test_events_tell_of_waiting_and_of_being_stuck(
    old: AgentPodStatus, new: AgentPodStatus, reasons: list[str]
) -> None:
    assert [notice.reason for notice in notices(old, new)] == reasons


def test_the_event_says_by_what_it_is_told() -> None:
    (notice,) = notices(doing(None), doing("waiting"))
    assert not notice.warning
    assert "its hook PermissionRequest" in notice.message


def test_beginning_to_wait_is_written_at_once_and_other_words_have_time() -> None:
    assert hold_seconds(doing("executing"), doing("waiting"), 0.1) == 0.0
    assert hold_seconds(doing("waiting"), doing("executing"), 0.1) is None
    assert hold_seconds(doing("waiting"), doing("waiting"), 0.1) is None


def test_episodes_one_after_the_other_are_not_written_without_end() -> None:
    assert hold_seconds(doing("waiting"), doing("waiting", LATER), 0.5) == 2.5
    assert hold_seconds(doing("waiting"), doing("waiting", LATER), 60.0) == 0.0
