"""Opens the message store that the settings ask for."""

from dataclasses import dataclass
from pathlib import Path

from controller.store.messages import MessageStore


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the messages are. Exactly one of both is given."""

    path: Path | None = None
    """The file of an SQLite database; made if it is not there, with its folder."""
    url_file: Path | None = None
    """A file that holds the URL of a PostgreSQL database: ``postgresql://user:password@host/name``."""


async def opened(settings: StoreSettings) -> MessageStore:
    """Open the store, and make or migrate its tables.

    Raises:
        OpenError: It cannot be opened; the sentence says why and what to do.
    """
    raise NotImplementedError
