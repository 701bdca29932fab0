"""What a write gets when it is its turn in a transaction."""

from dataclasses import dataclass

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Turn:
    """One try of one write."""

    connection: Connection
    """In a transaction that is committed after this, maybe with others' writes."""
    now: int
    """Microseconds since 1970. Of another try, another time."""
    again: bool
    """An earlier try may have been committed: look before writing."""
