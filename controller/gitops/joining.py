"""Joins what the files of a source ask for: one file per resource, or none. Pure.

A file that cannot be used harms itself alone: what it said when it last could be used stays. A
resource that two files claim stays with the file that had it; where neither had, neither gets it.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping
from itertools import islice
from typing import Final, TypeVar

from controller.gitops.desired import (
    DUPLICATE_ID,
    NOT_A_TICKET,
    Collected,
    Known,
    Seen,
    claims,
)
from controller.gitops.values import Identity, Problem, Tree

_BARE: Final = "it has no front matter any more: put it back, or delete the file"
_NAMED: Final = 3
_MESSAGE_CHARACTERS: Final = 512

_K = TypeVar("_K", bound=Hashable)


def collect(tree: Tree, seen: Mapping[str, Seen], owners: Mapping[Identity, str]) -> Collected:
    """Return what the files of *tree* ask for together.

    *seen* has what was read of each entry of the tree; *owners* the path that each resource was
    last applied from, also of files that are gone.
    """
    return Joined().collect(tree, seen, owners)


class Joined:
    """Joins again and again: only what differs from the last time is looked at.

    Nobody needs to say what that is: all that it goes by is compared. Not for two threads at once.
    """

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._owners: dict[Identity, str] = {}
        self._owned: set[str] = set()
        """Files that resources were last applied from."""
        self._unread: frozenset[str] = frozenset()
        """Files that are never read."""
        self._broken: dict[str, Problem] = {}
        """Files that were read and cannot be used."""
        self._foreign: set[str] = set()
        """Files that are none of ours."""
        self._said: dict[str, Identity] = {}
        """What files are about; of those that cannot be used: what they still have."""
        self._files: dict[Identity, dict[str, Known]] = {}
        """Files that can be used, by what they are about and by path."""
        self._before: dict[Identity, Known] = {}
        """What files that cannot be used said when they last could, and still hold."""
        self._duplicates: dict[Identity, list[Problem]] = {}
        self._resources: dict[Identity, Known] = {}
        self._kept: set[Identity] = set()

    def collect(
        self, tree: Tree, seen: Mapping[str, Seen], owners: Mapping[Identity, str]
    ) -> Collected:
        """Return what ``collect`` would."""
        now = {entry.path: seen[entry.path] for entry in tree.entries}
        unread = frozenset(problem.path for problem in tree.problems)
        moved = differing(self._owners, owners)
        paths = differing(self._seen, now)
        paths |= {self._owners[each] for each in moved if each in self._owners}
        paths |= {owners[each] for each in moved if each in owners}
        again = set(moved)
        for path in paths:
            self._forget(path, again)
        judged = paths | (unread ^ self._unread)
        if moved:
            self._owners, self._owned = dict(owners), set(owners.values())
        self._seen, self._unread = now, unread
        for path in paths & now.keys():
            self._learn(path, now[path], again)
        if judged:
            again |= {identity for identity, path in owners.items() if path in judged}
        if again:
            self._resources = dict(self._resources)  # the old one is others'
        for identity in again:
            self._join(identity)
        return self._collected(tree, seen)

    def _forget(self, path: str, again: set[Identity]) -> None:
        """Take back what is known of a file; *again* gets the resource that it was about."""
        self._broken.pop(path, None)
        self._foreign.discard(path)
        identity = self._said.pop(path, None)
        if identity is None:
            return
        again.add(identity)
        if (before := self._before.get(identity)) is not None and before.path == path:
            del self._before[identity]
        files = self._files.get(identity, {})
        files.pop(path, None)
        if not files:
            self._files.pop(identity, None)

    def _learn(self, path: str, found: Seen, again: set[Identity]) -> None:
        """Take note of what a file says; *again* gets the resource that it is about."""
        known, problem = found.known, found.problem
        if problem is None and known is None:
            if path not in self._owned:
                self._foreign.add(path)
                return
            problem = Problem(path, NOT_A_TICKET, _BARE)
        if problem is not None:
            self._broken[path] = problem
            if known is None or self._owners.get(known.identity) != path:
                return
            self._before[known.identity] = known
        elif known is not None:
            self._files.setdefault(known.identity, {})[path] = known
        if known is not None:
            self._said[path] = known.identity
            again.add(known.identity)

    def _join(self, identity: Identity) -> None:
        """Find out which file has the resource."""
        files = [known for _, known in sorted(self._files.get(identity, {}).items())]
        owner = self._owners.get(identity, "")
        lost = owner in self._broken or owner in self._unread
        chosen = _choose(files, owner, lost=lost)
        problems = _duplicates(identity, files, chosen, owner if lost else "")
        if problems:
            self._duplicates[identity] = problems
        else:
            self._duplicates.pop(identity, None)
        known = self._before.get(identity, chosen)
        if known is not None:
            self._resources[identity] = known
        else:
            self._resources.pop(identity, None)
        if known is None and (lost or files):
            self._kept.add(identity)
        else:
            self._kept.discard(identity)

    def _collected(self, tree: Tree, seen: Mapping[str, Seen]) -> Collected:
        twice = (problem for problems in self._duplicates.values() for problem in problems)
        problems = (*tree.problems, *self._broken.values(), *twice)
        nobodys = (self._broken.keys() | self._unread) - self._owned
        return Collected(
            commit=tree.commit,
            resources=self._resources,
            kept=frozenset(self._kept),
            stale=frozenset(self._before),
            suspects=frozenset(_suspects(nobodys, seen)),
            problems=tuple(sorted(problems, key=_place)),
            total=tree.total - len(self._foreign),
        )


def differing(before: Mapping[_K, object], now: Mapping[_K, object]) -> set[_K]:
    """Return the keys whose values are not the same."""
    if before is now:
        return set()
    found = {
        key for key, value in now.items() if (old := before.get(key)) is not value and old != value
    }
    return found | (before.keys() - now.keys())


def _place(problem: Problem) -> tuple[str, int, str]:
    return problem.path, problem.line or 0, problem.reason


def _choose(files: Collection[Known], owner: str, *, lost: bool) -> Known | None:
    """Return the file that has the resource, None if none has."""
    for file in files:
        if file.path == owner:
            return file
    if lost or len(files) != 1:
        return None
    return next(iter(files))


def _duplicates(
    identity: Identity, files: Iterable[Known], chosen: Known | None, broken: str
) -> list[Problem]:
    """Return what is wrong with the files that claim what is not theirs."""
    paths = sorted({file.path for file in files} | ({broken} if broken else set()))
    if len(paths) < 2:
        return []
    return [
        Problem(file.path, DUPLICATE_ID, _duplicate(identity, file.path, paths, chosen, broken))
        for file in files
        if file is not chosen
    ]


def _duplicate(
    identity: Identity, path: str, paths: list[str], chosen: Known | None, broken: str
) -> str:
    named = ", ".join(islice((other for other in paths if other != path), _NAMED))
    more = f" and {len(paths) - 1 - _NAMED} more" if len(paths) - 1 > _NAMED else ""
    has = chosen.path if chosen is not None else broken
    then = f"{has} keeps it" if has else "none of them is applied"
    text = f"{identity.kind} {identity.name} is also in {named}{more}: {then}; change one id"
    return text if len(text) <= _MESSAGE_CHARACTERS else text[: _MESSAGE_CHARACTERS - 1] + "…"


def _suspects(paths: Iterable[str], seen: Mapping[str, Seen]) -> Iterable[str]:
    for path in paths:
        found = seen.get(path)
        yield from found.claims if found is not None and found.claims else claims(path)
