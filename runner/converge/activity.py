"""Tells from a terminal's output whether an agent is at work: rather nothing than wrong."""

import time
from dataclasses import dataclass
from typing import Final

EXECUTING: Final = "executing"
UNKNOWN: Final = ""
"""Quiet: it may think, wait or be done; patterns of its class would be needed to tell."""

_QUIET_SECONDS: Final = 30.0
"""So long without output, an agent is not called executing any more."""

_HOLD_SECONDS: Final = 5.0
"""A change is told so long after the last one at the earliest."""


@dataclass(slots=True)
class _Seen:
    bytes: int
    output_at: float
    word: str = UNKNOWN
    told_at: float = 0.0


class Activity:
    """What the lengths of transcripts say."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def word(self, uid: str) -> str:
        """Return what the pod is doing, as last told."""
        seen = self._seen.get(uid)
        return seen.word if seen is not None else UNKNOWN

    def look(self, uid: str, transcript_bytes: int, now: float | None = None) -> bool:
        """Take the length of a pod's transcript; return whether there is something to tell."""
        at = time.monotonic() if now is None else now
        seen = self._seen.get(uid)
        if seen is None:
            self._seen[uid] = _Seen(transcript_bytes, at)
            return False
        if transcript_bytes != seen.bytes:
            seen.bytes, seen.output_at = transcript_bytes, at
            word = EXECUTING
        else:
            word = EXECUTING if at - seen.output_at < _QUIET_SECONDS else UNKNOWN
            word = word if seen.word == EXECUTING else UNKNOWN
        if word == seen.word or at - seen.told_at < _HOLD_SECONDS:
            return False
        seen.word, seen.told_at = word, at
        return True

    def keep(self, uids: set[str]) -> None:
        """Forget all other pods."""
        for uid in set(self._seen) - uids:
            del self._seen[uid]
