"""A plan: what a commit would change. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from cli.plan.cluster import Unread
from controller.gitops.apply import Held
from controller.gitops.values import Problem


class Action(StrEnum):
    """What happens to a resource."""

    CREATE = "create"
    CHANGE = "change"
    ADOPT = "adopt"
    """It is there and becomes the source's; it is changed where it differs."""
    REVERT = "revert"
    """Somebody changed it instead of its file: it is put back."""
    MOVE = "move"
    """Its file has another path; nothing else changes."""
    DELETE = "delete"
    RELEASE = "release"
    """Its file is gone and it is kept: it is nobody's then, and changed like any other."""
    CANCEL = "cancel"
    """A Ticket with a pod at work: canceled now, deleted once that has ended."""
    HOLD = "hold"
    """Its file is gone; a person must allow that it is deleted."""
    WAIT = "wait"
    """It is on its way out, and made anew or deleted after that."""
    LEAVE = "leave"
    """It differs, and its annotations say that it is left alone."""
    UNKNOWN = "unknown"
    """It may not be read, so that nobody can say."""


class Fate(StrEnum):
    """What happens to a pod."""

    STARTS = "starts"
    CONTESTED = "contested"
    """There is room for some of several pods: who comes first starts, the others wait."""
    WAITS = "waits"
    REFUSED = "refused"
    """A person must mend it first."""
    STOPS = "stops"
    REMOVED = "removed"
    """It is deleted, and was not at work."""
    SUSPENDS = "suspends"
    RESUMES = "resumes"
    MOVES = "moves"
    """It still waits, for other runners than before."""
    FINISHED = "finished"
    """It has ended and is gone; it is not started again while its file is the same."""


class Field(NamedTuple):
    """A field that changes."""

    name: str
    """``state``, or ``metadata.labels``."""
    before: Any
    """None: it is not there."""
    after: Any
    """None: it goes."""


class Refusal(NamedTuple):
    """Why the API server takes something not."""

    reason: str
    message: str
    certain: bool = True
    """False: some of several are refused; which, depends on who comes first."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A resource to which something happens."""

    kind: str
    name: str
    path: str
    action: Action
    fields: tuple[Field, ...] = ()
    moved_from: str = ""
    """Its file until now, if that is another one."""
    refusal: Refusal | None = None
    """It would happen, but is refused."""

    @property
    def is_refused(self) -> bool:
        """Whether it certainly does not happen."""
        return self.refusal is not None and self.refusal.certain


@dataclass(frozen=True, slots=True)
class PodFate:
    """A pod to which something happens."""

    name: str
    path: str
    """Its file; empty: it is not of this source."""
    fate: Fate
    reason: str = ""
    message: str = ""
    runners: tuple[str, ...] = ()
    """Runners that would take it."""
    ticket: str = ""
    """The Ticket that starts it by itself."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Pods for which there is not room enough."""

    pods: int
    places: int | None
    """So many of them start; None: that depends on who comes first, too."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What the plan was made of."""

    namespace: str
    source: str | None
    """The GitSource whose settings counted; None: there is none, they are the defaults."""
    path: str
    """The folder of the repository."""
    repository: str
    ref: str
    commit: str
    applied: str | None
    """The commit that is applied now."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a commit would change."""

    origin: Origin
    changed: tuple[Changed, ...] = ()
    """By kind and name."""
    pods: tuple[PodFate, ...] = ()
    """By name."""
    crowd: Crowd | None = None
    files: tuple[Problem, ...] = ()
    """Files that are refused, by path."""
    held: Held | None = None
    unchanged: int = 0
    """Resources that are as their files say."""
    unread: tuple[Unread, ...] = ()
    notes: tuple[str, ...] = ()
    """What could not be known, or is worth knowing; one sentence each."""
    counts: Mapping[str, int] = field(default_factory=dict)
    unbased: str = ""
    """One sentence, if the commit is not based on the applied one: it undoes others' work."""

    @property
    def changes(self) -> bool:
        """Whether anything would be written."""
        idle = {Action.HOLD, Action.LEAVE, Action.UNKNOWN, Action.WAIT}
        return any(each.action not in idle and not each.is_refused for each in self.changed)

    @property
    def refused(self) -> bool:
        """Whether a file, a resource or a pod is refused."""
        return (
            bool(self.files)
            or any(each.refusal is not None for each in self.changed)
            or any(pod.fate is Fate.REFUSED for pod in self.pods)
        )
