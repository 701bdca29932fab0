"""Carries out the plan of a source: the only place that writes what files say to the API."""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from controller.gitops.apply import Applied, Change, Gone, SyncPlan, Why, other_name
from controller.gitops.bodies import manifest, patch, release
from controller.gitops.desired import Known
from controller.gitops.ledger import Ledger
from controller.gitops.living import RESOURCES, Living
from controller.gitops.values import Declared, Identity, Problem
from controller.kernel.events import About, Recorder
from controller.kernel.redact import redact
from controller.kernel.store import Store
from controller.kube.errors import Conflict, KubeError, NotFound, OverQuota, Refused
from schemas.gitsource import GitSource
from schemas.names import GIT_SOURCE, Resource
from schemas.ticket import TicketState

logger = logging.getLogger(__name__)

IMMUTABLE: Final = "Immutable"
"""Reason: the file changes what cannot be changed in a resource that is there."""
REFUSED: Final = "Refused"
"""Reason: the API server does not take it."""

QUOTA_EXCEEDED: Final = "QuotaExceeded"
"""Reason: the namespace may have no more of the kind; tried again soon."""
_BATCH: Final = 200
_AT_ONCE: Final = 16
_MESSAGE_CHARACTERS: Final = 512
_NAMED: Final = 5
FIXED: Final = re.compile(
    r"immutable|cannot be changed|once (it|the pod) is placed|after placement|can only grow"
)
"""What the API server says where the resource must go before it can be as its file says."""
_FIELD: Final = re.compile(r"\bspec\.([A-Za-z]+)")
_RANK: Final = {kind: number for number, kind in enumerate(RESOURCES)}


class Writer(Protocol):
    """What is needed of the API client."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object."""
        ...

    async def create(
        self, resource: Resource, namespace: str, manifest: dict[str, Any]
    ) -> dict[str, Any]:
        """Create the object."""
        ...

    async def patch(
        self, resource: Resource, namespace: str, name: str, patch: dict[str, Any]
    ) -> dict[str, Any]:
        """Merge a patch into the object."""
        ...

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete the object."""
        ...


@dataclass(slots=True)
class Written:
    """How far a plan was carried out."""

    writes: int = 0
    refused: dict[Identity, Problem] = field(default_factory=dict)
    """What the API server does not take."""
    raced: int = 0
    """What somebody else was faster with: the next pass looks again, at once."""
    lost: int = 0
    """Files that must be read again first: what they said is not remembered."""
    failure: KubeError | None = None
    """Why it ended early: the API server is in trouble."""
    left: int = 0
    """Files that were not applied because it ended early."""

    @property
    def pending(self) -> int:
        """How many files are still to be applied."""
        return self.left + self.raced + self.lost


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a pass is to end early. Both are cheap."""

    late: Callable[[], bool]
    """A new pass is due. This one goes on to its end all the same, or the next one would be late,
    too: but it does not write for minutes what is old."""
    stale: Callable[[], bool]
    """The source itself has changed: what was read of it holds no more."""

    @property
    def over(self) -> bool:
        """Whether nothing more is to be begun that takes long."""
        return self.late() or self.stale()


@dataclass(frozen=True, slots=True)
class Hand:
    """What the writes are done for."""

    item: GitSource
    commit: str
    fresh: Mapping[str, int]
    """Files that are new or changed: they go first, in the order of these numbers."""


class Writing:
    """Writes to the API for one source."""

    def __init__(
        self, kube: Writer, store: Store, recorder: Recorder, ledger: Ledger, living: Living
    ) -> None:
        self._kube = kube
        self._store = store
        self._recorder = recorder
        self._ledger = ledger
        self._living = living

    async def carry_out(
        self,
        plan: SyncPlan,
        hand: Hand,
        turn: Turn,
        progress: Callable[[int], None],
    ) -> Written:
        """Carry out the plan; what is refused harms nothing else.

        *turn* is asked between batches, *progress* told how many files are still to be applied.
        """
        done = Written()
        steps = _ordered(plan, hand.fresh)
        for start in range(0, len(steps), _BATCH):
            if len(steps) > _BATCH:
                progress(len(steps) - start)
            await self._batch(steps[start : start + _BATCH], hand, done)
            if done.failure is not None or (start + _BATCH < len(steps) and turn.over):
                done.left = max(0, len(steps) - start - _BATCH)
                return done
        if (plan.deletes or plan.cancels or plan.releases) and turn.stale():
            done.raced += 1
            return done
        await self._prune(plan, hand, done)
        return done

    async def _batch(self, steps: Sequence[Known | Change], hand: Hand, done: Written) -> None:
        files = await self._ledger.declared(_known(step).path for step in steps)
        gate, rows = asyncio.Semaphore(_AT_ONCE), list[Applied]()
        async with asyncio.TaskGroup() as tasks:
            for step in steps:
                said = files.get(_known(step).path)
                if said is None:
                    logger.warning("to be read again", extra={"key": repr(_known(step).path)})
                    self._ledger.unsee(_known(step).path)
                    done.lost += 1
                else:
                    tasks.create_task(self._step(step, said, hand, gate, rows, done))
        await self._ledger.wrote(rows)

    async def _step(  # noqa: PLR0913 - what one step is done with, and what it adds to
        self,
        step: Known | Change,
        said: Declared,
        hand: Hand,
        gate: asyncio.Semaphore,
        rows: list[Applied],
        done: Written,
    ) -> None:
        identity = said.identity
        async with gate:
            if done.failure is not None:
                done.left += 1
                return
            self._ledger.intend(self._row(step, hand.commit, ""))
            try:
                uid = await self._write(step, said, hand, done)
            except (Conflict, NotFound) as exc:
                done.raced += 1
                await self._learn(identity)
                logger.info("look again", extra={"key": _name(identity), "reason": str(exc)})
            except Refused as exc:
                done.refused[identity] = _problem(said, exc)
            except KubeError as exc:
                done.failure = exc
                done.left += 1
            else:
                rows.append(self._row(step, hand.commit, uid))
                self._ledger.done(rows[-1])
            finally:
                self._ledger.recall(identity)

    def _row(self, step: Known | Change, commit: str, uid: str) -> Applied:
        """Return what is remembered; a pod that was changed after its end still has ended."""
        before = self._ledger.applied.get(_known(step).identity)
        row = row_of(_known(step), commit, uid)
        if isinstance(step, Change) and before is not None and before.uid == step.uid:
            return replace(row, ended=before.ended)
        return row

    async def _write(self, step: Known | Change, said: Declared, hand: Hand, done: Written) -> str:
        """Write one resource; return its uid."""
        namespace, source = hand.item.metadata.namespace, hand.item.metadata.name
        resource = RESOURCES[said.identity.kind]
        if isinstance(step, Known):
            body = manifest(said, resource, namespace, source)
            answer = await self._kube.create(resource, namespace, body)
        else:
            live = self._living.one(said.identity)
            if live is None or live.uid != step.uid:
                raise NotFound("it has gone meanwhile")
            body = patch(said, live, self._ledger.applied.get(said.identity), source)
            if not body:
                return live.uid
            answer = await self._kube.patch(resource, namespace, said.identity.name, body)
            if step.why is Why.DRIFT:
                self._put_back(said, live.uid, body, hand)
        done.writes += 1
        uid = str(answer["metadata"]["uid"])
        self._ledger.intend(self._row(step, hand.commit, uid))
        self._store.apply(resource.kind, answer)
        logger.info(
            "applied",
            extra={
                "key": f"{resource.kind}/{namespace}/{said.identity.name}",
                "change": "Created" if isinstance(step, Known) else str(step.why),
                "source": source,
            },
        )
        return uid

    def _put_back(self, said: Declared, uid: str, body: Mapping[str, Any], hand: Hand) -> None:
        """Tell that somebody's change of the resource was undone."""
        name = said.identity.name
        source, namespace = hand.item.metadata.name, hand.item.metadata.namespace
        fields = ", ".join(_fields(body)) or "its labels"
        message = (
            f"put back as it is in git: {fields}. Change the file {printable(said.path)} of "
            f"GitSource {source} instead, or set the annotation agentsmesh.io/reconcile: disabled"
        )
        about = About(RESOURCES[said.identity.kind], namespace, name, uid)
        self._recorder.event(about, warning=True, reason="DriftReverted", message=message)

    async def _learn(self, identity: Identity) -> None:
        """Read what is there: our view is old."""
        resource, namespace = RESOURCES[identity.kind], self._living.namespace
        old = self._living.one(identity)
        try:
            self._store.apply(
                resource.kind, await self._kube.get(resource, namespace, identity.name)
            )
        except NotFound:
            if old is not None:
                self._store.remove(resource.kind, old.uid)
        except KubeError as exc:
            logger.warning("not read", extra={"key": _name(identity), "reason": str(exc)})

    async def _prune(self, plan: SyncPlan, hand: Hand, done: Written) -> None:
        """Delete what has no file any more; a ticket at work is canceled first."""
        namespace = hand.item.metadata.namespace
        canceled = {"spec": {"state": TicketState.CANCELED.value}}
        gone: list[Identity] = []
        try:
            for one in plan.cancels:
                body = {**canceled, "metadata": {"uid": one.uid}}
                await self._change(one, namespace, body)
                done.writes += 1
            for one in plan.releases:
                body = release(one.identity, one.uid, hand.item.spec.kinds)
                await self._change(one, namespace, body)
                done.writes += 1
            for one in plan.deletes:
                resource = RESOURCES[one.identity.kind]
                await self._kube.delete(resource, namespace, one.identity.name, uid=one.uid)
                done.writes += 1
                gone.append(one.identity)
        except KubeError as exc:
            done.failure = exc
        if gone:
            self._tell_pruned(gone, hand)

    async def _change(self, one: Gone, namespace: str, body: dict[str, Any]) -> None:
        resource = RESOURCES[one.identity.kind]
        try:
            answer = await self._kube.patch(resource, namespace, one.identity.name, body)
        except (NotFound, Conflict):
            return  # gone, or another one by now: the next pass sees
        self._store.apply(resource.kind, answer)

    def _tell_pruned(self, gone: Sequence[Identity], hand: Hand) -> None:
        meta = hand.item.metadata
        more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
        said = ", ".join(map(_name, gone[:_NAMED])) + more
        self._recorder.event(
            About(GIT_SOURCE, meta.namespace, meta.name, meta.uid),
            warning=False,
            reason="Pruned",
            message=f"deleted, as commit {hand.commit[:12]} has no file for them: {said}",
        )
        logger.info("pruned", extra={"key": f"{meta.namespace}/{meta.name}", "change": said})


def row_of(known: Known, commit: str, uid: str) -> Applied:
    """Return what is remembered of a resource that was applied."""
    return Applied(
        known.identity,
        known.digest,
        known.path,
        known.blob,
        commit,
        uid,
        labels=tuple(sorted(known.labels)),
        annotations=tuple(sorted(known.annotations)),
    )


def printable(path: str) -> str:
    """Return a path as it may stand in a message or status: Unicode, no control characters."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "�" for char in text)


def _ordered(plan: SyncPlan, fresh: Mapping[str, int]) -> list[Known | Change]:
    """Return creations and changes: what was just pushed first, then by kind and age."""

    def place(step: Known | Change) -> tuple[bool, int, int, str]:
        known = _known(step)
        path, rank = known.path, _RANK[known.identity.kind]
        return path not in fresh, rank, fresh.get(path, 0), path

    steps: list[Known | Change] = [*plan.creates, *plan.changes]
    return sorted(steps, key=place)


def _known(step: Known | Change) -> Known:
    return step.known if isinstance(step, Change) else step


def _name(identity: Identity) -> str:
    return f"{identity.kind} {identity.name}"


def _fields(body: Mapping[str, Any]) -> Iterator[str]:
    """Name the fields that a patch changes."""
    for name in list(body.get("spec") or ())[:_NAMED]:
        yield f"spec.{name}"
    for name in ("labels", "annotations"):
        if name in body["metadata"]:
            yield name


def _problem(said: Declared, exc: Refused) -> Problem:
    """Return what is wrong with a file whose resource the API server does not take."""
    text = redact(str(exc))
    named = _FIELD.search(text)
    line = said.lines.get(named.group(1)) if named else None
    if isinstance(exc, OverQuota):
        reason, end = QUOTA_EXCEEDED, ""
    elif FIXED.search(text):
        advice = f"; delete the resource, and it is made anew, or {other_name(said.identity.kind)}"
        reason, end = IMMUTABLE, advice
    else:
        reason, end = REFUSED, ""
    words = "".join(char if char.isprintable() else " " for char in text)
    room = _MESSAGE_CHARACTERS - len(end)
    cut = words if len(words) <= room else words[: room - 1] + "…"
    return Problem(said.path, reason, cut + end, line)


def named(problems: Iterable[Problem]) -> dict[str, Problem]:
    """Return problems by path; of several the first."""
    found: dict[str, Problem] = {}
    for problem in problems:
        found.setdefault(problem.path, problem)
    return found
