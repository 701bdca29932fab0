"""The listing of a folder, brought from one commit to another by what differs between them."""

import asyncio
from typing import Final

from controller.gitops.reading import Reader, too_many
from controller.gitops.values import MAX_FILE_BYTES, Entry

_SIZES: Final = 1000
"""So many sizes are kept for whoever reads the files."""


class Trees:
    """The last listing of one mirror. Its method may be called at the same time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._at: tuple[str, str, int] | None = None
        self._entries: dict[str, Entry] = {}
        """In the order of their paths, as bytes."""
        self.sizes: dict[str, int] = {}
        """Of the files that the last listing had and the one before had not, by blob."""

    async def entries(self, reader: Reader, at: tuple[str, str, int], most: int) -> list[Entry]:
        """Return everything below a folder by path; nothing if there is none.

        *at*: the commit, the path and the number of the mirror that *reader* reads.

        Raises:
            RefusedError: ``TooManyFiles``; or the path can be none.
            GoneError: The commit is not here.
            GitRunError: It cannot be read.
        """
        async with self._turn:
            if self._at != at and not await self._step(reader, at):
                await self._list(reader, at, most)
            if len(self._entries) > most:
                raise too_many(most)
            return list(self._entries.values())

    async def _list(self, reader: Reader, at: tuple[str, str, int], most: int) -> None:
        """List all of it."""
        commit, path, _ = at
        known = {
            entry.blob: entry.size
            for entry in self._entries.values()
            if 0 < entry.size <= MAX_FILE_BYTES
        }
        tree = await reader.tree(commit, path)
        found = await reader.entries(tree, path, most, known) if tree else []
        self.sizes = {}
        self._entries = {entry.path: entry for entry in found}
        self._at = at if tree else None

    async def _step(self, reader: Reader, at: tuple[str, str, int]) -> bool:
        """List what differs from the last time; tell whether that is known."""
        if self._at is None or self._at[1:] != at[1:]:
            return False
        changes = await reader.changes(self._at[0], at[0], at[1])
        if changes is None:
            return False
        old = [self._entries[path] for path in changes if path in self._entries]
        known = {entry.blob: entry.size for entry in old if 0 < entry.size <= MAX_FILE_BYTES}
        new = await reader.sized(changes.values(), known)
        entries = dict(self._entries)
        for path in changes.keys() - new.keys():
            entries.pop(path, None)
        entries.update(new)
        if not new.keys() <= self._entries.keys():
            entries = dict(sorted(entries.items(), key=lambda one: _as_bytes(one[0])))
        some = list(new.values())[:_SIZES]
        self.sizes = {entry.blob: entry.size for entry in some if entry.size <= MAX_FILE_BYTES}
        self._entries, self._at = entries, at
        return True


def _as_bytes(path: str) -> bytes:
    return path.encode(errors="surrogateescape")
