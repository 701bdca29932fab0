"""Where the branch of a source is, what opens it, and how asking for it ends.

* MirrorError           -- a reason for conditions and one sentence for people, without secrets
  + UnreachableError    -- the other side could not be asked: all stays as it is, ask again
    + LateError         -- it was not done in the time that there is: ask again after a pause
  + RefusedError        -- only a person can help: url, credentials, limits, its content
  + GoneError           -- a commit that was named is not here (any more): begin the pass anew
"""

from dataclasses import dataclass, field
from typing import Final

from gitaccess.credentials import Credentials

COMMIT_GONE: Final = "CommitGone"
TOO_MANY_FILES: Final = "TooManyFiles"
BRANCH_INVALID: Final = "BranchInvalid"
PATH_INVALID: Final = "PathInvalid"
URL_NOT_ALLOWED: Final = "UrlNotAllowed"
ADDRESS_NOT_ALLOWED: Final = "AddressNotAllowed"
REMOTE_UNREACHABLE: Final = "RemoteUnreachable"
REMOTE_SLOW: Final = "RemoteSlow"
BRANCH_NOT_FOUND: Final = "BranchNotFound"
REPOSITORY_DAMAGED: Final = "RepositoryDamaged"
REPOSITORY_MALFORMED: Final = "RepositoryMalformed"
FETCH_FAILED: Final = "FetchFailed"
PUSH_REFUSED: Final = "PushRefused"
SECRET_NOT_FOUND: Final = "SecretNotFound"  # noqa: S105  a reason
SECRET_INVALID: Final = "SecretInvalid"  # noqa: S105  a reason


class MirrorError(Exception):
    """Git could not do what was asked; the text is the sentence for the user."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        """CamelCase, for conditions."""
        self.sentence = sentence

    @property
    def stalled(self) -> bool:
        """Whether only a person can help."""
        return isinstance(self, RefusedError)


class UnreachableError(MirrorError):
    """The other side could not be asked now."""


class LateError(UnreachableError):
    """It was not fetched in the time that there is, which may have been our work all along."""


class RefusedError(MirrorError):
    """It is the same next time, until a person changes something."""


class GoneError(MirrorError):
    """The commit is not in the mirror, as after it was made anew."""


@dataclass(frozen=True, slots=True)
class Remote:
    """The branch of a source, as of now: make a new one when spec or Secret have changed."""

    url: str
    """As the Repository has it."""
    branch: str
    """Without ``refs/heads/``. Any text: what git does not take is refused."""
    credentials: Credentials | None = field(default=None, repr=False)
    namespace: str = ""
    """Of the organization whose it is: it shares the places for speaking to servers."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """The branch is at our commit now."""

    commit: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The branch is elsewhere than was expected: compute anew on its present commit."""

    message: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The server does not let us, whatever the branch is at: a person must help."""

    reason: str
    """CamelCase, for conditions."""
    message: str
    """One sentence."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The server could not be asked, or broke off: nobody knows whether the push landed."""

    reason: str
    message: str


Outcome = Pushed | Rejected | Declined | Unreachable
"""How a push ends."""
