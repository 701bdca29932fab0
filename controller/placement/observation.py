"""What a runner said of a pod, as a value."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from meshwire.v1 import link_pb2

from controller.kernel.redact import redact


class PodState(StrEnum):
    """Where a pod stands on its runner."""

    UNKNOWN = "unknown"
    """The runner does not have it, or says something that we do not understand."""
    PREPARING = "preparing"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REMOVED = "removed"


_STATES: Final = {
    link_pb2.PREPARING: PodState.PREPARING,
    link_pb2.STARTING: PodState.STARTING,
    link_pb2.RUNNING: PodState.RUNNING,
    link_pb2.STOPPING: PodState.STOPPING,
    link_pb2.SUCCEEDED: PodState.SUCCEEDED,
    link_pb2.FAILED: PodState.FAILED,
    link_pb2.REMOVED: PodState.REMOVED,
}


_NO_CALENDAR_MS: Final = 253_402_300_800_000
"""The year 10000: what a runner says is checked before anybody computes with it."""

_MAX_EXIT_CODE: Final = 255
_MAX_SIGNAL: Final = 64
_MAX_COUNT: Final = 2**31 - 1
_MAX_NUMBER: Final = 2**53
"""Beyond it JSON's numbers are not exact."""


_MAX_CONDITIONS: Final = 16
_CAMEL_CASE: Final = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")


@dataclass(frozen=True, slots=True)
class Told:
    """A condition that the runner alone can tell."""

    type: str
    status: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Observation:
    """One report. Texts are clean, short and without secrets."""

    runner_uid: str
    epoch: int
    state: PodState
    initialized: bool = False
    started_at: float | None = None
    """Seconds since 1970, by the runner's clock."""
    finished_at: float | None = None
    exit_code: int | None = None
    """None: it has not ended, was ended by a signal, or nobody knows."""
    signal: int | None = None
    reason: str = ""
    message: str = ""
    restarts: int = 0
    terminal_bytes: int = 0
    branch: str = ""
    commit: str = ""
    base_commit: str = ""
    """That the worktree started from."""
    dirty: bool = False
    saved_ref: str = ""
    kept_files: str = ""
    """Folder of the runner with files that no commit could hold."""
    note: str = ""
    isolation: str = ""
    network: str = ""
    pid: int | None = None
    activity: str = ""
    tools_listed_at: float | None = None
    """When the agent first listed its tools; None: not yet."""
    suspended: bool = False
    stopped: bool = False
    """It ended, or never ran, because a person wants it stopped: told to run, it starts again."""
    activity_since: float | None = None
    activity_evidence: str = ""
    stuck: str = ""
    """Evidence; empty: it is not."""
    limits: tuple[tuple[str, str], ...] = ()
    """What keeps each limit, by its name."""
    conditions: tuple[Told, ...] = ()
    """Each type once, in the order of their coming."""
    agent_version: str = ""
    prompt_given: bool = False
    since: float = field(default=0.0, compare=False)
    """When this stage (epoch, state, initialized) was first reported, by our monotonic clock."""


def _moment(unix_ms: int) -> float | None:
    """Return seconds since 1970; None for no time, and for one that no calendar has."""
    return unix_ms / 1000 if 0 < unix_ms < _NO_CALENDAR_MS else None


def observation(runner_uid: str, report: link_pb2.PodObserved, since: float) -> Observation:
    """Return what *report* says."""
    state = _STATES.get(report.state, PodState.UNKNOWN)
    ended = state in {PodState.SUCCEEDED, PodState.FAILED, PodState.REMOVED}
    started, finished = _moment(report.started_unix_ms), _moment(report.finished_unix_ms)
    ran = started is not None and finished is not None
    known = ended and ran and not report.signal and 0 <= report.exit_code <= _MAX_EXIT_CODE
    if state is PodState.FAILED and report.exit_code == 0:
        known = False  # it failed and nobody saw how
    tree = report.worktree
    return Observation(
        runner_uid=runner_uid,
        epoch=report.ref.epoch,
        state=state,
        initialized=report.initialized,
        started_at=started,
        finished_at=finished,
        exit_code=report.exit_code if known else None,
        signal=report.signal if ended and 0 < report.signal <= _MAX_SIGNAL else None,
        reason=redact(report.reason, 128),
        message=redact(report.message),
        restarts=min(report.restarts, _MAX_COUNT),
        terminal_bytes=min(report.terminal_bytes, _MAX_NUMBER),
        branch=redact(tree.branch, 250),
        commit=redact(tree.commit, 64),
        base_commit=redact(tree.base_commit, 64),
        dirty=tree.dirty,
        saved_ref=redact(tree.saved_ref, 250),
        kept_files=redact(tree.kept_files, 500),
        note=redact(tree.note),
        isolation=redact(report.isolation, 32),
        network=redact(report.network, 32),
        pid=report.pid if 0 < report.pid <= _MAX_NUMBER else None,
        activity=redact(report.activity, 32),
        tools_listed_at=_moment(report.tools_listed_unix_ms),
        suspended=report.suspended and state is PodState.RUNNING,
        stopped=report.stopped and state in {PodState.SUCCEEDED, PodState.FAILED},
        activity_since=_moment(report.activity_unix_ms),
        activity_evidence=redact(report.activity_evidence, 256),
        stuck=redact(report.stuck),
        limits=_limits(report),
        conditions=tuple(_told(report.conditions)),
        agent_version=redact(report.agent_version, 128),
        prompt_given=report.prompt_given,
        since=since,
    )


def _limits(report: link_pb2.PodObserved) -> tuple[tuple[str, str], ...]:
    named = sorted(report.limits.items())[:_MAX_CONDITIONS]
    return tuple((redact(name, 32), redact(keeper, 64)) for name, keeper in named)


def _told(conditions: Iterable[link_pb2.PodCondition]) -> Iterable[Told]:
    """Give what can be conditions: well-formed, each type once, not too many."""
    seen: set[str] = set()
    for each in conditions:
        if len(seen) == _MAX_CONDITIONS:
            return
        if not _CAMEL_CASE.fullmatch(each.type) or not _CAMEL_CASE.fullmatch(each.reason):
            continue  # the API would refuse the whole status
        if each.type not in seen:
            seen.add(each.type)
            yield Told(each.type, each.status, each.reason, redact(each.message))
