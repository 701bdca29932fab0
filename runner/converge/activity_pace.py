"""How often a pod may be told to wait for a person: each time somebody is notified. Pure."""

from typing import Final

_AT_ONCE: Final = 3
_EACH_SECONDS: Final = 60.0


class Pace:
    """Lets three episodes through at once, then one a minute."""

    def __init__(self, now: float) -> None:
        self._full_at = now

    def allows(self, now: float) -> bool:
        """Whether one more may be told."""
        return self._full_at - now <= (_AT_ONCE - 1) * _EACH_SECONDS

    def take(self, now: float) -> None:
        """Note that one is told."""
        self._full_at = max(self._full_at, now) + _EACH_SECONDS
