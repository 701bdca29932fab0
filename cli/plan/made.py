"""Puts the parts of a plan together. Pure but for what it is given to read from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cli.clock import now
from cli.plan.afterwards import Afterwards, afterwards
from cli.plan.cluster import Cluster
from cli.plan.drawn import Drawn
from cli.plan.pods import asking, fates, unjudged
from cli.plan.runs import started
from cli.plan.values import Action, Changed, Fate, Field, Origin, Plan, PodFate, Refusal
from controller.gitops.apply import Change, Gone, Live, Why, spec_of
from controller.gitops.bodies import patch
from controller.gitops.desired import Known
from controller.gitops.values import Identity, Problem
from schemas.counted import counted
from schemas.names import (
    AGENT_CLASS,
    AGENT_POD,
    ORGANIZATION,
    REPOSITORY,
    RESOURCE_QUOTA,
    RUNNER,
    TICKET,
)

_ACTIONS: Final = {
    Why.CHANGED: Action.CHANGE,
    Why.DRIFT: Action.REVERT,
    Why.ADOPTED: Action.ADOPT,
    Why.MOVED: Action.MOVE,
}
_FOR_PODS: Final = (AGENT_POD, AGENT_CLASS, ORGANIZATION, REPOSITORY, RUNNER, TICKET)
"""Without these nobody can say what becomes of pods."""


@dataclass(frozen=True, slots=True)
class Made:
    """The plan, and what is there once it is carried out."""

    plan: Plan
    after: Afterwards


def make(origin: Origin, cluster: Cluster, drawn: Drawn, notes: Iterable[str]) -> Made:
    """Return the plan."""
    source = origin.source or ""
    after = afterwards(cluster, drawn, source)
    changed = sorted(_changed(drawn, after.refusals, source), key=lambda each: each[:2])
    said = [*notes, *_notes(cluster, drawn, after)]
    pods: tuple[PodFate, ...] = ()
    crowd = None
    missing = [resource.kind for resource in _FOR_PODS if not cluster.readable(resource)]
    if missing:
        said.append(f"what becomes of pods cannot be said without reading {', '.join(missing)}")
    else:
        runs = started(after.cluster, asking(after.cluster), now())
        found = fates(cluster, runs, source)
        said += runs.notes
        said += [f"Ticket {name} starts no pod yet: {why}" for name, why in runs.waits.items()]
        pods, crowd = (*_refused(drawn, after), *found.pods, *_finished(drawn)), found.crowd
    plan = Plan(
        origin,
        tuple(each[2] for each in changed),
        tuple(sorted(pods, key=lambda pod: pod.name)),
        crowd,
        tuple(sorted((*drawn.collected.problems, *drawn.plan.problems), key=_place)),
        drawn.plan.held,
        drawn.plan.unchanged,
        cluster.unread,
        tuple(said),
    )
    return Made(plan, after)


def _place(problem: Problem) -> tuple[str, int]:
    return problem.path, problem.line or 0


def _refused(drawn: Drawn, after: Afterwards) -> Iterator[PodFate]:
    """Give the pods that are not even made."""
    for known in drawn.plan.creates:
        refusal = after.refusals.get(known.identity)
        if known.identity.kind == AGENT_POD.kind and refusal is not None and refusal.certain:
            name, why = known.identity.name, refusal
            yield PodFate(name, known.path, Fate.REFUSED, why.reason, why.message)


def _finished(drawn: Drawn) -> Iterator[PodFate]:
    for known in drawn.plan.finished:
        yield PodFate(known.identity.name, known.path, Fate.FINISHED)


def _changed(
    drawn: Drawn, refusals: Mapping[Identity, Refusal], source: str
) -> Iterator[tuple[str, str, Changed]]:
    for known in drawn.plan.creates:
        yield _one(known, Action.CREATE, (), refusals)
    for change in drawn.plan.changes:
        live = drawn.live[change.known.identity]
        fields = tuple(_fields(drawn, change, live, source))
        moved = live.path if live.path != change.known.path else ""
        yield _one(change.known, _ACTIONS[change.why], fields, refusals, moved)
    for known in drawn.plan.left_alone:
        yield _one(known, Action.LEAVE, (), refusals)
    for known in drawn.unknown:
        yield _one(known, Action.UNKNOWN, (), refusals)
    held = drawn.plan.held.gone if drawn.plan.held is not None else ()
    for items, action in (
        (drawn.plan.deletes, Action.DELETE),
        (drawn.plan.releases, Action.RELEASE),
        (drawn.plan.cancels, Action.CANCEL),
        (drawn.plan.waiting, Action.WAIT),
        (held, Action.HOLD),
    ):
        for gone in items:
            yield _gone(gone, action)


def _one(
    known: Known,
    action: Action,
    fields: tuple[Field, ...],
    refusals: Mapping[Identity, Refusal],
    moved: str = "",
) -> tuple[str, str, Changed]:
    kind, name = known.identity
    refusal = refusals.get(known.identity)
    return kind, name, Changed(kind, name, known.path, action, fields, moved, refusal)


def _gone(gone: Gone, action: Action) -> tuple[str, str, Changed]:
    kind, name = gone.identity
    return kind, name, Changed(kind, name, gone.path, action)


def _fields(drawn: Drawn, change: Change, live: Live, source: str) -> Iterator[Field]:
    """Give the fields that the sync would write, but for its own label and annotation."""
    said = drawn.declared[change.known.path]
    body = patch(said, live, drawn.applied.get(change.known.identity), source)
    has = spec_of(live.item)
    for name in body.get("spec") or {}:
        yield Field(name, has.get(name), said.spec.get(name))
    metadata: Mapping[str, Any] = body.get("metadata") or {}
    for part, there, wanted in (
        ("labels", live.item.metadata.labels, said.labels),
        ("annotations", live.item.metadata.annotations, said.annotations),
    ):
        for key in metadata.get(part) or {}:
            before, after = there.get(key), wanted.get(key)
            if before != after and (key in wanted or key in _before(drawn, change, part)):
                yield Field(f"metadata.{part}.{key}", before, after)


def _before(drawn: Drawn, change: Change, part: str) -> tuple[str, ...]:
    row = drawn.applied.get(change.known.identity)
    if row is None:
        return ()
    return row.labels if part == "labels" else row.annotations


def _notes(cluster: Cluster, drawn: Drawn, after: Afterwards) -> Iterator[str]:
    for each in cluster.unread:
        yield f"resources of kind {each.kind} could not be read: {each.message}"
    if fresh := [name for name in unjudged(after.cluster) if name not in unjudged(cluster)]:
        yield (
            f"whether Repository {', '.join(fresh)} can be used is seen once it is there: it is "
            "taken to be usable here"
        )
    if drawn.unknown:
        some = counted(len(drawn.unknown), "file")
        yield f"nobody can say what {some} would change: see unread kinds"
    if drawn.plan.creates and not cluster.readable(RESOURCE_QUOTA):
        yield "whether a quota refuses new resources cannot be said"


def needs_programs(plan: Plan) -> bool:
    """Whether pods start: which programs runners have is known to the controller alone."""
    return any(pod.fate in {Fate.STARTS, Fate.CONTESTED, Fate.MOVES} for pod in plan.pods)
