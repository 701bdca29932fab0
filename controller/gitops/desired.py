"""What the files of a source ask for together: one file per resource, or none. Pure.

A file that cannot be used harms itself alone: what it said when it last could be used stays. A
resource that two files claim stays with the file that had it; where neither had, neither gets it.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from controller.gitops.values import Declared, Identity, Problem, Tree

DUPLICATE_ID: Final = "DuplicateId"
"""Reason: another file is about the same resource."""

NOT_A_TICKET: Final = "NotATicket"
"""Reason: a file that was a ticket has no front matter any more."""

_BARE: Final = "it has no front matter any more: put it back, or delete the file"
_NAMED: Final = 3
_MESSAGE_CHARACTERS: Final = 512
_CLAIMS: Final = 64
_CLAIM: Final = re.compile(
    rb"^[ \t]*[\"']?(?:id|name)[\"']?[ \t]*:[ \t]*[\"']?([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\b",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Known:
    """What a file asks for, without the spec: light enough to keep for every file."""

    identity: Identity
    path: str
    blob: str
    digest: str
    """As ``Declared.digest``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, declared: Declared) -> "Known":
        """Return what is kept of it."""
        return cls(
            declared.identity,
            declared.path,
            declared.blob,
            declared.digest,
            declared.labels,
            declared.annotations,
        )


class Seen(NamedTuple):
    """What was found when a file was last read."""

    blob: str
    rules: str
    """Under which rules it was read: under others it is read again."""
    known: Known | None = None
    """What the file says; with a problem: what it said when it could last be used."""
    problem: Problem | None = None
    """Why it cannot be used now. Neither this nor ``known``: it is none of ours."""
    claims: tuple[str, ...] = ()
    """Names that stand in a file that cannot be used: it may be about one of them."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What the files ask for together."""

    commit: str
    resources: Mapping[Identity, Known]
    """What is to be there."""
    kept: frozenset[Identity]
    """What is left as it is: its file cannot be used, and it is not known what that said before."""
    stale: frozenset[Identity]
    """Those of ``resources`` whose file cannot be used now: what it last said holds."""
    suspects: frozenset[str]
    """Names that stand in files that cannot be used and were never read: never deleted."""
    problems: tuple[Problem, ...]
    """All files that cannot be used, by path."""
    total: int
    """Files that were looked at."""

    @property
    def duplicates(self) -> int:
        """How many files claim what another file has."""
        return sum(problem.reason == DUPLICATE_ID for problem in self.problems)


def claims(path: str, data: bytes = b"") -> tuple[str, ...]:
    """Return the names that the file may be about, whatever is wrong with it."""
    found = [match.decode("ascii") for match in _CLAIM.findall(data.replace(b"\0", b""))]
    stem = path.rpartition("/")[2].partition(".")[0].lower()
    parts = stem.split("-")
    found += ["-".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return tuple(dict.fromkeys(found))[:_CLAIMS]


def collect(tree: Tree, seen: Mapping[str, Seen], owners: Mapping[Identity, str]) -> Collected:
    """Return what the files of *tree* ask for together.

    *seen* has what was read of each entry of the tree; *owners* the path that each resource was
    last applied from, also of files that are gone.
    """
    problems, foreign = list(tree.problems), 0
    claimed: dict[Identity, list[Known]] = {}
    before: dict[Identity, Known] = {}
    owned = {path: identity for identity, path in owners.items()}
    for entry in tree.entries:
        found = seen[entry.path]
        known, problem = found.known, found.problem
        if problem is None and known is None and entry.path in owned:
            problem = Problem(entry.path, NOT_A_TICKET, _BARE)
        if problem is not None:
            problems.append(problem)
            if known is not None and owners.get(known.identity) == entry.path:
                before[known.identity] = known
        elif known is not None:
            claimed.setdefault(known.identity, []).append(known)
        else:
            foreign += 1
    broken = {problem.path for problem in problems}
    resources: dict[Identity, Known] = {}
    kept = {identity for identity, path in owners.items() if path in broken}
    for identity, files in claimed.items():
        owner = owners.get(identity, "")
        chosen = _choose(files, owner, lost=owner in broken)
        problems += _duplicates(identity, files, chosen, owner if owner in broken else "")
        if chosen is None:
            kept.add(identity)
        else:
            resources[identity] = chosen
    resources |= before
    return Collected(
        commit=tree.commit,
        resources=resources,
        kept=frozenset(kept - resources.keys()),
        stale=frozenset(before),
        suspects=frozenset(_suspects(broken - owned.keys(), seen)),
        problems=tuple(sorted(problems, key=_place)),
        total=tree.total - foreign,
    )


def _place(problem: Problem) -> tuple[str, int, str]:
    return problem.path, problem.line or 0, problem.reason


def _choose(files: Collection[Known], owner: str, *, lost: bool) -> Known | None:
    """Return the file that has the resource, None if none has."""
    for file in files:
        if file.path == owner:
            return file
    if lost or len(files) > 1:
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
    others = [other for other in paths if other != path]
    named = ", ".join(others[:_NAMED])
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    has = chosen.path if chosen is not None else broken
    then = f"{has} keeps it" if has else "none of them is applied"
    text = f"{identity.kind} {identity.name} is also in {named}{more}: {then}; change one id"
    return text if len(text) <= _MESSAGE_CHARACTERS else text[: _MESSAGE_CHARACTERS - 1] + "…"


def _suspects(paths: Iterable[str], seen: Mapping[str, Seen]) -> Iterable[str]:
    for path in paths:
        found = seen.get(path)
        yield from found.claims if found is not None and found.claims else claims(path)
