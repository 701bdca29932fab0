"""What a pass has found, for the status and for the next pass. Pure but for its values' makers."""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace

from controller.gitops.apply import Applied, Live, SyncPlan
from controller.gitops.desired import DUPLICATE_ID, Collected, Known
from controller.gitops.facts import Counts, Trouble
from controller.gitops.values import Entry, Identity, Problem
from controller.gitops.writing import Written, row_of
from controller.kernel.redact import redact
from controller.placement.desired import ended
from schemas.agentpod import AgentPod
from schemas.counted import counted
from schemas.names import AGENT_POD, TICKET


def settled(
    collected: Collected,
    drawn: SyncPlan,
    problems: Iterable[Problem],
    applied: Mapping[Identity, Applied],
    live: Mapping[Identity, Live],
) -> list[Applied]:
    """Return what was as its file says before anything was written, and is not remembered so."""
    open_ = {change.known.identity for change in drawn.changes}
    open_ |= {known.identity for known in (*drawn.creates, *drawn.finished, *drawn.left_alone)}
    open_ |= {gone.identity for gone in drawn.waiting}
    bad = {problem.path for problem in problems}
    rows: list[Applied] = []
    for identity, known in collected.resources.items():
        there, before = live.get(identity), applied.get(identity)
        if there is None or identity in open_ or identity in collected.stale or known.path in bad:
            continue
        if not _remembers(before, known, there.uid):
            row = _as_before(row_of(known, collected.commit, there.uid), before)
            rows.append(replace(row, ended=row.ended or _has_ended(there)))
    return rows


def gone_before(
    collected: Collected,
    live: Mapping[Identity, Live],
    entries: Iterable[Entry] | None = None,
) -> list[Applied]:
    """Return, as ended, the AgentPods that are gone and whose files are as in *entries* still.

    None: whatever their files were.
    """
    before = {(entry.path, entry.blob) for entry in entries} if entries is not None else None
    return [
        replace(row_of(known, collected.commit, ""), ended=True)
        for identity, known in collected.resources.items()
        if identity.kind == AGENT_POD.kind
        and identity not in live
        and (before is None or (known.path, known.blob) in before)
    ]


def vanished(
    collected: Collected,
    applied: Iterable[Identity],
    there: Callable[[Identity], Live | None],
    source: str,
) -> list[Identity]:
    """Return what was applied, is not asked for any more, and is gone or not the source's."""
    return [
        identity
        for identity in applied
        if identity not in collected.resources
        and identity not in collected.kept
        and identity.name not in collected.suspects
        and ((found := there(identity)) is None or found.owner != source)
    ]


def counts(collected: Collected, problems: Iterable[Problem], pending: int) -> Counts:
    """Return how many files there are."""
    found = list(problems)
    duplicate = sum(problem.reason == DUPLICATE_ID for problem in found)
    synced = max(0, collected.total - len(found) - pending)
    return Counts(collected.total, synced, len(found) - duplicate, duplicate, pending)


def trouble(done: Written, drawn: SyncPlan) -> Trouble | None:
    """Return why not everything is applied, None if it is."""
    if done.failure is not None:
        said = redact(str(done.failure))
        return Trouble("ApiUnavailable", f"the API server does not do it, tried again: {said}")
    if done.pending:
        return applying(done.pending)
    leaving = (*drawn.cancels, *drawn.waiting)
    if not leaving:
        return None
    first = leaving[0].identity
    text = (
        f"without a file and still there: {counted(len(leaving), 'resource')}, until pods at work "
        f"there have ended: {first.kind} {first.name}"
    )
    return Trouble("WaitingForDeletion", text)


def applying(left: int) -> Trouble:
    """Return that so many files are still to be applied."""
    return Trouble("Applying", f"to be applied yet: {counted(left, 'file')}")


def tickets_of(paths: Container[str], owners: Mapping[Identity, str]) -> set[str]:
    """Return the names of the tickets that were applied from these files."""
    return {
        each.name for each, path in owners.items() if path in paths and each.kind == TICKET.kind
    }


def _has_ended(there: Live) -> bool:
    return isinstance(there.item, AgentPod) and ended(there.item)


def _remembers(row: Applied | None, known: Known, uid: str) -> bool:
    if row is None:
        return False
    return (row.digest, row.path, row.blob, row.uid) == (known.digest, known.path, known.blob, uid)


def _as_before(row: Applied, before: Applied | None) -> Applied:
    """Return the row of the same resource, which has ended if it had."""
    if before is None or (before.digest, before.uid) != (row.digest, row.uid):
        return row
    return replace(row, ended=before.ended)
