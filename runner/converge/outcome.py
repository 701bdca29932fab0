"""What a run has come to, as a row: pure."""

import dataclasses
from datetime import UTC, datetime
from typing import Any, Final

from meshwire.v1 import link_pb2

from runner.clock import wall_ms
from runner.converge.diff import may_restart
from runner.converge.states import Row, State
from runner.drivers.sandbox.prepare import agent_exit
from runner.drivers.sandbox.values import Isolation
from runner.drivers.terminal_values import Alive, Exited

_STEADY_MS: Final = 10 * 60 * 1000
"""A run of this length makes the restart backoff begin anew."""

_FAILURES: Final = frozenset({"DeadlineExceeded", "RunnerDisconnected", "OutOfMemory", "OutOfDisk"})
"""Ends that are failures whatever the exit code."""

_STEPS: Final = {
    "interrupted": "it ended when it was interrupted (SIGINT)",
    "terminated": "it ended when it was asked to (SIGTERM)",
    "hung up": "it ended when its terminal was hung up (SIGHUP)",
    "killed": "it did not end within its grace and was killed (SIGKILL)",
}

_THAWED: Final[dict[str, Any]] = {"suspended": False, "frozen_at_ms": 0}


def running(row: Row, alive: Alive) -> Row:
    """Return the row of a run that goes on."""
    return row.moved(
        State.RUNNING,
        ran=True,
        active_ms=row.active_ms or int(alive.started_at * 1000),
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
    failed = row.ending in _FAILURES or bool(end.cause)
    succeeded = code == 0 and signal is None and not failed
    reason = end.cause or row.ending or ("Signaled" if signal is not None else "Exited")
    message = end.detail or _end_sentence(row.ending, code, signal, end.step)
    if not (succeeded or end.cause or row.ending):
        message = f"{message}{crowded(end)}"
    return dataclasses.replace(
        row,
        state=State.SUCCEEDED if succeeded else State.FAILED,
        exit_code=code,
        signal=signal,
        started_ms=row.started_ms or finished,
        finished_ms=finished,
        reason=reason,
        message=message,
        failures=1 if steady else row.failures + 1,
        proven_dead=True,
        ran=True,
        **_THAWED,
    )


def crowded(end: Exited) -> str:
    """Return a sentence, behind others, about the processes of a run, if they were too many."""
    if not end.full_pids:
        return ""
    return f" It had reached its limit of {end.full_pids} processes and threads (pids)."


def lost(row: Row, *, died: bool, gone: bool = False) -> Row:
    """Return the row of a run of which nothing is left.

    *died*: it certainly was there. *gone*: no process of it can live, whether it was there or not,
    such as after a restart of the machine.
    """
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
        proven_dead=died or gone,
        ran=True,
        **_THAWED,
    )


def restarting(row: Row) -> link_pb2.PodCondition | None:
    """Return when and why the run is made again, where the restart policy wants that."""
    if row.state is not State.FAILED or not may_restart(row.pod(), row):
        return None
    due = row.finished_ms / 1000 + restart_seconds(row.failures)
    why = (row.message or row.reason).removesuffix(".")
    text = f"{why}: started again at {_stamp(due)} (restart {row.restart + 1})"
    return link_pb2.PodCondition(type="Restarting", status=True, reason="BackOff", message=text)


def restart_seconds(failures: int) -> float:
    """Return how long to wait before a restart after so many failures in a row: 1 s to 5 min."""
    return min(300.0, 2.0 ** min(16, max(0, failures - 1)))


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _end_sentence(ending: str, code: int | None, signal: int | None, step: str = "") -> str:
    sentence = _why_ended(ending, code, signal)
    if not ending or not (said := _STEPS.get(step)):
        return sentence
    return f"{sentence.removesuffix('.')}; {said}."


def _why_ended(ending: str, code: int | None, signal: int | None) -> str:
    how = f"ended by signal {signal}" if signal is not None else f"ended with exit code {code}"
    match ending:
        case "DeadlineExceeded":
            return "The agent was stopped: spec.activeDeadlineSeconds passed."
        case "Stopped":
            return "The agent was stopped as asked for."
        case "IdleTimeout":
            return "The agent was stopped: it was idle for spec.idleTimeoutSeconds."
        case "RunnerDisconnected":
            return (
                "The agent was stopped: the runner had not heard from the controller for "
                "spec.disconnect.stopAfterSeconds."
            )
        case "Replaced":
            return "The agent was stopped: the pod was placed anew."
        case _:
            return f"The agent {how}."
