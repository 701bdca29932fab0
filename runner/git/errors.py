"""What can go wrong with a repository, by the reaction that helps.

The tree is drawn in ``runner.drivers.errors``.
"""

from runner.drivers.errors import DriverError


class GitError(DriverError):
    """Git, or what it was asked for, failed."""

    reason = "GitFailed"


class CloneFailedError(GitError):
    """The repository could not be fetched and nothing of it is here already."""

    reason = "CloneFailed"


class RefNotFoundError(GitError):
    """The repository has no such branch, tag or commit."""

    reason = "RefNotFound"


class BranchConflictError(GitError):
    """The branch that was to be new exists already."""

    reason = "BranchConflict"


class InvalidBranchError(GitError):
    """The name is not one that git takes for a branch."""

    reason = "InvalidBranch"


class NotAllowedError(GitError):
    """This runner does not open such a URL or folder."""

    reason = "NotAllowed"


class CheckoutFailedError(GitError):
    """The files could not be written."""

    reason = "CheckoutFailed"


class WorktreeLostError(GitError):
    """What the agent left in place of its worktree or repository cannot be used."""

    reason = "WorktreeLost"


class SaveFailedError(GitError):
    """Work could not be kept under a ref. Nothing was removed."""

    reason = "SaveFailed"
