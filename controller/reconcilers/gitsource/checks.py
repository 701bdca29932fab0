"""What keeps a GitSource from being ready, the most telling first. Pure."""

from collections.abc import Callable
from typing import Final

from controller.kernel.reconciler import Finding
from controller.reconcilers.gitsource.snapshot import GitSourceSnapshot
from schemas.counted import counted
from schemas.names import ANNOTATION_ALLOW_PRUNE

Check = Callable[[GitSourceSnapshot], Finding | None]

_NAMED: Final = 10
_FIRST: Final = 3


def suspended(snapshot: GitSourceSnapshot) -> Finding | None:
    """A person wants it left as it is."""
    if not snapshot.subject.spec.suspend:
        return None
    text = "spec.suspend is true: nothing is read or written until it is false"
    return Finding("Suspended", text, stalled=True)


def unseen(snapshot: GitSourceSnapshot) -> Finding | None:
    """It was not looked at since it was made or changed."""
    if snapshot.facts.generation == snapshot.subject.metadata.generation:
        return None
    return Finding("Pending", "its repository has not been looked at since it was changed")


def unfetched(snapshot: GitSourceSnapshot) -> Finding | None:
    """The branch or its folder cannot be read."""
    trouble = snapshot.facts.fetched
    return Finding(trouble.reason, trouble.message, trouble.stalled) if trouble else None


def unsynced(snapshot: GitSourceSnapshot) -> Finding | None:
    """Something of the commit is not applied yet."""
    trouble = snapshot.facts.syncing
    if trouble is not None:
        return Finding(trouble.reason, trouble.message, trouble.stalled)
    if snapshot.facts.applied_commit is None:
        return Finding("Applying", "no commit is applied yet")
    return None


def held(snapshot: GitSourceSnapshot) -> Finding | None:
    """More would be deleted than is done without asking."""
    stop = snapshot.facts.held
    if stop is None:
        return None
    names = [f"{one.identity.kind} {one.identity.name}" for one in stop.gone[:_NAMED]]
    more = f" and {len(stop.gone) - _NAMED} more" if len(stop.gone) > _NAMED else ""
    why = f"more than the {stop.limit} that are deleted without asking"
    if stop.rewritten:
        why = "and does not follow the one that was applied: a push by force, or another branch"
    many = counted(len(stop.gone), "resource")
    meta = snapshot.subject.metadata
    other = meta.annotations.get(ANNOTATION_ALLOW_PRUNE, stop.commit)
    if other != stop.commit:
        why += f"; {ANNOTATION_ALLOW_PRUNE} is {other[:12]!r}, and allows only what was gone there"
    text = (
        f"commit {stop.commit[:12]} has no files for {many}, {why}; nothing is deleted. "
        f"To allow it: kubectl -n {meta.namespace} annotate gitsource {meta.name} --overwrite "
        f"{ANNOTATION_ALLOW_PRUNE}={stop.commit}. They are: {', '.join(names)}{more}"
    )
    return Finding("PruneHeld", text, stalled=True)


def invalid(snapshot: GitSourceSnapshot) -> Finding | None:
    """Some files cannot be used."""
    problems, counts = snapshot.facts.problems, snapshot.facts.counts
    count = counts.invalid + counts.duplicate if counts is not None else len(problems)
    if count == 0:
        return None
    said = [
        f"{one.path}{f':{one.line}' if one.line else ''}: {one.reason}: {one.message}"
        for one in problems[:_FIRST]
    ]
    more = f" (and {count - _FIRST} more)" if count > _FIRST else ""
    many = f"{counted(count, 'file')} cannot be used"
    return Finding("InvalidFiles", f"{many}: {'; '.join(said)}{more}", stalled=True)


def uncommitted(snapshot: GitSourceSnapshot) -> Finding | None:
    """Changes cannot be pushed."""
    trouble = snapshot.writes.trouble
    if trouble is None or not snapshot.subject.spec.write_back.enabled:
        return None
    return Finding(trouble.reason, trouble.message)


def leaving(snapshot: GitSourceSnapshot) -> Finding:
    """It is deleted as soon as what it made is let go."""
    left = [f"{one.kind} {one.name}" for one in snapshot.facts.leaving]
    if not left:
        return Finding("Deleting", "what it made is let go, or deleted with it")
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    are = "is" if len(left) == 1 else "are"
    text = f"it goes when what is deleted with it has gone; there {are} still "
    return Finding("Deleting", f"{text}{', '.join(left[:_NAMED])}{more}")


READINESS: tuple[Check, ...] = (
    suspended,
    unfetched,
    unseen,  # what is wrong with the repository says more
    held,
    unsynced,
    invalid,
    uncommitted,
)


def first(snapshot: GitSourceSnapshot) -> Finding | None:
    """Return the first thing that is wrong, None if nothing is."""
    return next((found for check in READINESS if (found := check(snapshot)) is not None), None)
