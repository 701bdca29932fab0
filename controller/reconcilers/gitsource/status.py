"""The status of a GitSource. Pure."""

from typing import Final

from controller.gitops.facts import UNAVAILABLE, Trouble
from controller.kernel.clock import stamp
from controller.kernel.reconciler import Finding, ReconcileError, Report, Tell
from controller.reconcilers.conditions import Conditions
from controller.reconcilers.gitsource.checks import (
    first,
    held,
    invalid,
    leaving,
    suspended,
    uncommitted,
    unfetched,
    unsynced,
)
from controller.reconcilers.gitsource.snapshot import GitSourceSnapshot
from schemas.conditions import FALSE, READY, RECONCILING, STALLED, TRUE, find, merge
from schemas.counted import counted
from schemas.gitsource import (
    FileCounts,
    FileError,
    GitSource,
    GitSourceStatus,
    Inventory,
    WriteBackStatus,
)
from schemas.names import GIT_SOURCE

FETCHED: Final = "Fetched"
"""Normal-true. The branch and its folder could be read when they were last looked at."""
FILES_VALID: Final = "FilesValid"
"""Normal-true. Every file can be used."""
SYNCED: Final = "Synced"
"""Normal-true. What can be used of the commit is applied."""
WRITE_BACK_HEALTHY: Final = "WriteBackHealthy"
"""Normal-true, absent without write-back. Changes can be pushed."""
WEBHOOK_READY: Final = "WebhookReady"
"""Normal-true, absent without webhook. Calls can be signed; Ready does not ask for it."""
PRUNE_HELD: Final = "PruneHeld"
"""Abnormal-true, absent otherwise. Deletions wait for a person's word."""
REWRITTEN: Final = "Rewritten"
"""Its reason where the branch does not follow what was applied."""

_MESSAGE: Final = 512
_SECRET_SECONDS: Final = 30.0
"""So often a webhook's Secret is looked for, which nothing else tells of but the calls."""


def report(snapshot: GitSourceSnapshot, error: ReconcileError | None, now: float) -> Report:
    """Return what the last pass has found and what is wrong with it."""
    del error  # nothing is done that could fail
    item, facts = snapshot.subject, snapshot.facts
    if item.metadata.deleting:
        return _leaving(snapshot, now)
    said = _conditions(snapshot, now)
    counts = facts.counts
    status = GitSourceStatus(
        observed_generation=item.metadata.generation,
        last_handled_request_at=facts.request,
        conditions=merge(item.status.conditions, said.items),
        observed_commit=facts.observed_commit,
        applied_commit=facts.applied_commit,
        last_sync_at=stamp(facts.last_sync_at) if facts.last_sync_at else None,
        files=None
        if counts is None
        else FileCounts(
            total=counts.total,
            synced=counts.synced,
            invalid=counts.invalid,
            duplicate=counts.duplicate,
            pending=counts.pending,
        ),
        inventory=Inventory(count=facts.resources, digest=facts.digest) if facts.digest else None,
        errors=tuple(
            FileError(
                path=one.path[:1024],
                line=one.line,
                reason=one.reason,
                message=one.message[:_MESSAGE],
            )
            for one in facts.problems
        ),
        write_back=_write_back(snapshot),
    )
    asked = facts.request != item.status.last_handled_request_at  # somebody waits for the answer
    hold = 0.0 if asked else snapshot.hold_seconds
    again = _SECRET_SECONDS if item.spec.webhook is not None else None
    return Report(status, hold, again, _tells(item, status))


def _leaving(snapshot: GitSourceSnapshot, now: float) -> Report:
    """Return the status as it was, but that the source goes, and what for it is still there."""
    item, said = snapshot.subject, Conditions.of(snapshot.subject, now)
    kept = {READY, STALLED, RECONCILING}
    for condition in item.status.conditions:
        if condition.type not in kept:
            said.items.append(condition)
    said.ready(leaving(snapshot), "")
    conditions = merge(item.status.conditions, said.items)
    known = {"conditions": conditions, "observed_generation": item.metadata.generation}
    return Report(item.status.model_copy(update=known))


def _write_back(snapshot: GitSourceSnapshot) -> WriteBackStatus | None:
    writes = snapshot.writes
    if not snapshot.subject.spec.write_back.enabled and not writes.pending:
        return None
    before, at = snapshot.subject.status.write_back or WriteBackStatus(), writes.last_push_at
    return WriteBackStatus(
        pending=writes.pending,
        last_commit=writes.last_commit or before.last_commit,  # known since the start alone
        last_push_at=stamp(at) if at is not None else before.last_push_at,
    )


def _conditions(snapshot: GitSourceSnapshot, now: float) -> Conditions:
    item, facts = snapshot.subject, snapshot.facts
    said = Conditions.of(item, now)
    _say(said, FETCHED, unfetched(snapshot), _short(facts.observed_commit), "not looked at yet")
    if facts.counts is not None:
        _say(said, FILES_VALID, invalid(snapshot), counted(facts.counts.total, "file"), "")
    late = suspended(snapshot) or unsynced(snapshot)
    _say(said, SYNCED, late, _short(facts.applied_commit), "no commit is applied yet")
    if item.spec.write_back.enabled:
        wrong = uncommitted(snapshot)
        if wrong is None:
            said.true(WRITE_BACK_HEALTHY, "Healthy", "")
        else:
            said.false(WRITE_BACK_HEALTHY, wrong.reason, wrong.message)
    if item.spec.webhook is not None:
        _webhook(said, snapshot.webhook, item.spec.webhook.secret_ref.name)
    if (stop := held(snapshot)) is not None:
        rewritten = facts.held is not None and facts.held.rewritten
        said.true(PRUNE_HELD, REWRITTEN if rewritten else "TooMany", stop.message)
    many = counted(facts.resources, "resource")
    said.ready(first(snapshot), f"{many} as of {_short(facts.applied_commit)}")
    return said


def _webhook(said: Conditions, wrong: Trouble | None, secret: str) -> None:
    if wrong is None:
        said.true(WEBHOOK_READY, "SecretFound", f"calls are signed with what Secret {secret} has")
    elif wrong.reason == UNAVAILABLE:
        said.unknown(WEBHOOK_READY, wrong.reason, wrong.message)
    else:
        text = f"{wrong.message}: calls are refused, and the interval alone finds what is pushed"
        said.false(WEBHOOK_READY, wrong.reason, text)


def _say(said: Conditions, kind: str, wrong: Finding | None, good: str, unknown: str) -> None:
    if wrong is not None:
        said.false(kind, wrong.reason, wrong.message)
    elif good:
        said.true(kind, {FILES_VALID: "Valid"}.get(kind, kind), good)
    else:
        said.unknown(kind, "Pending", unknown)


def _short(commit: str | None) -> str:
    return f"commit {commit[:12]}" if commit else ""


def _tells(item: GitSource, status: GitSourceStatus) -> tuple[Tell, ...]:
    """Return the Events about what is new."""
    told: list[Tell] = []
    if status.applied_commit and status.applied_commit != item.status.applied_commit:
        text = f"applied {_short(status.applied_commit)}"
        if status.files is not None and status.files.invalid + status.files.duplicate:
            many = status.files.invalid + status.files.duplicate
            text += f" but for {counted(many, 'file')}"
        told.append(_tell(item, "Synced", text, warning=False))
    for kind, bad in (
        (FETCHED, FALSE),
        (FILES_VALID, FALSE),
        (WEBHOOK_READY, FALSE),
        (PRUNE_HELD, TRUE),
    ):
        now, before = find(status.conditions, kind), find(item.status.conditions, kind)
        if now is None or now.status != bad:
            continue
        if before is None or (before.status, before.message) != (now.status, now.message):
            reason = "PruneHeld" if kind == PRUNE_HELD else now.reason
            told.append(_tell(item, reason, now.message, warning=True))
    return tuple(told)


def _tell(item: GitSource, reason: str, message: str, *, warning: bool) -> Tell:
    meta = item.metadata
    return Tell(GIT_SOURCE, meta.namespace, meta.name, meta.uid, warning, reason, message)
