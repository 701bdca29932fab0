"""All that a Channel's plan and status are computed from."""

from dataclasses import dataclass

from schemas.channel import Channel


@dataclass(frozen=True, slots=True)
class ChannelSnapshot:
    """The channel and its numbers."""

    subject: Channel
    messages: int = 0
    last_sequence: int = 0
    last_message_at: float | None = None
    """Seconds since 1970; None: nobody has written yet."""
    members: int = 0
    missing: tuple[str, ...] = ()
    """What it refers to and is not there."""
    title_of: str = ""
    """An older channel that has the same name for people; empty = none has."""
