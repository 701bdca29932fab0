"""What can go wrong at the command line, and with which exit code the program then ends.

* CommandError          1  it did not work
  + Usage               2  the command line is wrong
  + NotFound            3  there is no such pod, organization or running mesh
  + NotAllowed          4  the credential is unknown, or may not do this
  + Unreachable         5  the API server, the controller or the runner does not answer

The text is one sentence for the user: what happened, to what, and what to do.
"""

from typing import ClassVar


class CommandError(Exception):
    """The command did not do what was asked."""

    exit_code: ClassVar[int] = 1


class Usage(CommandError):  # noqa: N818 - named after the exit code
    """The command line is wrong."""

    exit_code: ClassVar[int] = 2


class NotFound(CommandError):  # noqa: N818 - named after the exit code
    """What was named does not exist."""

    exit_code: ClassVar[int] = 3


class NotAllowed(CommandError):  # noqa: N818 - named after the exit code
    """The credential is unknown, or may not do this."""

    exit_code: ClassVar[int] = 4


class Unreachable(CommandError):  # noqa: N818 - named after the exit code
    """Somebody who is needed does not answer."""

    exit_code: ClassVar[int] = 5
