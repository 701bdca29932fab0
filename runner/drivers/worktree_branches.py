"""What is to be said of a worktree: who else has its branch, what it was made without."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runner.drivers.worktree_files import Record, read_record
from runner.drivers.worktree_values import Finding, WorktreeRequest
from runner.git.cache import UPSTREAM
from runner.git.errors import BranchConflictError


class NewBranches:
    """Gives each new branch of a repository to one pod on this runner."""

    def __init__(self, pods: Path) -> None:
        """*pods* is the folder of all pods."""
        self._pods = pods
        self._making: dict[tuple[str, str], str] = {}
        """The pods whose worktrees are being made, by url and branch."""

    @asynccontextmanager
    async def held(self, request: WorktreeRequest, url: str) -> AsyncIterator[None]:
        """Hold the branch that the request wants to be new, until its worktree is recorded.

        Raises:
            BranchConflictError: Another pod has it; trying again helps when that pod is gone.
        """
        if not request.branch or request.create is not True:
            yield
            return
        key = (url, request.branch)
        if other := self._making.get(key):
            raise _in_use(request.branch, other)
        self._making[key] = request.pod
        try:
            if other := await asyncio.to_thread(_user_of, self._pods, request, url):
                raise _in_use(request.branch, other)
            yield
        finally:
            del self._making[key]


def _in_use(branch: str, pod: str) -> BranchConflictError:
    return BranchConflictError(
        f"The branch {branch!r} is in use by pod {pod} on this runner: name "
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
