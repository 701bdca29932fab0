"""What is known of a source and of a ticket that lies in git. Values only."""

from dataclasses import dataclass, field
from typing import Final

from controller.gitops.apply import Held
from controller.gitops.values import Identity, Problem

UNAVAILABLE: Final = "ApiUnavailable"
"""The API server does not say whether what is needed is there."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pass did not come to its end."""

    reason: str
    """CamelCase."""
    message: str
    """One sentence."""
    stalled: bool = False
    """Only a person can help."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many files there are."""

    total: int = 0
    synced: int = 0
    invalid: int = 0
    duplicate: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is known of a source: all that its status says beside the write-back."""

    generation: int = 0
    """The generation of the spec that the last pass went by."""
    request: str | None = None
    """The annotation requested-at that the last pass answered."""
    observed_commit: str | None = None
    applied_commit: str | None = None
    last_sync_at: float | None = None
    fetched: Trouble | None = field(default=None)
    """Why the repository cannot be read; None: it can, if ``observed_commit`` is given."""
    syncing: Trouble | None = None
    """Why what was fetched is not applied yet; None: it is, if ``applied_commit`` says so."""
    counts: Counts | None = None
    problems: tuple[Problem, ...] = ()
    """The first files that cannot be used, by path."""
    held: Held | None = None
    resources: int = 0
    """Resources that the source has."""
    digest: str = ""
    """Of all that it has applied."""
    leaving: tuple[Identity, ...] = ()
    """What a deleted source still waits for."""
    released: bool = False
    """What it made is let go or deleted: nothing keeps a deleted GitSource."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a ticket, or another resource, is kept in git."""

    source: str
    """Name of the GitSource."""
    source_uid: str
    path: str
    """The file, from the root of the repository."""
    blob: str
    """Object id of its content, as last applied."""
    commit: str
    """The commit that it was last applied from."""
    digest: str
    """Of what the file said then."""
    problem: Problem | None = None
    """Why the file cannot be used now."""
