"""How many descriptors the daemon may have: many, and its pods no more than it was started with.

Each pod costs some: its MCP socket with the connections of its agent, its shim, its transcript.
Source: getrlimit(2), prlimit(2).
"""

import resource
from typing import Final

_MOST: Final = 65_536

_usual = resource.getrlimit(resource.RLIMIT_NOFILE)
"""What we were started with."""


def allow_many() -> None:
    """Raise our soft limit as far as it goes, at most to 65,536."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def allow_usual(pid: int) -> None:
    """Give a child process back what we were started with, for itself and its children.

    Programs that use select(2) break beyond 1,024 and rely on the usual limit.
    """
    resource.prlimit(pid, resource.RLIMIT_NOFILE, _usual)
