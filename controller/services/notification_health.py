"""Which webhooks cannot be told anything, for the condition of their Organization."""

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Final

FAILING: Final = 3
"""So many failures in a row are told; fewer may pass by themselves."""


@dataclass(frozen=True, slots=True)
class Failing:
    """A webhook, and why it was not told the last time."""

    webhook: str
    why: str


@dataclass(slots=True)
class _Webhook:
    failures: int = 0
    why: str = ""


class Health:
    """What the last tries say; *touch* is called with the organization when that has changed."""

    def __init__(self, touch: Callable[[str], None]) -> None:
        self._touch = touch
        self._webhooks: dict[str, dict[str, _Webhook]] = {}

    def failing(self, organization: str) -> tuple[Failing, ...]:
        """Return the organization's webhooks that keep failing."""
        known = self._webhooks.get(organization, {})
        return tuple(
            Failing(name, one.why) for name, one in sorted(known.items()) if one.failures >= FAILING
        )

    def told(self, organization: str, webhook: str) -> None:
        """Note that it took a notification."""
        self._update(organization, webhook, _Webhook())

    def failed(self, organization: str, webhook: str, why: str, tries: int) -> int:
        """Note that it did not, in so many tries of the same; return how often in a row."""
        known = self._webhooks.get(organization, {}).get(webhook, _Webhook())
        failures = max(known.failures + 1, tries)  # tries of an earlier controller count as well
        self._update(organization, webhook, _Webhook(failures, why))
        return failures

    def keep(self, organization: str, webhooks: Set[str]) -> None:
        """Forget its other webhooks, and what is known of these: they were changed."""
        known = self._webhooks.get(organization, {})
        for name in known.keys() - webhooks:
            del known[name]
        self._touch(organization)

    def forget(self, organization: str) -> None:
        """Forget an organization that is gone."""
        self._webhooks.pop(organization, None)

    def _update(self, organization: str, webhook: str, now: _Webhook) -> None:
        before = self.failing(organization)
        self._webhooks.setdefault(organization, {})[webhook] = now
        if self.failing(organization) != before:
            self._touch(organization)
