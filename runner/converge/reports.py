"""What the controller is told about pods: whole states, each only in its latest form."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from meshwire.v1 import link_pb2

from runner.converge.activity import Told
from runner.converge.outcome import restarting
from runner.converge.states import ENDED, Row, State

_STATES: Final[Mapping[State, link_pb2.PodState]] = {
    State.PREPARING: link_pb2.PREPARING,
    State.STARTING: link_pb2.STARTING,
    State.RUNNING: link_pb2.RUNNING,
    State.STOPPING: link_pb2.STOPPING,
    State.SUCCEEDED: link_pb2.SUCCEEDED,
    State.FAILED: link_pb2.FAILED,
    State.REMOVED: link_pb2.REMOVED,
}
_MESSAGE_CHARACTERS: Final = 1024
_UNTOLD: Final = Told()


def observed(
    row: Row, terminal_bytes: int = 0, activity: Told = _UNTOLD, tools_listed_ms: int = 0
) -> link_pb2.PodObserved:
    """Return the row as the wire says it."""
    return link_pb2.PodObserved(
        ref=link_pb2.PodRef(pod_uid=row.uid, epoch=row.epoch),
        namespace=row.namespace,
        name=row.name,
        generation=row.generation,
        spec_digest=row.digest,
        state=_STATES[row.state],
        started_unix_ms=row.started_ms,
        finished_unix_ms=row.finished_ms,
        exit_code=row.exit_code or 0,
        signal=row.signal or 0,
        reason=row.reason,
        message=sentence(row.message),
        restarts=row.restart,
        terminal_bytes=terminal_bytes,
        worktree=link_pb2.Worktree(
            branch=row.branch,
            commit=row.commit,
            base_commit=row.base_commit,
            dirty=row.dirty,
            saved_ref=row.saved_ref,
            note=sentence(row.note),
            kept_files=row.kept_files,
        ),
        isolation=row.isolation,
        network=row.network,
        pid=row.child_pid if row.state in {State.RUNNING, State.STOPPING} else 0,
        **(said(activity) if row.state is State.RUNNING else {}),
        initialized=row.initialized,
        tools_listed_unix_ms=tools_listed_ms,
        suspended=row.is_frozen and row.state is State.RUNNING,
        stopped=row.stopped and row.state in ENDED,
        conditions=[again] if (again := restarting(row)) is not None else [],
        prompt_given=row.prompt_given,
    )


def said(activity: Told) -> dict[str, Any]:
    """Return what is told of an activity, as fields of PodObserved."""
    return {
        "activity": activity.word,
        "activity_unix_ms": activity.since_ms,
        "activity_evidence": sentence(activity.evidence),
        "stuck": sentence(activity.stuck),
    }


def sentence(text: str) -> str:
    """Return the text as one line of bounded length, without control characters."""
    line = " ".join(text.split())
    line = "".join(c for c in line if c.isprintable())
    return line if len(line) <= _MESSAGE_CHARACTERS else line[: _MESSAGE_CHARACTERS - 1] + "…"


class Reports:
    """The latest word on every pod, and feeds of what changed for whoever listens."""

    def __init__(self) -> None:
        self._latest: dict[str, link_pb2.PodObserved] = {}
        self._feeds: set[ReportFeed] = set()

    def all(self) -> list[link_pb2.PodObserved]:
        """Return every pod that is known."""
        return list(self._latest.values())

    def get(self, uid: str) -> link_pb2.PodObserved | None:
        """Return the latest word on one pod."""
        return self._latest.get(uid)

    def put(self, report: link_pb2.PodObserved) -> None:
        """Take the latest word on a pod; listeners hear of it if it is new."""
        uid = report.ref.pod_uid
        if self._latest.get(uid) == report:
            return
        self._latest[uid] = report
        for feed in self._feeds:
            feed.changed(uid, report)

    def drop(self, uid: str) -> None:
        """Forget a pod. What listeners have not heard yet they still hear."""
        self._latest.pop(uid, None)

    def subscribe(self, wake: Callable[[], None]) -> "ReportFeed":
        """Return a feed of changes from now on."""
        feed = ReportFeed(wake, self._feeds.discard)
        self._feeds.add(feed)
        return feed


class ReportFeed:
    """Changed pods that one listener has not taken yet."""

    def __init__(self, wake: Callable[[], None], leave: "Callable[[ReportFeed], None]") -> None:
        self._wake = wake
        self._leave = leave
        self._changed: dict[str, link_pb2.PodObserved] = {}

    def changed(self, uid: str, report: link_pb2.PodObserved) -> None:
        """Note the latest word, in place of an earlier one."""
        self._changed[uid] = report
        self._wake()

    def take(self) -> list[link_pb2.PodObserved]:
        """Return what changed since the last call."""
        changed, self._changed = self._changed, {}
        return list(changed.values())

    def close(self) -> None:
        """End the subscription."""
        self._leave(self)
