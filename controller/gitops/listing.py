"""From the tip of a branch to what its files ask for; only what has changed is read."""

import asyncio
import functools
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from controller.gitops.desired import MOST_CLAIMS, Collected, Known, Seen, claims
from controller.gitops.files.read import Rules, read_file
from controller.gitops.files.select import Selection, TooManyFilesError
from controller.gitops.joining import Joined
from controller.gitops.ledger import Ledger
from controller.gitops.likeness import renamed
from controller.gitops.reading import TicketCommit, batches
from controller.gitops.remote import (
    BRANCH_NOT_FOUND,
    COMMIT_GONE,
    TOO_MANY_FILES,
    GoneError,
    RefusedError,
    Remote,
)
from controller.gitops.values import Declared, Entry, Identity, Problem, Tree
from schemas.crdgen import crds
from schemas.gitsource import GitSource

logger = logging.getLogger(__name__)

EMPTY_REPOSITORY: Final = "EmptyRepository"
PATH_NOT_FOUND: Final = "PathNotFound"
_READER: Final = 1
"""Counts changes of what reads files, so that all are read again."""
_MESSAGE_CHARACTERS: Final = 512
_JUDGED: Final = ""
"""Among the names that stand in a file that cannot be used: what it was is found out."""
_FILES: Final = 200
"""So many are parsed at a time, in a thread."""


class Mirror(Protocol):
    """What is needed of ``controller.gitops.mirror.Mirror``. Errors: ``remote``."""

    def use(self, remote: Remote) -> None:
        """Speak to that branch from now on."""
        ...

    async def remote_tip(self) -> str | None:
        """Return the commit of the branch as the server says, None if absent."""
        ...

    async def is_empty(self) -> bool:
        """Tell whether the repository has no branch at all."""
        ...

    def has(self, commit: str) -> bool:
        """Tell whether the commit is here for sure, so that it need not be fetched."""
        ...

    async def fetch(self) -> str:
        """Bring the branch here; return its commit."""
        ...

    async def path_exists(self, commit: str, path: str) -> bool:
        """Tell whether the folder is in the commit."""
        ...

    async def entries(self, commit: str, path: str) -> list[Entry]:
        """Return everything below the folder."""
        ...

    async def blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Return the contents."""
        ...

    async def newest(self, commit: str, path: str) -> list[str]:
        """Return paths below the folder, those first that were changed last."""
        ...

    async def descends(self, new: str, old: str) -> bool | None:
        """Tell whether *old* is *new* or comes before it; None: it is not known here."""
        ...

    async def commits(self, old: str | None, new: str) -> list[TicketCommit]:
        """Return the commits in *new* and not in *old* that name a ticket, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a repository is a source's, and what its files may be."""

    path: str
    rules: Rules
    mark: str
    """Another one: all files are read again."""

    @classmethod
    def of(cls, item: GitSource) -> "Scope":
        """Return what the spec says."""
        namespace = item.metadata.namespace
        kinds = frozenset(str(kind.value) for kind in item.spec.kinds)
        text = json.dumps([_READER, _schemas(), namespace, sorted(kinds), item.spec.path])
        mark = hashlib.sha256(text.encode()).hexdigest()[:16]
        return cls(item.spec.path, Rules(namespace, kinds), mark)


@functools.cache
def _schemas() -> str:
    """Return the digest of all schemas: with other defaults the same file says something else."""
    return hashlib.sha256(json.dumps(crds(), sort_keys=True).encode()).hexdigest()


class Listing:
    """The files of one source."""

    def __init__(self, mirror: Mirror, ledger: Ledger) -> None:
        self._mirror = mirror
        self._ledger = ledger
        self._mark = ""
        self._selected: tuple[str, Selection] = "", Selection("")
        """The folder, and what is selected of it."""
        self._joined = Joined()
        self._anew = False
        """Whether the next commit is fetched, even if the mirror says that it has it."""
        self.collected: Collected | None = None
        """What the files asked for when they were last looked at."""
        self.fresh: Mapping[str, int] = {}
        """Files that were new or changed then, by path, and in which order they are to come."""

    async def look(self, remote: Remote, scope: Scope) -> Collected:
        """Return what the files ask for at the branch's tip.

        Raises:
            MirrorError: The branch, its commit or the folder cannot be had.
        """
        self._mirror.use(remote)
        tip = await self._mirror.remote_tip()
        if tip is None:
            raise await self._absent(remote)
        have = self.collected
        if have is not None and have.commit == tip and self._mark == scope.mark:
            return have
        here = self._mirror.has(tip) and not self._anew
        commit = tip if here else await self._mirror.fetch()
        self._anew = False
        return await self._bring(commit, scope)

    def forget(self) -> None:
        """Have the commit fetched again: it is not in the mirror any more."""
        self.collected = None
        self._anew = True

    async def _absent(self, remote: Remote) -> RefusedError:
        if await self._mirror.is_empty():
            sentence = "the repository is empty: push a commit; nothing is deleted here"
            return RefusedError(EMPTY_REPOSITORY, sentence)
        sentence = f"there is no branch {remote.branch!r}: push it or change spec.branch; "
        return RefusedError(BRANCH_NOT_FOUND, sentence + "nothing is deleted here")

    async def _bring(self, commit: str, scope: Scope) -> Collected:
        entries = await self._mirror.entries(commit, scope.path)
        if not entries and not await self._mirror.path_exists(commit, scope.path):
            sentence = (
                f"commit {commit[:12]} has no folder {scope.path!r}: put it back or change "
                "spec.path; nothing is deleted here"
            )
            raise RefusedError(PATH_NOT_FOUND, sentence)
        if self._selected[0] != scope.path:
            self._selected = scope.path, Selection(scope.path)
        try:
            tree = await asyncio.to_thread(self._selected[1].tree, commit, entries)
        except TooManyFilesError as exc:
            raise RefusedError(TOO_MANY_FILES, str(exc)) from exc
        await self._read(tree, scope)
        seen, owners = dict(self._ledger.seen), self._ledger.owners()
        collected = await asyncio.to_thread(self._joined.collect, tree, seen, owners)
        if collected.problems and await self._tie(collected, tree):
            seen = dict(self._ledger.seen)
            collected = await asyncio.to_thread(self._joined.collect, tree, seen, owners)
        self._mark, self.collected = scope.mark, collected
        return collected

    async def _tie(self, collected: Collected, tree: Tree) -> bool:
        """Find out which resources are lost because their file was renamed and broken in one go.

        The new file is remembered to be about them, so that they are kept as long as it cannot be
        used. Return whether there are any.
        """
        seen, applied = self._ledger.seen, self._ledger.applied
        strange = {
            one.path: found.blob
            for one in collected.problems
            if (found := seen.get(one.path)) is not None
            and found.problem
            and found.known is None
            and _JUDGED not in found.claims
        }
        if not strange:
            return False
        judged = {
            path: seen[path]._replace(claims=(_JUDGED, *seen[path].claims)) for path in strange
        }
        there = {entry.path for entry in tree.entries} | {one.path for one in tree.problems}
        lost = {
            identity: row.blob
            for identity, row in sorted(applied.items())
            if identity not in collected.resources
            and identity not in collected.kept
            and identity.name not in collected.suspects
            and row.path not in there
        }
        ties: dict[Identity, str] = {}
        if lost:
            ties = await self._alike(lost, strange)
        for identity, path in ties.items():
            judged[path] = _tied(judged[path], identity)
        await self._ledger.read(judged, {}, ())
        return bool(ties)

    async def _alike(
        self, lost: Mapping[Identity, str], strange: Mapping[str, str]
    ) -> dict[Identity, str]:
        """Return what goes on under another path; both are given with their blobs."""
        data = await self._mirror.blobs({*lost.values(), *strange.values()})
        return await asyncio.to_thread(
            renamed,
            {identity: data[blob] for identity, blob in lost.items() if blob in data},
            {path: data[blob] for path, blob in strange.items() if blob in data},
        )

    async def _read(self, tree: Tree, scope: Scope) -> None:
        """Read the files that are new or changed, and forget those that are gone."""
        changed, gone = await asyncio.to_thread(_news, tree, dict(self._ledger.seen), scope)
        for batch in batches(changed):
            contents = await self._mirror.blobs(entry.blob for entry in batch)
            for start in range(0, len(batch), _FILES):
                await self._parse(batch[start : start + _FILES], contents, scope)
        await self._ledger.read({}, {}, gone)
        newest: list[str] = []
        if len(changed) > _FILES:
            newest = await self._mirror.newest(tree.commit, scope.path)
        turns = {path: turn for turn, path in enumerate(newest)}
        self.fresh = {entry.path: turns.get(entry.path, len(turns)) for entry in changed}

    async def _parse(
        self, entries: Sequence[Entry], contents: Mapping[str, bytes], scope: Scope
    ) -> None:
        if missing := [entry.path for entry in entries if entry.blob not in contents]:
            raise GoneError(COMMIT_GONE, f"{missing[0]!r} is not in the mirror: fetched again")
        found, names = await asyncio.to_thread(_parsed, entries, contents, scope.rules)
        seen: dict[str, Seen] = {}
        declared: dict[str, Declared] = {}
        for entry in entries:
            said = found[entry.path]
            before = self._ledger.seen.get(entry.path)
            match said:
                case Declared():
                    declared[entry.path] = said
                    seen[entry.path] = Seen(entry.blob, scope.mark, Known.of(said))
                case Problem():
                    good = before.known if before and before.rules == scope.mark else None
                    about = names[entry.path]
                    if before is not None and before.problem and before.known is None:
                        kept = (name for name in before.claims[:MOST_CLAIMS] if name != _JUDGED)
                        about = tuple(dict.fromkeys((*kept, *about)))
                    seen[entry.path] = Seen(entry.blob, scope.mark, good, said, about)
                case None:
                    seen[entry.path] = Seen(entry.blob, scope.mark)
        await self._ledger.read(seen, declared, ())


def _tied(seen: Seen, identity: Identity) -> Seen:
    """Return what is known of a file that cannot be used, and is about the resource."""
    problem = seen.problem
    if problem is not None:
        text = f"; {identity.kind} {identity.name} is kept: this file is like the one that it had"
        room = _MESSAGE_CHARACTERS - len(text)
        problem = problem._replace(message=problem.message[:room] + text)
    return seen._replace(problem=problem, claims=(identity.name, *seen.claims))


def _news(tree: Tree, seen: Mapping[str, Seen], scope: Scope) -> tuple[list[Entry], set[str]]:
    """Return the files that are new or changed, and the paths of those that are gone."""
    changed = [
        entry
        for entry in tree.entries
        if (found := seen.get(entry.path)) is None
        or found.blob != entry.blob
        or found.rules != scope.mark
    ]
    gone = seen.keys() - {entry.path for entry in tree.entries}
    return changed, gone - {problem.path for problem in tree.problems}


def _parsed(
    entries: Sequence[Entry], contents: Mapping[str, bytes], rules: Rules
) -> tuple[dict[str, Declared | Problem | None], dict[str, tuple[str, ...]]]:
    """Return what the files say, and the names that stand in those that cannot be used."""
    found = {entry.path: _one(entry, contents[entry.blob], rules) for entry in entries}
    names = {
        entry.path: claims(entry.path, contents[entry.blob])
        for entry in entries
        if isinstance(found[entry.path], Problem)
    }
    return found, names


def _one(entry: Entry, data: bytes, rules: Rules) -> Declared | Problem | None:
    try:
        return read_file(entry.path, entry.blob, data, rules)
    except Exception:  # a bug that one file shows must not stop the others
        logger.exception("a file could not be read", extra={"key": repr(entry.path)})
        return Problem(entry.path, "Unreadable", "it cannot be read; the controller's log says why")
