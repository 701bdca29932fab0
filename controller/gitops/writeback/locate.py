"""Finds the files of tickets in a commit: where the sync last saw them, or wherever they are now.

A file belongs to a ticket by its ``id``, not by its name: who renames a file moves nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Final

from controller.gitops.files.read import Rules, read_file
from controller.gitops.files.select import Selection
from controller.gitops.reading import batches
from controller.gitops.values import Declared, Entry, Identity, Tree
from controller.gitops.writeback.compose import Files
from controller.gitops.writeback.ports import Mirror
from schemas.names import TICKET

_NEAR: Final = 16
"""So many files of one name are looked at before all are."""
_PARTS: Final = 6


async def locate(  # noqa: PLR0913 - what it takes to look, by name
    mirror: Mirror,
    commit: str,
    folder: str,
    rules: Rules,
    *,
    changed: Iterable[str],
    made: Iterable[str],
    last_seen: Callable[[str], str | None],
    selection: Selection,
) -> Files:
    """Return the files of the tickets that are *changed*, and of those to be *made* if any are.

    *selection* is of the same folder, and remembers it for the next time.

    Raises:
        MirrorError: The commit cannot be read.
        TooManyFilesError: The folder has too many files.
    """
    entries = await mirror.entries(commit, folder)
    tree = await asyncio.to_thread(selection.tree, commit, entries)
    search = _Search(mirror, tree, rules, folder, len(entries))
    await search.near(tuple(made), last_seen)
    lost = await search.near(tuple(changed), last_seen)
    if lost:
        await search.everywhere(lost)
    return search.found


class _Search:
    """Looks for files of tickets in one tree."""

    def __init__(self, mirror: Mirror, tree: Tree, rules: Rules, folder: str, listed: int) -> None:
        self._mirror = mirror
        self._rules = rules
        self._entries = {entry.path: entry for entry in tree.entries}
        self._claimed: dict[str, tuple[str, ...]] = {}
        existing = sum(entry.path.endswith(".md") for entry in tree.entries)
        self.found = Files(folder, {}, {}, self._claimed, existing, tree.total, listed)

    async def near(
        self, tickets: Iterable[str], last_seen: Callable[[str], str | None]
    ) -> tuple[str, ...]:
        """Look where a ticket's file was and where its name says; return those not found."""
        moved = await self._still(tickets, last_seen)
        lost = []
        hints = {ticket: self._hints(ticket, last_seen(ticket)) for ticket in moved}
        data = await self._read(entry for near in hints.values() for entry in near)
        for ticket, near in hints.items():
            paths = [e.path for e in near if self._is(e.path, data.get(e.path), ticket)]
            if len(paths) == 1:
                self._have(ticket, paths[0], data[paths[0]])
            elif paths:
                self._claimed[ticket] = tuple(paths)
            else:
                lost.append(ticket)
        return tuple(lost)

    async def _still(
        self, tickets: Iterable[str], last_seen: Callable[[str], str | None]
    ) -> tuple[str, ...]:
        """Look where each ticket's file was; return those that are not there any more."""
        seen = {ticket: self._entries.get(last_seen(ticket) or "") for ticket in tickets}
        data = await self._read(entry for entry in seen.values() if entry is not None)
        moved = []
        for ticket, entry in seen.items():
            content = data.get(entry.path) if entry is not None else None
            if entry is not None and self._is(entry.path, content, ticket, unreadable=True):
                self._have(ticket, entry.path, data[entry.path])
            else:
                moved.append(ticket)
        return tuple(moved)

    @cached_property
    def _named(self) -> dict[str, list[Entry]]:
        """The entries by each id that the name of the file may begin with."""
        return _by_name(self._entries.values())

    async def everywhere(self, tickets: Iterable[str]) -> None:
        """Look into every file for the tickets."""
        wanted = {ticket: ticket.encode() for ticket in tickets}
        claims: dict[str, dict[str, bytes]] = {ticket: {} for ticket in wanted}
        for part in batches(self._entries.values()):
            data = await self._read(part)
            found = await asyncio.to_thread(self._among, data, wanted)
            for ticket, path in found:
                claims[ticket][path] = data[path]
        for ticket, files in claims.items():
            if len(files) > 1:
                self._claimed[ticket] = tuple(sorted(files))
            for path, content in files.items():
                if len(files) == 1:
                    self._have(ticket, path, content)

    def _among(
        self, data: Mapping[str, bytes], wanted: Mapping[str, bytes]
    ) -> list[tuple[str, str]]:
        return [
            (ticket, path)
            for path, content in data.items()
            for ticket, word in wanted.items()
            if word in content and self._is(path, content, ticket)
        ]

    def _hints(self, ticket: str, seen_at: str | None) -> list[Entry]:
        """Return the entries that are looked at first."""
        near = self._named.get(ticket, [])[:_NEAR]
        seen = self._entries.get(seen_at or "")
        return near if seen is None or seen in near else [seen, *near]

    def _is(
        self, path: str, content: bytes | None, ticket: str, *, unreadable: bool = False
    ) -> bool:
        """Whether the file is about the ticket; *unreadable* says so of one that cannot be read."""
        if content is None:
            return False
        said = read_file(path, "", content, self._rules)
        if isinstance(said, Declared):
            return said.identity == Identity(TICKET.kind, ticket)
        return said is not None and unreadable

    def _have(self, ticket: str, path: str, content: bytes) -> None:
        self.found.paths[ticket] = path
        self.found.data[path] = content

    async def _read(self, entries: Iterable[Entry]) -> dict[str, bytes]:
        wanted = {entry.path: entry.blob for entry in entries}
        content = await self._mirror.blobs(dict.fromkeys(wanted.values()))
        return {path: content[blob] for path, blob in wanted.items() if blob in content}


def _by_name(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return the entries by each id that the name of the file may begin with."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        stem = entry.path.rpartition("/")[2].partition(".")[0].lower()
        parts = stem.split("-", _PARTS)
        for count in range(1, min(len(parts), _PARTS) + 1):
            found.setdefault("-".join(parts[:count]), []).append(entry)
    return found
