"""Which runner has which session. The newest of a runner counts; two copies of one are noticed."""

import logging
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from meshwire.v1 import link_pb2

from controller.rpc.ports import Recorder, RunnerKey, Subject
from schemas.names import RUNNER

logger = logging.getLogger(__name__)

ALTERNATION_SECONDS: Final = 60.0
"""An instance that returns within this time after another one took its place has a twin."""

TWIN_RETRY_MS: Final = 30_000
"""Shorter than ALTERNATION_SECONDS, so that the twin stays known while it keeps trying."""


class Closable(Protocol):
    """A session, as far as it matters here."""

    @property
    def instance_id(self) -> str:
        """The runner process at the other end."""
        ...

    def close(self, notice: link_pb2.CloseSession) -> None:
        """Take leave and end; from now on it reports nothing more. Returns at once."""
        ...


class Sessions:
    """The sessions of all runners, by uid."""

    def __init__(self, recorder: Recorder, *, ticks: Callable[[], float] = monotonic) -> None:
        self._recorder = recorder
        self._ticks = ticks
        self._current: dict[str, Closable] = {}
        self._seen: dict[str, dict[str, float]] = {}

    def instance(self, runner: RunnerKey) -> str | None:
        """Return the instance that holds the runner's session, if there is one."""
        session = self._current.get(runner.uid)
        return session.instance_id if session else None

    def twin(self, runner: RunnerKey, instance_id: str) -> link_pb2.CloseSession | None:
        """Return the notice for an instance that may not take the session now, or None.

        A runner that restarts has a new instance id, and never an old one again. So one that comes
        back after another took its place is a second machine with the same key.
        """
        now = self._ticks()
        seen = self._recent(runner, now)
        current = self._current.get(runner.uid)
        is_twin = current is not None and current.instance_id != instance_id and instance_id in seen
        seen[instance_id] = now
        if not is_twin:
            return None
        logger.warning("two runners with one key", extra={"runner": _name(runner)})
        self._recorder.event(
            Subject(RUNNER, runner.namespace, runner.name, runner.uid),
            warning=True,
            reason="DuplicateRunner",
            message="Two machines connect as this runner in turns. Stop one of them, then set "
            "spec.minIssuedAt and enrol the other again.",
        )
        return link_pb2.CloseSession(
            reason="DuplicateRunner",
            message="another machine is connected as this runner: stop one of the two",
            retry_after_ms=TWIN_RETRY_MS,
        )

    def enter(self, runner: RunnerKey, session: Closable) -> None:
        """Make the session the runner's current one; the one before is closed."""
        before = self._current.get(runner.uid)
        self._current[runner.uid] = session
        if before is not None:
            self._recent(runner, self._ticks())[before.instance_id] = self._ticks()
            before.close(
                link_pb2.CloseSession(reason="Replaced", message="the runner has a newer session")
            )

    def leave(self, runner: RunnerKey, session: Closable) -> bool:
        """Forget the session. Return whether it was the current one."""
        if self._current.get(runner.uid) is not session:
            return False
        del self._current[runner.uid]
        self._recent(runner, self._ticks())
        return True

    def drain(self, retry_after_ms: int) -> None:
        """Close all sessions because the controller stops; the runners shall come back."""
        for session in tuple(self._current.values()):
            session.close(
                link_pb2.CloseSession(
                    reason="Draining",
                    message="the controller is stopping",
                    retry_after_ms=retry_after_ms,
                )
            )

    def _recent(self, runner: RunnerKey, now: float) -> dict[str, float]:
        """Return when which instances were last there, without those of long ago."""
        seen = self._seen.get(runner.uid, {})
        seen = {one: at for one, at in seen.items() if now - at < ALTERNATION_SECONDS}
        self._seen[runner.uid] = seen
        return seen


def _name(runner: RunnerKey) -> str:
    return f"{runner.namespace}/{runner.name}"
