"""Prompts on their way into terminals: what is remembered of each, and in what words."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

FIRST: Final = "first/"
"""Begins the ids of first prompts, which are the runner's own; no other id may begin so."""


class Outcome(StrEnum):
    """How a delivery stands."""

    ACCEPTED = "accepted"
    SUBMITTED = "submitted"
    FAILED = "failed"


class Stage(StrEnum):
    """How far typing went. Written before it is done: the shim knows whether it was."""

    WAITING = "waiting"
    """Nothing was typed."""
    PASTED = "pasted"
    """The text was, or is about to be, typed."""
    PRESSED = "pressed"
    """The submit key was, or is about to be, typed for the ``attempts``-th time."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One prompt for one pod."""

    id: str
    uid: str
    epoch: int
    text: str = field(repr=False)
    """Empty when the delivery ended: it is not needed any more."""
    state: Outcome = Outcome.ACCEPTED
    stage: Stage = Stage.WAITING
    restart: int = -1
    """The run, within the epoch, that the text was typed into."""
    attempts: int = 0
    """How many times the submit key was typed."""
    pasted_at: int = 0
    """Length of the transcript before the text was typed."""
    offset: int = 0
    """Length of the transcript before the submit key was last typed."""
    reason: str = ""
    message: str = ""
    give_up_ms: int = 0
    """Not begun by then (milliseconds since 1970), it has failed; 0 with first prompts: never."""
    created_ms: int = 0

    @property
    def is_open(self) -> bool:
        """Whether something is to be done about it."""
        return self.state is Outcome.ACCEPTED

    @property
    def is_first(self) -> bool:
        """Whether it is the first prompt of a run: nobody but the runner knows of it."""
        return self.id.startswith(FIRST)


def first_id(uid: str, epoch: int, restart: int) -> str:
    """Return the id of the first prompt of a run."""
    return f"{FIRST}{uid}/{epoch}/{restart}"
