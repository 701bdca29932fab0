"""What files of a source ask for, each by itself and all together. Values only.

``joining`` makes the one from the other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from controller.gitops.values import Declared, Identity, Problem

DUPLICATE_ID: Final = "DuplicateId"
"""Reason: another file is about the same resource."""

NOT_A_TICKET: Final = "NotATicket"
"""Reason: a file that was a ticket has no front matter any more."""

MOST_CLAIMS: Final = 128
_LOOKED_AT: Final = 1_000
_LONGEST: Final = 63
"""Of names. Source: RFC 1123, labels."""
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
    said = islice(_CLAIM.finditer(data.replace(b"\0", b"")), _LOOKED_AT)
    found = dict.fromkeys(match[1].decode("ascii") for match in said)
    stem = path.rpartition("/")[2].partition(".")[0].lower()[: _LONGEST + 1]
    ends = (at for at, char in enumerate(f"{stem}-") if char == "-")
    named = dict.fromkeys(stem[:end] for end in ends if 0 < end <= _LONGEST)
    room = MOST_CLAIMS - len(named)  # there are never more than 64
    return (*islice(found, room), *(name for name in named if name not in found))
