"""What the controller's sync would decide for a commit: its own parts, on what the user may read.

What the controller remembers of earlier passes is not on the API. The commit that is applied now
says the same, where it can be read: which file each resource came from, what it said, and which
pods have had their end.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cli.errors import CommandError
from cli.plan.cluster import Cluster
from controller.gitops.apply import Applied, Live, Prune, SyncPlan, plan
from controller.gitops.desired import Collected, Known, Seen
from controller.gitops.ledger import Ledger, Marks
from controller.gitops.listing import Listing, Mirror, Scope
from controller.gitops.living import RESOURCES, Living
from controller.gitops.remote import MirrorError, Remote
from controller.gitops.values import Declared, Identity
from controller.kernel.store import Store
from controller.reconcilers.gitsource.status import PRUNE_HELD, REWRITTEN
from schemas.conditions import find
from schemas.gitsource import GitSource, SourcedKind
from schemas.names import AGENT_POD, ANNOTATION_ALLOW_PRUNE

_UID = "plan"
_GONE = "gone"
"""Stands for the uid of a resource that is no more."""


@dataclass(slots=True)
class Memory:
    """What the sync would have in its index."""

    seen: dict[str, Seen] = field(default_factory=dict)
    applied: dict[Identity, Applied] = field(default_factory=dict)
    marks: Marks = field(default_factory=Marks)
    files: dict[str, Declared] = field(default_factory=dict)

    async def load(self, source: str) -> "Memory":  # noqa: ARG002 - there is one
        """Return itself."""
        return self

    async def declared(self, source: str, paths: Iterable[str]) -> dict[str, Declared]:  # noqa: ARG002
        """Return what the files said when they could last be used."""
        return {path: self.files[path] for path in paths if path in self.files}

    async def read(
        self,
        source: str,  # noqa: ARG002
        seen: Mapping[str, Seen],
        declared: Mapping[str, Declared],
        gone: Iterable[str],
    ) -> None:
        """Remember what was read, and that files are gone."""
        self.seen.update(seen)
        self.files.update(declared)
        for path in gone:
            self.seen.pop(path, None)

    async def wrote(
        self, source: str, applied: Iterable[Applied], gone: Iterable[Identity]
    ) -> None:
        """Do nothing: nothing is written."""

    async def mark(self, source: str, marks: Marks) -> None:
        """Do nothing."""

    async def forget(self, source: str) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the sync would do."""

    collected: Collected
    plan: SyncPlan
    live: Mapping[Identity, Live] = field(repr=False)
    declared: Mapping[str, Declared] = field(repr=False)
    """What files say, by path."""
    applied: Mapping[Identity, Applied] = field(repr=False)
    unknown: tuple[Known, ...] = ()
    """What files ask for of kinds that may not be read."""
    kinds: tuple[SourcedKind, ...] = ()
    """What the source may make."""


async def draw(
    cluster: Cluster,
    store: Store,
    source: GitSource,
    after: Mirror,
    before: Mirror | None,
    *,
    rewritten: bool = False,
) -> Drawn:
    """Return what the sync of *source* would do at the commit *after*.

    *before*: the commit that is applied now; None if it is not known, or cannot be read.
    *rewritten*: it is known that *after* does not follow it.

    Raises:
        CommandError: The folder is not in the commit, or has too many files.
    """
    memory = Memory()
    ledger = Ledger(memory, _UID)
    scope, remote = Scope.of(source), Remote(url="", branch="")
    living = Living(store, source.metadata.namespace, source.metadata.name)
    last: Collected | None = None
    if before is not None:
        last = await _look(before, ledger, remote, scope, missing_is_empty=True)
    ledger.applied = dict(_applied(source, living, last))
    if last is not None:
        _tie(source, living, last, ledger.seen)
    collected = await _look(after, ledger, remote, scope)
    if collected is None:
        raise AssertionError("a folder that is missing is an error")
    unread = {kind for kind, resource in RESOURCES.items() if not cluster.readable(resource)}
    unknown = [known for known in collected.resources.values() if known.identity.kind in unread]
    readable = {
        identity: known
        for identity, known in collected.resources.items()
        if identity.kind not in unread
    }
    collected = replace(collected, resources=readable)
    live = living.all(collected)
    allowed = source.metadata.annotations.get(ANNOTATION_ALLOW_PRUNE, "")
    prune = Prune.of(source.metadata.name, source.spec, allowed)
    prune = replace(prune, rewritten=rewritten or _held_as_rewritten(source))
    drawn = plan(collected, live, ledger.applied, prune)
    return Drawn(
        collected, drawn, live, memory.files, ledger.applied, tuple(unknown), source.spec.kinds
    )


def _tie(source: GitSource, living: Living, last: Collected, seen: dict[str, Seen]) -> None:
    """Have files that cannot be used be about what is there without a file of its own.

    The sync keeps what it has found to be renamed and broken in one go, and remembers that.
    """
    if find(source.status.conditions, PRUNE_HELD) is not None:
        return
    kept = tuple(
        identity.name
        for identity, live in living.owned().items()
        if live.path
        and not live.deleting
        and not live.busy
        and identity not in last.resources
        and identity not in last.kept
        and identity.name not in last.suspects
    )
    for path in {problem.path for problem in last.problems} if kept else ():
        found = seen.get(path)
        if found is not None and found.problem and found.known is None:
            seen[path] = found._replace(claims=(*kept, *found.claims))


def _held_as_rewritten(source: GitSource) -> bool:
    held = find(source.status.conditions, PRUNE_HELD)
    return held is not None and held.reason == REWRITTEN


async def _look(
    commit: Mirror, ledger: Ledger, remote: Remote, scope: Scope, *, missing_is_empty: bool = False
) -> Collected | None:
    try:
        return await Listing(commit, ledger).look(remote, scope)
    except MirrorError as exc:
        if missing_is_empty:
            return None
        raise CommandError(exc.sentence) from exc


def _applied(
    source: GitSource, living: Living, last: Collected | None
) -> Iterable[tuple[Identity, Applied]]:
    """Give what the sync remembers of what it has applied."""
    known = dict(last.resources) if last is not None else {}
    refused = {error.path for error in source.status.errors}
    for identity, live in living.owned().items():
        if live.path:
            said = known.pop(identity, None)
            said = said if said is not None and said.path == live.path else None
            yield identity, _row(identity, said, live.path, live.uid)
    for identity, said in known.items():
        there = living.one(identity)
        if said.path in refused:
            continue
        if there is not None:  # its label was changed, or it was made anew by somebody
            uid = there.uid if there.path == said.path else _GONE
            yield identity, _row(identity, said, said.path, uid)
        else:
            ended = identity.kind == AGENT_POD.kind
            yield identity, replace(_row(identity, said, said.path, _GONE), ended=ended)


def _row(identity: Identity, said: Known | None, path: str, uid: str) -> Applied:
    return Applied(
        identity,
        said.digest if said is not None else "",
        path,
        said.blob if said is not None else "",
        "",
        uid,
        labels=tuple(said.labels) if said is not None else (),
        annotations=tuple(said.annotations) if said is not None else (),
    )
