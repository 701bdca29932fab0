"""Who may call what: one line per RPC. A test makes forgetting one impossible."""

from enum import StrEnum
from typing import Final


class Principal(StrEnum):
    """How a caller must have proved who it is."""

    ANYONE = "anyone"
    """Not at all: what it gets is public."""
    TOKEN = "token"  # noqa: S105 - a word
    """By the join token inside the request."""
    RUNNER = "runner"
    """By a client certificate of ours that is in force."""
    USER = "user"
    """By a bearer token that the Kubernetes API knows."""


ALLOWED: Final[dict[str, Principal]] = {
    "/meshwire.v1.Enrollment/GetBundle": Principal.ANYONE,
    "/meshwire.v1.Enrollment/Enroll": Principal.TOKEN,
    "/meshwire.v1.RunnerControl/Renew": Principal.RUNNER,
    "/meshwire.v1.RunnerControl/Connect": Principal.RUNNER,
    "/meshwire.v1.RunnerControl/FetchSecrets": Principal.RUNNER,
    "/meshwire.v1.RunnerTerminal/Serve": Principal.RUNNER,
    "/meshwire.v1.RunnerTools/Call": Principal.RUNNER,
    "/meshwire.v1.RunnerTools/Serve": Principal.RUNNER,
    "/meshwire.v1.Attach/Attach": Principal.USER,
    "/meshwire.v1.Prompts/Submit": Principal.USER,
    "/meshwire.v1.Ports/Forward": Principal.USER,
    "/meshwire.v1.Worktrees/Restore": Principal.USER,
    "/meshwire.v1.Tickets/Create": Principal.USER,
    "/meshwire.v1.Tickets/Update": Principal.USER,
    "/meshwire.v1.Channels/Send": Principal.USER,
    "/meshwire.v1.Channels/Read": Principal.USER,
}
"""What the caller may see is checked again where the object is known."""
