"""What a reconciliation is about: a name, and nothing of what happened to it."""

from typing import NamedTuple


class Key(NamedTuple):
    """What is to be looked at. It says nothing about why."""

    kind: str
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """Return the key as one word, for logs."""
        return f"{self.kind}/{self.namespace}/{self.name}"
