"""The gate of ``agentsmesh reconcile source --commit``: whether a commit has been applied.

A source applies what its branch is at when it looks. A commit that another one followed at once is
applied with that one, and ``status.appliedCommit`` never names it: what names it as its past does.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.channel_text import printable
from cli.clone import Clone
from cli.errors import NotFound, Usage

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Gate:
    """A commit that is waited for."""

    commit: str
    clone: Clone | None
    """Where its future is known; None: nowhere."""

    def is_open(self, applied: str) -> bool:
        """Whether the commit is applied where *applied* is."""
        if applied == self.commit:
            return True
        return bool(applied and self.clone is not None and self.clone.holds(self.commit, applied))

    def is_lost(self, applied: str) -> bool:
        """Whether nobody can say here where *applied* stands: the clone does not have it."""
        clone = self.clone
        return bool(applied and clone is not None and clone.holds(self.commit, applied) is None)

    def why_not(self, applied: str) -> str:
        """Return why it is not known to be applied, in one clause."""
        if not applied:
            return "no commit is applied yet"
        if self.clone is None:
            return (
                f"{applied} is; whether that comes after it is asked of git, in a clone that -C "
                "names"
            )
        if self.is_lost(applied):
            return self.lost(applied)
        return f"{applied} is, which does not come after it: push it to the branch of the source"

    def lost(self, applied: str) -> str:
        """Return what to do about a commit that the clone does not have, in one clause."""
        where = f" -C {shlex.quote(str(self.clone.folder))}" if self.clone is not None else ""
        if self.clone is not None and not self.clone.commit_of(f"{self.commit}^{{commit}}"):
            return (
                f"{applied} is applied, and the clone does not know the commit that was asked for: "
                f"check its id, or `git{where} fetch`, and ask again"
            )
        return (
            f"{applied} is applied, and the clone does not know it, nor whether it comes after: "
            f"`git{where} fetch`, and ask again"
        )


def gate(commit: str, folder: str | None) -> Gate:
    """Return the gate for a commit, by its id or by a name that the clone in *folder* knows.

    Without a *folder* the working directory may be a clone, or not.

    Raises:
        Usage: It is no commit, or the folder is no clone.
    """
    try:
        clone = Clone(Path(folder or "."))
    except Usage:
        if folder is not None:
            raise
        clone = None
    if _COMMIT.fullmatch(commit):
        return Gate(commit, clone)
    if commit.startswith("-") or not commit:
        raise Usage(f"--commit: {printable(repr(commit))} is no commit")
    if clone is None:
        raise Usage("--commit: give the whole id of the commit, or -C and a clone that knows it")
    found = clone.commit_of(f"{commit}^{{commit}}")
    if not found:
        raise NotFound(f"--commit: the clone has no commit {printable(repr(commit))}")
    return Gate(found, clone)
