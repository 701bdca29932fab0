"""What is remembered of one source: the light part in memory, all of it in the index.

What is in memory is never ahead of what a crash would leave by more than one batch, and a pass
after a crash finds on the API what was written and not remembered.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol

from controller.gitops.apply import Applied
from controller.gitops.desired import Seen
from controller.gitops.values import Declared, Identity


class Marks(NamedTuple):
    """How far the source has come."""

    observed: str = ""
    """Commit that was fetched last."""
    applied: str = ""
    """Commit whose files are all applied but for those with problems."""
    at: float = 0.0
    """When ``observed`` last changed; seconds since 1970."""
    rewritten: bool = False
    """The branch did not follow what was applied; nothing was deleted since, nor allowed to be."""


class Found(Protocol):
    """What is known of a source when the controller starts."""

    @property
    def seen(self) -> dict[str, Seen]:
        """Return the files of the last pass, by path."""
        ...

    @property
    def applied(self) -> dict[Identity, Applied]:
        """Return what the source has applied."""
        ...

    @property
    def marks(self) -> Marks:
        """Return how far the source has come."""
        ...


class Memory(Protocol):
    """What is needed of the index. ``controller.gitops.remembered.Remembered`` is it."""

    async def load(self, source: str) -> Found:
        """Return what is known of the source."""
        ...

    async def declared(self, source: str, paths: Iterable[str]) -> dict[str, Declared]:
        """Return what the files at these paths said when they could last be used."""
        ...

    async def read(
        self,
        source: str,
        seen: Mapping[str, Seen],
        declared: Mapping[str, Declared],
        gone: Iterable[str],
    ) -> None:
        """Remember what was read, and that files are gone; all or nothing."""
        ...

    async def wrote(
        self, source: str, applied: Iterable[Applied], gone: Iterable[Identity]
    ) -> None:
        """Remember what was applied and what is no longer there; all or nothing."""
        ...

    async def mark(self, source: str, marks: Marks) -> None:
        """Remember how far the source has come."""
        ...

    async def forget(self, source: str) -> None:
        """Forget the source."""
        ...


class Ledger:
    """The memory of one source."""

    def __init__(self, memory: Memory, source: str) -> None:
        """*source* is the uid of the GitSource."""
        self._memory = memory
        self._source = source
        self._intended: dict[Identity, Applied] = {}
        self._ended: set[Identity] = set()
        self._touched: set[Identity] = set()
        self.seen: dict[str, Seen] = {}
        self.applied: dict[Identity, Applied] = {}
        self.marks = Marks()
        self.loaded = False
        """Whether what was remembered is here."""

    async def load(self) -> None:
        """Read everything, once."""
        if self.loaded:
            return
        found = await self._memory.load(self._source)
        self.seen, self.applied, self.marks = found.seen, found.applied, found.marks
        self.loaded = True

    def owners(self) -> dict[Identity, str]:
        """Return the file that each resource was last applied from."""
        return {identity: row.path for identity, row in self.applied.items()}

    def origin(self, identity: Identity) -> Applied | None:
        """Return what was, or is just being, applied for the resource."""
        return self._intended.get(identity) or self.applied.get(identity)

    async def declared(self, paths: Iterable[str]) -> dict[str, Declared]:
        """Return what the files at these paths said when they could last be used."""
        return await self._memory.declared(self._source, paths)

    def unsee(self, path: str) -> None:
        """Have a file read again: what it said is not remembered."""
        self.seen.pop(path, None)

    async def read(
        self, seen: Mapping[str, Seen], declared: Mapping[str, Declared], gone: Iterable[str]
    ) -> None:
        """Remember what was read, and that files are gone."""
        paths = tuple(gone)
        await self._memory.read(self._source, seen, declared, paths)
        self.seen.update(seen)
        for path in paths:
            self.seen.pop(path, None)

    def intend(self, row: Applied) -> None:
        """Say what is being written, so that whoever sees it at once knows where it is from."""
        self._intended[row.identity] = row

    def recall(self, identity: Identity) -> None:
        """Take back what was intended: it was not written."""
        self._intended.pop(identity, None)

    def done(self, row: Applied) -> None:
        """Take note of what was written; durable with the next ``wrote``."""
        self._intended.pop(row.identity, None)
        if self.applied.get(row.identity) != row:
            self._touched.add(row.identity)
            self.applied[row.identity] = row

    async def wrote(self, rows: Iterable[Applied], gone: Iterable[Identity] = ()) -> None:
        """Remember what was applied and what is no longer there."""
        kept, left = tuple(rows), tuple(gone)
        for row in kept:
            self.done(row)
        for identity in left:
            if self.applied.pop(identity, None) is not None:
                self._touched.add(identity)
        if kept or left:
            await self._memory.wrote(self._source, kept, left)

    def touched(self) -> set[Identity]:
        """Return what has changed among what was applied since this was last asked."""
        touched, self._touched = self._touched, set()
        return touched

    def end(self, identity: Identity, uid: str) -> bool:
        """Take note that a pod has come to its end; tell whether that is news."""
        row = self.applied.get(identity)
        if row is None or row.ended or row.uid != uid:
            return False
        self._ended.add(identity)
        return True

    async def ends(self) -> None:
        """Remember the pods that have come to their end."""
        ended, self._ended = self._ended, set()
        rows = [self.applied[identity] for identity in ended if identity in self.applied]
        await self.wrote([replace(row, ended=True) for row in rows])

    async def mark(self, marks: Marks) -> None:
        """Remember how far the source has come; nothing is written if it is no news."""
        if marks != self.marks:
            await self._memory.mark(self._source, marks)
            self.marks = marks

    async def forget(self) -> None:
        """Forget everything."""
        await self._memory.forget(self._source)
        self._touched |= self.applied.keys()
        self.seen, self.applied, self.marks = {}, {}, Marks()
