"""The judge of the storms notices what it is there for."""

import pytest

from tests.process.once.checker import Line, Pod, faults, lines

START, PROMPT = Line("start", "one", "7", ""), Line("prompt", "one", "7", "do it")


def one(**fields: object) -> Pod:
    return Pod("one", "do it", **({"phase": "Running"} | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        pytest.param(one(), [START, PROMPT], id="one process, one prompt"),
        pytest.param(
            one(starts=2), [START, PROMPT, Line("start", "one", "8", "")], id="a restart without it"
        ),
        pytest.param(one(phase="Failed", reason="RunnerRestarted"), [], id="an end with a reason"),
        pytest.param(one(delivered=False), [START], id="a prompt that is said to have failed"),
        pytest.param(
            one(later={"more": "submitted"}),
            [START, PROMPT, Line("prompt", "one", "7", "more")],
            id="a later one",
        ),
        pytest.param(one(later={"more": "failed"}), [START, PROMPT], id="a later one that failed"),
    ],
)
def test_what_is_right_passes(pod: Pod, said: list[Line]) -> None:
    assert faults([pod], said) == []


@pytest.mark.parametrize(
    ("pod", "said", "word"),
    [
        (one(), [START, PROMPT, Line("start", "one", "8", "")], "2 processes"),
        (one(starts=2), [START, PROMPT, START], "began twice"),
        (one(), [], "0 of 1"),
        (one(phase="Failed"), [], "no reason"),
        (one(phase="Failed", reason="Exited"), [START, PROMPT], "and not Running"),
        (one(due="Succeeded"), [START, PROMPT], "and not Succeeded"),
        (one(), [START, PROMPT, PROMPT], "came 2 times"),
        (one(), [START], "never came"),
        (one(phase="Starting"), [START, PROMPT], "it is Starting"),
        (one(), [START, Line("prompt", "one", "7", "do i")], "nobody wrote"),
        (one(later={"m": "submitted"}), [START, PROMPT], "counts as submitted"),
        (one(later={"m": "failed"}), [START, PROMPT, *[Line("prompt", "one", "7", "m")] * 2], "2"),
        (one(), [START, PROMPT, Line("start", "two", "9", "")], "nobody asked"),
    ],
)
def test_what_is_wrong_is_named(pod: Pod, said: list[Line], word: str) -> None:
    assert any(word in fault for fault in faults([pod], said))


def test_a_torn_line_is_not_read_over() -> None:
    assert lines("start\tone\t7\t\nprompt\tone\t7\tdo it\n") == [START, PROMPT]
    with pytest.raises(ValueError, match="unpack"):
        lines("start\tone\t7\t\nprompt\tone\n")
