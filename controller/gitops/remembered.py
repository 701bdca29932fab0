"""The index as the sync of a source asks for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controller.gitops.apply import Applied
from controller.gitops.desired import Known, Seen
from controller.gitops.index import FileRow, Index, SourceRow
from controller.gitops.ledger import Marks
from controller.gitops.values import Declared, Identity


@dataclass(slots=True)
class Memory:
    """What was read when the controller started, and what was written since."""

    seen: dict[str, Seen] = field(default_factory=dict)
    applied: dict[Identity, Applied] = field(default_factory=dict)
    marks: Marks = field(default_factory=Marks)


class Remembered:
    """Keeps in the index what a ledger is to find again."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._states: dict[str, SourceRow] = {}

    async def sources(self) -> frozenset[str]:
        """Return the uids of the sources of which anything is known."""
        return await self._index.sources()

    async def load(self, source: str) -> Memory:
        """Return what is known of the source."""
        found = await self._index.load(source)
        state = self._states[source] = found.state or SourceRow("")
        return Memory(
            {path: _seen(row) for path, row in found.files.items()},
            found.applied,
            Marks(
                state.observed or "",
                state.applied or "",
                state.last_sync_at or 0.0,
                state.rewritten,
            ),
        )

    async def declared(self, source: str, paths: Iterable[str]) -> dict[str, Declared]:
        """Return what the files at these paths said when they could last be used."""
        return await self._index.declared(source, paths)

    async def read(
        self,
        source: str,
        seen: Mapping[str, Seen],
        declared: Mapping[str, Declared],
        gone: Iterable[str],
    ) -> None:
        """Remember what was read, and that files are gone; all or nothing."""
        rows = [(_file(path, one), declared.get(path)) for path, one in seen.items()]
        paths = tuple(gone)
        if rows or paths:
            await self._index.save(source, rows, paths, self._states[source])

    async def wrote(
        self, source: str, applied: Iterable[Applied], gone: Iterable[Identity]
    ) -> None:
        """Remember what was applied and what is no longer there; all or nothing."""
        await self._index.applied(source, applied, gone)

    async def mark(self, source: str, marks: Marks) -> None:
        """Remember how far the source has come."""
        last = marks.observed or None, marks.applied or None, marks.at or None
        state = SourceRow("", *last, marks.rewritten)
        await self._index.save(source, (), (), state)
        self._states[source] = state

    async def forget(self, source: str) -> None:
        """Forget the source."""
        await self._index.forget(source)
        self._states[source] = SourceRow("")


def _seen(row: FileRow) -> Seen:
    rules, *claims = row.claims or ("",)
    known = None
    if row.identity is not None and row.digest is not None:
        known = Known(row.identity, row.path, row.blob, row.digest, row.labels, row.annotations)
    return Seen(row.blob, rules, known, row.problem, tuple(claims))


def _file(path: str, seen: Seen) -> FileRow:
    known = seen.known
    return FileRow(
        path,
        seen.blob,
        known.identity if known is not None else None,
        known.digest if known is not None else None,
        seen.problem,
        dict(known.labels) if known is not None else {},
        dict(known.annotations) if known is not None else {},
        (seen.rules, *seen.claims),
    )
