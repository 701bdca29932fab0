"""Says whose worktree is worth a look: where something changed, and seldom otherwise.

Where every change in a worktree is noticed (``Sight``), a look follows it within seconds. Output
alone is a reason to look now and then: an agent may keep a file open that it writes to.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

_SETTLE_SECONDS: Final = 0.5
"""What follows a first change at once is seen by the same look."""

_APART_SECONDS: Final = 3.0
"""Between two looks at one worktree, while it changes."""

_EVERY_SECONDS: Final = 60.0
"""A pod whose output goes on is looked at so often at the most, when it is watched."""

_QUIET_SECONDS: Final = 30.0
"""So long without output, what the agent has done is looked at once more."""


class Sight(Protocol):
    """What is needed of ``runner.drivers.worktree_eyes.Eyes``."""

    def changed(self) -> set[str]:
        """Return the pods in whose worktree something changed since the last call."""
        ...

    def is_watched(self, uid: str) -> bool:
        """Tell whether every change is noticed."""
        ...

    def keep(self, uids: Iterable[str]) -> None:
        """Forget all pods but these."""
        ...


class Blind:
    """Sees nothing: every worktree has to be looked at now and then."""

    def changed(self) -> set[str]:
        """Return nothing."""
        return set()

    def is_watched(self, uid: str) -> bool:  # noqa: ARG002 - one answer for all
        """Tell that it is not."""
        return False

    def keep(self, uids: Iterable[str]) -> None:
        """Forget nothing: nothing is known."""


@dataclass(slots=True)
class _Seen:
    bytes: int
    output_at: float
    looked_at: float
    looked_bytes: int = -1
    """Length of the transcript at the last look; before the first one no length is that."""
    changed_at: float | None = None
    """When the first change since the last look was noticed."""


class Freshness:
    """What lengths of transcripts and changes of files say about worktrees.

    A pod that was never seen before is looked at soon: from then on it may be watched.
    """

    def __init__(self, sight: Sight | None = None) -> None:
        self._sight = sight or Blind()
        self._seen: dict[str, _Seen] = {}

    def see(self, sizes: dict[str, int], now: float | None = None) -> None:
        """Take the lengths of the transcripts of all running pods; forget all others."""
        at = time.monotonic() if now is None else now
        for uid, size in sizes.items():
            seen = self._seen.get(uid)
            if seen is None:
                self._seen[uid] = _Seen(size, at, at - _APART_SECONDS, changed_at=at)
            elif size != seen.bytes:
                seen.bytes, seen.output_at = size, at
        for uid in self._seen.keys() - sizes.keys():
            del self._seen[uid]
        self._sight.keep(self._seen)

    def look(self, now: float | None = None) -> None:
        """Take what has changed since the last call."""
        at = time.monotonic() if now is None else now
        for uid in self._sight.changed():
            seen = self._seen.get(uid)
            if seen is not None and seen.changed_at is None:
                seen.changed_at = at

    def due(self, now: float | None = None) -> str | None:
        """Return the pod that waits longest for a look, None if none does. It gets it now."""
        at = time.monotonic() if now is None else now
        waiting = [
            (seen.looked_at, uid) for uid, seen in self._seen.items() if self._is_due(uid, seen, at)
        ]
        if not waiting:
            return None
        _, uid = min(waiting)
        seen = self._seen[uid]
        seen.looked_at, seen.looked_bytes, seen.changed_at = at, seen.bytes, None
        return uid

    def _is_due(self, uid: str, seen: _Seen, at: float) -> bool:
        apart = at - seen.looked_at
        if seen.changed_at is not None:
            return apart >= _APART_SECONDS and at - seen.changed_at >= _SETTLE_SECONDS
        if seen.bytes == seen.looked_bytes:
            return False
        if not self._sight.is_watched(uid):
            return apart >= _APART_SECONDS
        return apart >= _EVERY_SECONDS or at - seen.output_at >= _QUIET_SECONDS
