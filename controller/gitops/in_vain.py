"""Fetches that were in vain, so that they are not made again and again at full speed."""

import time
from collections.abc import Callable
from typing import Final

from controller.gitops.remote import MirrorError, RefusedError

_FIRST_SECONDS: Final = 60.0
_LONGEST_SECONDS: Final = 3600.0


class InVain:
    """What fetches of one branch came to since the last one that went well.

    A commit whose content is refused is not fetched again within an hour. After one, another commit
    is tried at once; after more of them, and after a fetch that took too long, whatever is there is
    tried after a pause, which doubles from a minute to an hour.
    """

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._tip: str | None = None
        self._error: MirrorError | None = None
        self._failures = 0
        self._until = 0.0
        self._tip_until = 0.0

    def clear(self) -> None:
        """A fetch went well."""
        self._error, self._failures = None, 0

    def note(self, tip: str | None, error: MirrorError) -> None:
        """The branch at *tip* could not be fetched, and it was much work or can never be."""
        doubled = self._failures - (1 if isinstance(error, RefusedError) else 0)
        self._failures += 1
        pause = min(_FIRST_SECONDS * 2.0 ** min(doubled, 8), _LONGEST_SECONDS)
        if doubled < 0:
            pause = 0.0
        now = self._ticks()
        self._tip, self._until, self._tip_until = tip, now + pause, now + _LONGEST_SECONDS
        what = "another commit" if isinstance(error, RefusedError) else "it"
        again = f"; {what} is fetched again after {pause / 60:.0f} min" if pause else ""
        self._error = type(error)(error.reason, f"{error.sentence}{again}")

    @property
    def noted(self) -> bool:
        """Whether there is something to check."""
        return self._error is not None

    def check_time(self) -> None:
        """Raise what the last fetch raised, as long as none is to be made."""
        if self._error is not None and self._ticks() < self._until:
            raise self._error

    def check(self, tip: str | None) -> None:
        """Raise what the last fetch raised, if the branch is still at a commit that is refused."""
        known = tip == self._tip and self._ticks() < self._tip_until
        if known and isinstance(self._error, RefusedError):
            raise self._error
