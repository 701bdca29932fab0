"""What a run has come to, as a row: pure."""

import dataclasses
from typing import Final

from runner.clock import wall_ms
from runner.converge.states import Row, State
from runner.drivers.sandbox.prepare import agent_exit
from runner.drivers.sandbox.values import Isolation
from runner.drivers.terminal_values import Alive, Exited

_FAILURES: Final = frozenset({"DeadlineExceeded", "RunnerDisconnected"})
"""Endings that are no success, whatever the agent says in its last moment."""

_STEADY_MS: Final = 10 * 60 * 1000
"""A run of this length makes the restart backoff begin anew."""


def running(row: Row, alive: Alive) -> Row:
    """Return the row of a run that goes on."""
    return row.moved(
        State.RUNNING,
        pid=alive.pid,
        child_pid=alive.child_pid,
        started_ms=int(alive.started_at * 1000),
        proven_dead=False,
    )


def exited(row: Row, end: Exited) -> Row:
    """Return the row of a run that ended and left a record of how."""
    isolation = Isolation(row.isolation or Isolation.NONE)
    code, signal = agent_exit(isolation, end.exit_code, end.signal)
    finished = int(end.finished_at * 1000)
    steady = row.started_ms > 0 and finished - row.started_ms >= _STEADY_MS
    succeeded = code == 0 and signal is None and row.ending not in _FAILURES
    return dataclasses.replace(
        row,
        state=State.SUCCEEDED if succeeded else State.FAILED,
        exit_code=code,
        signal=signal,
        started_ms=row.started_ms or finished,
        finished_ms=finished,
        reason=row.ending or ("Signaled" if signal is not None else "Exited"),
        message=_end_sentence(row.ending, code, signal),
        failures=1 if steady else row.failures + 1,
        proven_dead=True,
    )


def lost(row: Row, *, died: bool) -> Row:
    """Return the row of a run of which nothing is left; *died*: it certainly was there."""
    what = "was lost" if died else "was being started when the runner ended, and never appeared"
    message = f"The run {what}: nothing is known of how it ended."
    if row.ending:
        message = _end_sentence(row.ending, None, None)
    return dataclasses.replace(
        row,
        state=State.FAILED,
        finished_ms=wall_ms(),
        reason=row.ending or "RunnerRestarted",
        message=message,
        failures=row.failures + 1,
        proven_dead=died,
    )


def _end_sentence(ending: str, code: int | None, signal: int | None) -> str:
    how = f"ended by signal {signal}" if signal is not None else f"ended with exit code {code}"
    match ending:
        case "DeadlineExceeded":
            return "The agent was stopped: spec.activeDeadlineSeconds passed."
        case "Stopped":
            return "The agent was stopped as asked for."
        case "RunnerDisconnected":
            return (
                "The agent was stopped: the runner had not heard from the controller for "
                "spec.disconnect.stopAfterSeconds."
            )
        case "Replaced":
            return "The agent was stopped: the pod was placed anew."
        case _:
            return f"The agent {how}."
