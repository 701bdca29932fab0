"""What has to be written so that the API says what the files say. Pure.

Also what ``agentsmesh plan`` shows: no clock, no store, no API. What is written is decided from
what the files ask for, what is there, and what was applied before; planning again on the result
plans nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from controller.gitops.desired import Collected, Known
from controller.gitops.files.canonical import digest
from controller.gitops.growing import smaller
from controller.gitops.values import Identity, Problem
from schemas.base import Object
from schemas.gitsource import GitSourceSpec
from schemas.names import (
    ANNOTATION_PRUNE,
    ANNOTATION_RECONCILE,
    ANNOTATION_SOURCE_PATH,
    TICKET,
)
from schemas.ticket import Ticket, TicketState

OWNED: Final = "Owned"
"""Reason: the resource belongs to somebody else."""


class Why(StrEnum):
    """Why a resource is changed."""

    CHANGED = "Changed"
    """Its file says something else than before."""
    DRIFT = "Drift"
    """Somebody changed the resource instead of the file."""
    ADOPTED = "Adopted"
    """It was there before its file was."""
    MOVED = "Moved"
    """Its file has another path; what it says is the same."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What the source wrote last for a resource."""

    identity: Identity
    digest: str
    path: str
    blob: str
    commit: str
    """The commit that it was applied from."""
    uid: str
    ended: bool = False
    """An AgentPod that has come to its end: when it is gone it is not started again."""
    labels: tuple[str, ...] = ()
    """Keys of the labels that the file asked for."""
    annotations: tuple[str, ...] = ()
    """Keys of the annotations that the file asked for."""


class Live(NamedTuple):
    """A resource as it is on the API. A tuple: each pass makes one for every resource."""

    identity: Identity
    item: Object
    owner: str = ""
    """The GitSource that has it and still exists; empty: none."""
    busy: bool = False
    """A Ticket on which a living pod works."""

    @property
    def uid(self) -> str:
        """Return its uid."""
        return self.item.metadata.uid

    @property
    def path(self) -> str:
        """Return the file that it came from; empty: none."""
        return self.item.metadata.annotations.get(ANNOTATION_SOURCE_PATH, "")

    @property
    def left_alone(self) -> bool:
        """Whether a person wants it to be left alone."""
        return self.item.metadata.annotations.get(ANNOTATION_RECONCILE) == "disabled"

    @property
    def protected(self) -> bool:
        """Whether it stays when its file goes."""
        kept = self.item.metadata.annotations.get(ANNOTATION_PRUNE) == "disabled"
        return kept or self.left_alone

    @property
    def deleting(self) -> bool:
        """Whether it is on its way out."""
        return self.item.metadata.deleting

    @property
    def belongs(self) -> str:
        """Return the controlling owner as ``Kind name``; empty: none."""
        for owner in self.item.metadata.owner_references:
            if owner.controller:
                return f"{owner.kind} {owner.name}"
        return ""


@dataclass(frozen=True, slots=True)
class Change:
    """A resource to be changed."""

    known: Known
    uid: str
    why: Why


@dataclass(frozen=True, slots=True)
class Gone:
    """A resource whose file is gone."""

    identity: Identity
    uid: str
    path: str


@dataclass(frozen=True, slots=True)
class Held:
    """Deletions that wait for a person's word."""

    commit: str
    """What the annotation ``agentsmesh.io/allow-prune`` must say."""
    gone: tuple[Gone, ...]
    limit: int
    """So many would have been deleted without asking."""
    rewritten: bool = False
    """None would: the branch does not follow what was applied before."""


@dataclass(frozen=True, slots=True)
class Prune:
    """How the source deletes."""

    source: str
    """Its name."""
    enabled: bool
    max_count: int
    max_percent: int
    allowed_commit: str = ""
    """As a person wrote it; empty: nothing."""
    allowed: frozenset[Identity] = frozenset()
    """What was gone at that commit, where it is an earlier one."""
    rewritten: bool = False
    """The branch does not follow what was applied: nothing is deleted without a person's word."""

    @classmethod
    def of(cls, source: str, spec: GitSourceSpec, allowed_commit: str = "") -> "Prune":
        """Return what the spec says of it."""
        limits = spec.prune_limits
        return cls(source, spec.prune, limits.max_count, limits.max_percent, allowed_commit)


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What is to be written, each part in a stable order."""

    creates: tuple[Known, ...] = ()
    changes: tuple[Change, ...] = ()
    deletes: tuple[Gone, ...] = ()
    releases: tuple[Gone, ...] = ()
    """Resources without a file that are kept, because a person or the source says so: let go, for
    there is nothing in git any more that could be changed instead of them."""
    cancels: tuple[Gone, ...] = ()
    """Tickets that a living pod works on: canceled first, deleted once it has ended."""
    waiting: tuple[Gone, ...] = ()
    """Canceled ones whose pod still lives, and resources on their way out that will be made anew:
    nothing can be written for them now."""
    held: Held | None = None
    problems: tuple[Problem, ...] = ()
    """Files whose resource belongs to somebody else."""
    finished: tuple[Known, ...] = ()
    """AgentPods that have ended and are gone: not started again until their file changes."""
    left_alone: tuple[Known, ...] = ()
    """Resources that differ and that a person wants left alone."""
    unchanged: int = 0
    """Resources that are as their files say."""
    loose: int = 0
    """Resources of the source that no file is about, or that a person wants left alone: also those
    for which nothing is to be done now."""

    @property
    def writes(self) -> int:
        """How many requests it takes."""
        gone = len(self.deletes) + len(self.cancels) + len(self.releases)
        return len(self.creates) + len(self.changes) + gone


Same = Callable[[Known, Live, Applied | None], bool]


def plan(  # noqa: PLR0913, PLR0917 - all that a plan is drawn from
    collected: Collected,
    live: Mapping[Identity, Live],
    applied: Mapping[Identity, Applied],
    prune: Prune,
    same: Same | None = None,
    total: int | None = None,
) -> SyncPlan:
    """Return what has to be written.

    *live* has every resource that the source owns and every one that a file is about. *same*
    remembers what ``agrees`` found, for who plans often. With *total*, so many resources are the
    source's, and the others are known to be as they should.
    """
    drawn = _Drawing(applied, prune, same or agrees)
    for identity, known in collected.resources.items():
        drawn.wanted(known, live.get(identity))
    gone = [
        item
        for identity, item in live.items()
        if item.owner == prune.source
        and item.path
        and identity not in collected.resources
        and identity not in collected.kept
        and identity.name not in collected.suspects
    ]
    if total is None:
        total = sum(item.owner == prune.source for item in live.values())
    drawn.unwanted(gone, total, collected)
    return drawn.plan()


class _Drawing:
    """A plan while it is drawn."""

    def __init__(self, applied: Mapping[Identity, Applied], prune: Prune, same: Same) -> None:
        self._applied = applied
        self._prune = prune
        self._same = same
        self._creates: list[Known] = []
        self._changes: list[Change] = []
        self._problems: list[Problem] = []
        self._finished: list[Known] = []
        self._left: list[Known] = []
        self._waiting: list[Gone] = []
        self._cancels: list[Gone] = []
        self._deletes: list[Gone] = []
        self._releases: list[Gone] = []
        self._held: Held | None = None
        self._unchanged = 0
        self._loose = 0
        self._joining = 0
        """Resources that become the source's with this plan."""

    def wanted(self, known: Known, live: Live | None) -> None:
        before = self._applied.get(known.identity)
        if live is None:
            done = before is not None and before.ended and before.digest == known.digest
            (self._finished if done else self._creates).append(known)
            self._joining += not done
            return
        if refusal := _refusal(known, live, self._prune.source):
            self._problems.append(refusal)
            return
        if live.deleting:
            self._waiting.append(Gone(known.identity, live.uid, known.path))
            return
        self._loose += live.left_alone
        why = self._why(known, live, before)
        if why is None:
            self._unchanged += 1
        elif live.left_alone:
            self._left.append(known)
        else:
            self._changes.append(Change(known, live.uid, why))
            self._joining += live.owner != self._prune.source

    def _why(self, known: Known, live: Live, before: Applied | None) -> Why | None:
        """Return why it must be changed, None if it need not be."""
        ours = before is not None and before.uid == live.uid
        if live.owner != self._prune.source:
            return Why.DRIFT if ours else Why.ADOPTED
        if not self._same(known, live, before):
            drifted = ours and before is not None and before.digest == known.digest
            return Why.DRIFT if drifted else Why.CHANGED
        return None if live.path == known.path else Why.MOVED

    def unwanted(self, items: list[Live], total: int, collected: Collected) -> None:
        self._loose += len(items)
        leaving = [item for item in items if not item.deleting]
        kept = (item for item in leaving if item.protected or not self._prune.enabled)
        free = (item for item in kept if not item.left_alone)
        self._releases += sorted((_gone(item) for item in free), key=lambda one: one.identity)
        if not self._prune.enabled:
            return
        gone = sorted(
            (item for item in leaving if not item.protected), key=lambda item: item.identity
        )
        # with those to come: or the next pass would delete what this one has held
        whole = total + self._joining
        limit = max(self._prune.max_count, whole * self._prune.max_percent // 100)
        rewritten = self._prune.rewritten
        if rewritten:
            limit = 0
        said = self._prune.allowed_commit == collected.commit
        said = said or {item.identity for item in gone} <= self._prune.allowed
        if len(gone) > limit and not said:
            all_ = tuple(_gone(item) for item in gone)
            self._held = Held(collected.commit, all_, limit, rewritten)
            return
        for item in gone:
            if not item.busy:
                self._deletes.append(_gone(item))
            elif _canceled(item):
                self._waiting.append(_gone(item))
            else:
                self._cancels.append(_gone(item))

    def plan(self) -> SyncPlan:
        return SyncPlan(
            creates=tuple(self._creates),
            changes=tuple(self._changes),
            deletes=tuple(self._deletes),
            releases=tuple(self._releases),
            cancels=tuple(self._cancels),
            waiting=tuple(self._waiting),
            held=self._held,
            problems=tuple(self._problems),
            finished=tuple(self._finished),
            left_alone=tuple(self._left),
            unchanged=self._unchanged,
            loose=self._loose,
        )


def agrees(known: Known, live: Live, before: Applied | None) -> bool:
    """Whether the resource says what its file says.

    Labels and annotations that the file never asked for are not looked at, nor is what pods have
    asked for since the file was applied, where it cannot be taken back.
    """
    metadata = live.item.metadata
    labels = {*known.labels, *(before.labels if before else ())}
    annotations = {*known.annotations, *(before.annotations if before else ())}

    def said(spec: dict[str, Any]) -> str:
        return digest(
            known.identity,
            spec,
            {key: value for key, value in metadata.labels.items() if key in labels},
            {key: value for key, value in metadata.annotations.items() if key in annotations},
        )

    spec = spec_of(live.item)
    if said(spec) == known.digest:
        return True
    if before is not None and before.digest != known.digest:
        return False  # a file that asks for less than before is told that it cannot
    return any(said(lesser) == known.digest for lesser in smaller(live.item, spec))


def spec_of(item: Object) -> dict[str, Any]:
    """Return the spec as files' specs are written down: camelCase, with defaults."""
    kind: Any = item  # every kind of ours has a spec
    return dict(kind.spec.manifest())


def other_name(kind: str) -> str:
    """Return the advice to name a resource otherwise: the name of its file says nothing."""
    return f"give it another {'id' if kind == TICKET.kind else 'metadata.name'}"


def _refusal(known: Known, live: Live, source: str) -> Problem | None:
    """Return why the resource is not ours to change, None if it is."""
    kind, name = known.identity
    if live.owner and live.owner != source:
        text = f"{kind} {name} belongs to GitSource {live.owner}: remove one of the two files"
    elif live.belongs and live.owner != source:
        text = f"{kind} {name} belongs to {live.belongs}: {other_name(kind)}"
    else:
        return None
    return Problem(known.path, OWNED, text)


def _canceled(item: Live) -> bool:
    ticket = item.item
    return isinstance(ticket, Ticket) and ticket.spec.state is TicketState.CANCELED


def _gone(item: Live) -> Gone:
    return Gone(item.identity, item.uid, item.path)
