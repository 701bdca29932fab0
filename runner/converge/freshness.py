"""Says whose worktree is worth a look: of pods that had output since the last one, and seldom."""

import time
from dataclasses import dataclass
from typing import Final

_EVERY_SECONDS: Final = 60.0
"""A pod whose output goes on is looked at so often at the most."""

_QUIET_SECONDS: Final = 30.0
"""So long without output, what the agent has done is looked at once more."""


@dataclass(slots=True)
class _Seen:
    bytes: int
    output_at: float
    looked_at: float
    looked_bytes: int = -1
    """Length of the transcript at the last look; before the first one no length is that."""


class Freshness:
    """What the lengths of transcripts say about worktrees. A pod never seen is due once quiet."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def see(self, sizes: dict[str, int], now: float | None = None) -> None:
        """Take the lengths of the transcripts of all running pods; forget all others."""
        at = time.monotonic() if now is None else now
        for uid, size in sizes.items():
            seen = self._seen.get(uid)
            if seen is None:
                self._seen[uid] = _Seen(size, at, at)
            elif size != seen.bytes:
                seen.bytes, seen.output_at = size, at
        for uid in self._seen.keys() - sizes.keys():
            del self._seen[uid]

    def due(self, now: float | None = None) -> str | None:
        """Return the pod that waits longest for a look, None if none does. It gets it now."""
        at = time.monotonic() if now is None else now
        waiting = [
            (seen.looked_at, uid)
            for uid, seen in self._seen.items()
            if seen.bytes != seen.looked_bytes
            and (at - seen.looked_at >= _EVERY_SECONDS or at - seen.output_at >= _QUIET_SECONDS)
        ]
        if not waiting:
            return None
        _, uid = min(waiting)
        seen = self._seen[uid]
        seen.looked_at, seen.looked_bytes = at, seen.bytes
        return uid
