"""What a reconciler is, and how a reconciliation ends badly.

* ReconcileError
  + Waiting   -- something else must happen first; look again after a delay
  + Stalled   -- only the user can help; do not retry this generation

Any other exception is a bug or a broken environment: retried with backoff and, if it stays,
condition ``Ready=Unknown``, reason ``InternalError``.

A reconciler has four parts in four files: ``observe`` gathers a snapshot, ``plan`` and ``status``
are pure, ``checks`` says what is wrong. The kernel carries the plan out and publishes the status.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from controller.kernel.key import Key
from schemas.base import Object, Status
from schemas.names import Resource


class ReconcileError(Exception):
    """A reconciliation that could not be finished, for a reason that users are told."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """CamelCase, for the condition."""
        self.message = message
        """One sentence: what, and what to do."""


class Waiting(ReconcileError):  # noqa: N818 - named after the reaction
    """Something else must happen first."""

    def __init__(self, reason: str, message: str, delay_seconds: float) -> None:
        super().__init__(reason, message)
        self.delay_seconds = delay_seconds


class Stalled(ReconcileError):  # noqa: N818 - named after the reaction
    """Only the user can help."""


class Finding(NamedTuple):
    """Why a check failed: a reason for machines, a message for people."""

    reason: str
    message: str
    stalled: bool = False
    """Whether only a person can help; otherwise something may change by itself."""


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object; one that is there already is fine."""

    resource: Resource
    namespace: str
    manifest: Mapping[str, Any]
    why: str
    optional: bool = False
    """Whether what follows is done even if the API refuses this."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge a patch into an object."""

    resource: Resource
    namespace: str
    name: str
    patch: Mapping[str, Any]
    why: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object of that uid; one that is gone already is fine."""

    resource: Resource
    namespace: str
    name: str
    uid: str
    why: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Write an Event about an object."""

    resource: Resource
    namespace: str
    name: str
    uid: str
    warning: bool
    reason: str
    message: str


Action = Create | Patch | Delete | Tell


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that turn what is observed into what is desired, in order."""

    changes: tuple[Action, ...] = ()
    publish: bool = True
    """Whether to publish a status afterwards. False where the changes touch the object itself and
    the next look, which follows at once, knows better; or where the object goes."""
    recheck_after_seconds: float | None = None
    """Look again after this long even if nothing happens; None: only when something happens."""


@dataclass(frozen=True, slots=True)
class Report:
    """The status that an object should have."""

    status: Status
    hold_seconds: float = 0.0
    """0: publish now. More: what changed is not urgent; look again after so long, because by then
    it may have been overtaken. The status stays as it is until then."""
    recheck_after_seconds: float | None = None
    """As in Plan; the earlier of the two counts."""
    tells: tuple[Tell, ...] = ()
    """Events about what is new in the status: written once it was published, and only then."""


class Snapshot(Protocol):
    """All that a plan and a status are computed from."""

    @property
    def subject(self) -> Object:
        """The object that is reconciled."""
        ...


S = TypeVar("S", bound=Snapshot)
S_contra = TypeVar("S_contra", bound=Snapshot, contravariant=True)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """How one kind is reconciled: four functions and the kind's name."""

    kind: str
    observe: Callable[[Key], Awaitable[Any]]
    """Return the Snapshot, or None if the object is gone or is to be left alone."""
    plan: Callable[[Any, float], Plan]
    """Return what to do, given the snapshot and the wall clock. Pure."""
    status: Callable[[Any, ReconcileError | None, float], Report]
    """Return what to say, given the snapshot, what went wrong and the wall clock. Pure."""


def earliest(*delays: float | None) -> float | None:
    """Return the shortest of the delays that are given."""
    given = [delay for delay in delays if delay is not None]
    return min(given) if given else None
