"""What of a pod's life is worth a notification."""

from typing import Any

import pytest

from controller.services.notification_episodes import episodes
from schemas.agentpod import AgentPod

_AT = "2027-01-15T08:00:00Z"


def _pod(**observed: Any) -> AgentPod:
    return AgentPod.model_validate(
        {
            "metadata": {"name": "fix", "namespace": "acme", "uid": "u1"},
            "spec": {"agentClassName": "greeter"},
            "status": {"phase": "Failed", "observed": {"finishedAt": _AT, **observed}},
        }
    )


@pytest.mark.parametrize(
    ("observed", "told"),
    [
        pytest.param({"reason": "Exited", "exitCode": 3}, ["Failed"], id="a failure"),
        pytest.param({"reason": "IdleTimeout", "signal": 15}, ["Failed"], id="an idle end"),
        pytest.param({"reason": "Stopped", "signal": 15}, [], id="a person asked for it"),
    ],
)
def test_an_end_is_told_unless_a_person_asked_for_it(
    observed: dict[str, Any], told: list[str]
) -> None:
    assert [str(each.event) for each in episodes(_pod(**observed))] == told
