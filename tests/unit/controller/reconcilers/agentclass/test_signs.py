import pytest

from controller.reconcilers.agentclass.checks import broken_sign
from schemas.agentclass import AgentClass


def agent(**activity: object) -> AgentClass:
    return AgentClass.model_validate(
        {"metadata": {"name": "a"}, "spec": {"executable": "a", "activity": activity}}
    )


def test_signs_that_can_be_searched_for_are_fine() -> None:
    assert broken_sign(agent(waiting=[r"^\s*> 1\. Yes"], idle=[r"(?i)ready\b"])) is None


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        pytest.param("(", "unclosed group", id="no regular expression"),
        pytest.param("(?=x)", "look-around", id="an expression that could run away"),
        pytest.param("(a)\\1", "backreferences", id="another one"),
    ],
)
def test_signs_that_cannot_are_said_with_the_reason(pattern: str, why: str) -> None:
    finding = broken_sign(agent(executing=[pattern]))
    assert finding is not None
    assert finding.reason == "ActivityInvalid"
    assert finding.stalled
    assert why in finding.message
