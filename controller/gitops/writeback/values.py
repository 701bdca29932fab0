"""What write-back says of operations and of sources. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from controller.gitops.values import Operation


class End(StrEnum):
    """How an operation ended."""

    LANDED = "landed"
    """It is on the branch, or the branch said the same already."""
    REFUSED = "refused"
    """It cannot be: the file is gone or invalid, or would be."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an operation."""

    end: End
    commit: str = ""
    """The commit that holds it; the tip of the branch where nothing was to be changed."""
    path: str = ""
    """The ticket's file, from the root of the repository."""
    conflicts: tuple[str, ...] = ()
    """Fields that stayed as somebody else has set them meanwhile: camelCase, as in the spec."""
    reason: str = ""
    """CamelCase, where it was refused."""
    message: str = ""
    """One sentence: what was refused or stayed, and what to do."""
    unchanged: bool = False
    """Landed, and the file says of the ticket what it said before."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An operation as the journal has it."""

    number: int
    """Order of acceptance."""
    operation: Operation
    accepted_at: float
    outcome: Outcome | None = None
    """None: it is still to be done."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing is pushed just now."""

    reason: str
    """CamelCase: Unreachable, Refused, Contended, NotFound, Suspended ..."""
    message: str
    since: float


@dataclass(frozen=True, slots=True)
class SourceWrites:
    """How the write-back of one source does: what its status says."""

    pending: int = 0
    last_commit: str | None = None
    last_push_at: float | None = None
    trouble: Trouble | None = None
    """None: healthy."""


@dataclass(frozen=True, slots=True)
class TicketWrites:
    """How the write-back of one ticket does: its conditions WriteBackPending and Conflict."""

    pending: int = 0
    """Changes that are accepted and not pushed."""
    since: float | None = None
    """When the oldest of them was accepted."""
    why: str = ""
    """What keeps them, if anything does."""
    conflict: str = ""
    """One sentence: what the last change of it could not set, and who did; empty: nothing."""


NOTHING_WRITTEN: Final = TicketWrites()


@dataclass(frozen=True, slots=True)
class File:
    """Where a ticket lies in git."""

    source_uid: str
    namespace: str
    source: str
    """Name of the GitSource."""
    path: str
    """From the root of the repository; empty: its file is not written yet."""
    commit: str | None
    """The commit that the ticket was last applied from."""
    writable: str = ""
    """Empty, or one sentence: why its file is changed in git alone."""
    spec: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Of a ticket whose file is not written yet: what it will be."""
