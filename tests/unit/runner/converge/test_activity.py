from dataclasses import replace

import pytest

from runner.converge.activity import (
    EXECUTING,
    IDLE,
    UNKNOWN,
    WAITING,
    Processes,
    Sign,
    Signals,
    fused,
)

NOW = 1000.0
SILENT = Signals(output_at=NOW - 60)
AT_REST = Processes(NOW - 1)


def sign(word: str, ago: float = 5.0) -> Sign:
    return Sign(word, f"test says {word}", NOW - ago)


@pytest.mark.parametrize(
    ("signals", "word"),
    [
        pytest.param(Signals(), UNKNOWN, id="nothing was ever seen"),
        pytest.param(
            Signals(started_at=NOW - 60), UNKNOWN, id="that it never printed alone says nothing"
        ),
        pytest.param(
            Signals(started_at=NOW - 60, processes=AT_REST),
            IDLE,
            id="it never printed, and nothing of it was at work for long",
        ),
        pytest.param(
            Signals(started_at=NOW - 3, processes=AT_REST), UNKNOWN, id="it may be starting"
        ),
        pytest.param(
            Signals(started_at=NOW - 60, processes=replace(AT_REST, line_reader="cat")),
            WAITING,
            id="it never printed, and a program of it waits for a line",
        ),
        pytest.param(
            Signals(started_at=NOW - 3, processes=replace(AT_REST, hides_input=True)),
            UNKNOWN,
            id="what a terminal is set to at a start is no question",
        ),
        pytest.param(SILENT, UNKNOWN, id="silence alone says nothing"),
        pytest.param(
            replace(SILENT, processes=AT_REST), IDLE, id="long silence and nothing at work is idle"
        ),
        pytest.param(
            Signals(output_at=NOW - 3, processes=AT_REST), UNKNOWN, id="a short silence is not"
        ),
        pytest.param(
            replace(SILENT, processes=replace(AT_REST, busy="cc1", busy_since=NOW - 9)),
            EXECUTING,
            id="a silent compiler is at work",
        ),
        pytest.param(
            replace(SILENT, processes=replace(AT_REST, foreground="sleep")),
            EXECUTING,
            id="a program in the terminal that does not wait for it is at work",
        ),
        pytest.param(
            replace(SILENT, processes=replace(AT_REST, foreground="vim"), full_screen=True),
            IDLE,
            id="a full-screen program at rest is idle",
        ),
        pytest.param(
            replace(SILENT, processes=replace(AT_REST, is_unsure=True)),
            UNKNOWN,
            id="another program of which nothing is known may do anything",
        ),
        pytest.param(
            replace(SILENT, processes=replace(AT_REST, line_reader="python3")),
            WAITING,
            id="a program that reads a line waits for a person",
        ),
        pytest.param(
            replace(SILENT, processes=replace(AT_REST, hides_input=True)),
            WAITING,
            id="a line without echo is a password",
        ),
        pytest.param(
            replace(SILENT, question=sign(WAITING)), WAITING, id="a question at the cursor"
        ),
        pytest.param(
            replace(SILENT, question=sign(WAITING), is_choice=True, screen=sign(IDLE)),
            WAITING,
            id="a yes or no at the cursor counts before a sign of rest elsewhere",
        ),
        pytest.param(
            replace(SILENT, question=sign(WAITING), screen=sign(IDLE)),
            IDLE,
            id="any other question may be what somebody types",
        ),
        pytest.param(
            replace(SILENT, question=sign(WAITING), is_choice=True, screen=sign(EXECUTING)),
            EXECUTING,
            id="not before a sign of work",
        ),
        pytest.param(
            replace(SILENT, question=sign(WAITING), is_choice=True, told=sign(IDLE)),
            IDLE,
            id="nor before the agent's own word",
        ),
        pytest.param(
            Signals(output_at=NOW - 0.5, question=sign(WAITING, 0.5), flow_since=NOW - 9),
            EXECUTING,
            id="a question mark in the middle of output is none",
        ),
        pytest.param(
            replace(SILENT, question=sign(WAITING), processes=replace(AT_REST, busy="make")),
            EXECUTING,
            id="who asks does not compute",
        ),
        pytest.param(
            Signals(output_at=NOW, flow_since=NOW - 9), EXECUTING, id="output keeps coming"
        ),
        pytest.param(
            replace(SILENT, screen=sign(WAITING, 50), told=sign(EXECUTING, 1)),
            WAITING,
            id="a dialog that is seen counts before all that was told",
        ),
        pytest.param(
            replace(SILENT, screen=sign(EXECUTING, 50), told=sign(IDLE, 1)),
            IDLE,
            id="a hook counts before what the screen showed earlier",
        ),
        pytest.param(
            replace(SILENT, screen=sign(IDLE, 1), told=sign(EXECUTING, 50)),
            IDLE,
            id="a screen that changed after the hook counts: no hook tells of an interruption",
        ),
        pytest.param(
            replace(SILENT, told=sign(EXECUTING, 5), processes=AT_REST),
            EXECUTING,
            id="silence does not overrule what the agent told",
        ),
        pytest.param(
            replace(SILENT, attention=sign(IDLE, 60)), IDLE, id="a bell and then silence is idle"
        ),
    ],
)
def test_signals_amount_to_one_word(signals: Signals, word: str) -> None:
    found = fused(signals, NOW)
    assert found.word == word
    assert bool(found.evidence) == bool(word)
