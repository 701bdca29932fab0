"""What is to be said of a worktree: who else has its branch, what it was made without."""

import asyncio
from pathlib import Path

from runner.drivers.worktree_files import Record, read_record
from runner.drivers.worktree_values import Finding, WorktreeRequest
from runner.git.cache import UPSTREAM
from runner.git.errors import BranchConflictError


async def refuse_branch_in_use(pods: Path, request: WorktreeRequest, url: str) -> None:
    """Refuse a new branch that another pod on this runner has made already.

    Raises:
        BranchConflictError: It has; trying again helps when that pod is gone.
    """
    if not request.branch or request.create is not True:
        return
    other = await asyncio.to_thread(_user_of, pods, request, url)
    if other:
        raise BranchConflictError(
            f"The branch {request.branch!r} is in use by pod {other} on this runner: name "
            "another in repositoryRef.worktree.branch, or wait until that pod is gone.",
            retryable=True,
            reason="BranchInUse",
        )


def _user_of(pods: Path, request: WorktreeRequest, url: str) -> str:
    for path in pods.glob("*/worktree.json"):
        try:
            record = read_record(path)
        except (OSError, ValueError, TypeError):
            continue  # its own pod says what is wrong with it
        if record is None or path.parent.name == request.uid:
            continue
        if (record.url, record.branch, record.named) == (url, request.branch, True):
            return record.pod
    return ""


def findings_of(record: Record, rewritten: str) -> tuple[Finding, ...]:
    """Return what the worktree was made without, and where upstream's branch is if rewritten."""
    if not rewritten:
        return record.findings
    branch = record.base.removeprefix(UPSTREAM)
    text = (
        f"Upstream's {branch} was rewritten: it is at {rewritten[:10]} and does not hold "
        f"{record.commit[:10]} any more, at which this worktree began; rebase its work."
    )
    return (*record.findings, Finding("BaseCurrent", "BaseRewritten", text))


def not_as_asked(request: WorktreeRequest) -> tuple[Finding, ...]:
    """Return what was asked for and is never given: an agent must not find out by itself."""
    if not request.filter:
        return ()
    text = (
        "All contents were fetched, not as worktree.filter of the class says: the agent's git "
        "could not read what is left out. worktree.depth shortens the history."
    )
    return (Finding("WorktreeAsAsked", "FilterNotUsed", text),)
