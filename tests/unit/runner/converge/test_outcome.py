"""What a run has come to, in words."""

from dataclasses import replace

import pytest

from runner.converge.outcome import exited
from runner.converge.states import State, begun
from runner.drivers.terminal_values import Exited
from tests.unit.runner.converge.world import pod

ROW = begun(pod("pod-1"), State.RUNNING)
FULL = Exited(254, None, 1000.0, 0, 0, full_pids=64)
SAID = " It had reached its limit of 64 processes and threads (pids)."


@pytest.mark.parametrize(
    ("end", "ending", "said"),
    [
        pytest.param(FULL, "", True, id="it failed"),
        pytest.param(replace(FULL, exit_code=None, signal=6), "", True, id="it was aborted"),
        pytest.param(replace(FULL, exit_code=0), "", False, id="it succeeded all the same"),
        pytest.param(FULL, "Stopped", False, id="it was asked to end"),
        pytest.param(replace(FULL, full_pids=0), "", False, id="it had not that many"),
        pytest.param(
            replace(FULL, cause="OutOfMemory", detail="It needed more."),
            "",
            False,
            id="it was ended for another cause",
        ),
    ],
)
def test_a_limit_of_processes_that_was_reached_is_told_when(
    end: Exited,
    ending: str,
    said: bool,  # noqa: FBT001 - a column of the table
) -> None:
    row = exited(replace(ROW, ending=ending), end)
    assert row.message.endswith(SAID) == said
    assert "TooMany" not in row.reason
