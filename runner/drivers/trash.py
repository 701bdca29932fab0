"""Deletes directories in the background, few at a time.

Deleting a checkout takes long and slows down everything else on the disk. So it is renamed,
which takes no time, and deleted later. What a dead runner left is deleted by the next.
"""

from pathlib import Path


class Trash:
    """A directory whose contents are deleted by ``run``."""

    def __init__(self, directory: Path, *, at_once: int = 1) -> None:
        self._directory = directory
        self._at_once = at_once

    def discard(self, path: Path) -> bool:
        """Rename *path* into the trash; False when there is no such path. Takes no time."""
        raise NotImplementedError

    async def run(self) -> None:
        """Delete what is in the trash, and what comes, until cancelled."""
        raise NotImplementedError

    async def empty(self) -> None:
        """Wait until all that was discarded before is deleted, or failed to be. For tests."""
        raise NotImplementedError
