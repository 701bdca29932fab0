"""The file in a pod's home that holds its ticket, byte for byte, for its owner's eyes alone.

It is written before each start: what the agent made of it does not stay.
"""

from pathlib import Path
from typing import Final

from runner.drivers import agents

VARIABLE: Final = "AGENTSMESH_TICKET_FILE"
"""Of the agent's environment: where the file is."""
PATH: Final = ".agentsmesh/ticket.md"
"""Below the pod's home."""


class TicketFileError(agents.InvalidAgentError):
    """The agent has left something in the way of the file."""

    reason = "TicketFileBlocked"


def write(home: Path, content: str) -> None:
    """Write the file below *home*, whole or not at all. Links are not followed.

    Raises:
        TicketFileError: Something else is in its place.
    """
    try:
        agents.write_home(home, [(PATH, content)])
    except agents.InvalidAgentError as exc:
        raise TicketFileError(
            f"The ticket could not be written to {PATH} in the pod's home: something else is in "
            "its place; delete that, or the pod."
        ) from exc
