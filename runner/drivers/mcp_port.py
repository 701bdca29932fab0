"""Listens for the MCP server of a pod that has the machine's network."""

import errno
import itertools
from collections.abc import Iterator
from typing import Final

from runner.drivers.errors import DriverError
from runner.drivers.terminal_values import Listener
from runner.shim.listening import bound

ADDRESS: Final = "127.0.0.1"

FIRST_PORT: Final = 19000
"""The first port that is tried on a runner of which nothing else was said."""

_LAST_PORT: Final = 2**16 - 1
_TAKEN: Final = frozenset({errno.EADDRINUSE, errno.EACCES})


class NoPortError(DriverError):
    """The pod's MCP server cannot listen."""

    reason = "StartFailed"


def listen(first: int = FIRST_PORT, kept: int = 0) -> Listener:
    """Return a socket that listens: at *kept* if that is free, else at *first* or the next free.

    *first* 0: any free port. Nothing is looked at beforehand, so nobody can come in between.

    Raises:
        NoPortError: There is none.
    """
    for port in _ports(first, kept):
        try:
            return Listener(bound(ADDRESS, port))
        except OSError as exc:
            if exc.errno not in _TAKEN:
                text = f"The pod's MCP server cannot listen on {ADDRESS}: {exc.strerror or exc}."
                raise NoPortError(text, retryable=True) from exc
    raise NoPortError(f"No port is free on {ADDRESS} for the pod's MCP server.", retryable=True)


def _ports(first: int, kept: int) -> Iterator[int]:
    if kept:
        yield kept
    if first:
        yield from itertools.filterfalse(kept.__eq__, range(first, _LAST_PORT + 1))
    yield 0
