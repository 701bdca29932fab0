"""How a driver says that it could not do what was asked.

* DriverError                  reason, one sentence, whether trying again can help
  + GitError                   (runner.git.errors)
    - CloneFailedError         CloneFailed, or what ``gitaccess.explain`` knows better:
                               AuthenticationFailed, RemoteUnreachable, DiskFull, ...
    - RefNotFoundError         RefNotFound
    - BranchConflictError      BranchConflict, BranchInUse
    - InvalidBranchError       InvalidBranch
    - NotAllowedError          NotAllowed: a URL or path that this runner does not open
    - CheckoutFailedError      CheckoutFailed: the files could not be written
    - WorktreeLostError        WorktreeLost: the agent removed or broke its own worktree
    - SaveFailedError          SaveFailed: work could not be kept; nothing was removed
  + SandboxRefusedError        SandboxRefused  (runner.drivers.sandbox.values)
  + ExecutableNotFoundError    ExecutableNotFound  (runner.drivers.agents)
  + NoPortError                StartFailed  (runner.drivers.mcp_port)
  + InvalidAgentError          InvalidEnvironment, InvalidArgument, InvalidHomeFile

Messages are for people: one sentence, with the field and what to do, without secrets.
"""


class DriverError(Exception):
    """A driver could not do what was asked."""

    reason: str = "DriverFailed"
    """CamelCase word for conditions and events; an error may know a better one than its class."""

    def __init__(self, message: str, *, retryable: bool = False, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.retryable = retryable
        if reason:
            self.reason = reason
