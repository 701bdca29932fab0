"""Reads trees, files and messages of commits from a bare mirror, bounded in time and memory."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from controller.gitops.values import Entry


class TicketCommit(NamedTuple):
    """A commit whose message has trailers of ours."""

    commit: str
    tickets: tuple[str, ...]
    """Values of ``Ticket:``."""
    operations: tuple[str, ...]
    """Values of ``Operation-Id:``."""
    author: str
    at: int
    """Seconds since 1970, as the author says."""
    subject: str
    """Printable, at most 200 characters."""


def batches(entries: Iterable[Entry], most_bytes: int = 16 * 1024 * 1024) -> Iterator[list[Entry]]:
    """Cut *entries* into parts whose files have at most so many bytes (or are one file)."""
    part: list[Entry] = []
    total = 0
    for entry in entries:
        if part and total + entry.size > most_bytes:
            yield part
            part, total = [], 0
        part.append(entry)
        total += entry.size
    if part:
        yield part
