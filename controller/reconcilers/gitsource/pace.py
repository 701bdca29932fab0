"""Says how long a status may wait, so that one that changes with every commit is not a storm."""

from collections import deque
from typing import Final

from schemas.gitsource import GitSourceStatus

_WINDOW_SECONDS: Final = 60.0
_AT_ONCE: Final = 9
"""So many changes in a minute are written at once."""
_SPACING_SECONDS: Final = 6.0
"""Further ones so long after one another: with those at once fewer than what raises the alarm."""


class Pace:
    """When the status of each source was seen to change."""

    def __init__(self) -> None:
        self._seen: dict[str, GitSourceStatus] = {}
        self._changes: dict[str, deque[float]] = {}

    def hold(self, uid: str, status: GitSourceStatus, now: float) -> float:
        """Return for how many seconds a change of the status may wait, 0: not at all.

        *status* is as it was read. Idempotent.
        """
        changes = self._changes.setdefault(uid, deque(maxlen=_AT_ONCE))
        before = self._seen.get(uid)
        if before is not None and before != status:
            changes.append(now)
        self._seen[uid] = status
        many = len(changes) == _AT_ONCE and now - changes[0] < _WINDOW_SECONDS
        return max(0.0, changes[-1] + _SPACING_SECONDS - now) if many else 0.0

    def forget(self, uid: str) -> None:
        """Forget a source that is gone."""
        self._seen.pop(uid, None)
        self._changes.pop(uid, None)
