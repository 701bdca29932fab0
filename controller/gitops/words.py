"""For what a person's word about deletions holds: a commit, and later ones that lack no more."""

from dataclasses import replace
from typing import Final

from controller.gitops.apply import Held, Prune
from controller.gitops.values import Identity

_MOST: Final = 100


class Words:
    """What was held at which commit, since the controller started and until nothing was."""

    def __init__(self) -> None:
        self._held: dict[str, frozenset[Identity]] = {}

    def heard(self, prune: Prune) -> Prune:
        """Return the same with the resources that a person has allowed to delete.

        A commit of ours may follow at any moment the one that the person was shown.
        """
        return replace(prune, allowed=self._held.get(prune.allowed_commit, frozenset()))

    def note(self, held: Held | None) -> None:
        """Take note of what is held now."""
        if held is None:
            self._held.clear()
            return
        self._held[held.commit] = frozenset(gone.identity for gone in held.gone)
        if len(self._held) > _MOST:
            del self._held[next(iter(self._held))]
