"""Whose turn it is to be told something: no organization and no webhook keeps others waiting."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

WebhookKey = tuple[str, str]
"""Organization, webhook."""

AT_ONCE: Final = 16
"""So many webhooks are told something at once."""
OF_ONE: Final = 4
"""So many of them are of the same organization at most: its own may hang, all of them."""


@dataclass(slots=True)
class _Line:
    """One webhook, as far as sending goes."""

    busy: bool = False
    rests_until: float = 0.0
    """By the monotonic clock."""
    turn: int = 0
    """Number of its last turn; 0 if it had none."""


class Turns:
    """The webhooks that have a turn, and those that rest."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: dict[WebhookKey, _Line] = {}
        self._last: dict[str, int] = {}
        """Number of the last turn of each organization."""
        self._count = 0

    def take(self, due: Iterable[WebhookKey]) -> tuple[WebhookKey, ...]:
        """Give turns to those who are next among *due*; return these. Each is ended by ``end``.

        Next is who has had fewest: the organization with fewest turns now, then the one whose last
        turn is longest ago; of its webhooks the one whose last turn is longest ago.
        """
        now = Counter(key[0] for key, line in self._lines.items() if line.busy)
        waiting = {key for key in due if self.rests_seconds(key) <= 0 and not self._of(key).busy}
        taken = []
        while now.total() < AT_ONCE:
            free = [key for key in waiting if now[key[0]] < OF_ONE]
            if not free:
                break
            key = min(
                free, key=lambda key: (now[key[0]], self._last.get(key[0], 0), self._age(key))
            )
            self._begin(key)
            waiting.discard(key)
            now[key[0]] += 1
            taken.append(key)
        return tuple(taken)

    def end(self, key: WebhookKey) -> None:
        """End the webhook's turn."""
        self._of(key).busy = False

    def rest(self, key: WebhookKey, seconds: float) -> None:
        """Give the webhook no turn for so long; with 0, any time again."""
        self._of(key).rests_until = self._clock() + seconds if seconds else 0.0

    def rests_seconds(self, key: WebhookKey) -> float:
        """Return for how long the webhook rests; 0 or less if it does not."""
        return self._of(key).rests_until - self._clock()

    def keep(self, keys: Iterable[WebhookKey]) -> None:
        """Forget all others, but who has a turn."""
        wanted = set(keys)
        self._lines = {k: line for k, line in self._lines.items() if line.busy or k in wanted}
        homes = {key[0] for key in self._lines}
        self._last = {home: turn for home, turn in self._last.items() if home in homes}

    def _begin(self, key: WebhookKey) -> None:
        self._count += 1
        line = self._of(key)
        line.busy, line.turn = True, self._count
        self._last[key[0]] = self._count

    def _age(self, key: WebhookKey) -> tuple[int, WebhookKey]:
        return self._of(key).turn, key

    def _of(self, key: WebhookKey) -> _Line:
        return self._lines.setdefault(key, _Line())
