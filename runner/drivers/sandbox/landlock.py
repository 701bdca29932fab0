"""The command line of our own Landlock wrapper around an agent: for machines without bubblewrap.

Weaker than bubblewrap, and the status says so: other processes are listed in ``/proc`` (with
command lines, not environments), the modes of files of the same account can be changed, ``/tmp``
is closed rather than private, and an agent cannot make terminals of its own.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from runner.drivers.sandbox.paths import ACCOUNTS, HARDWARE, SETTINGS, SYSTEM
from runner.drivers.sandbox.values import Network, SandboxRequest

SCRIPT: Final = Path(__file__).with_name("landlock_exec.py")

DEVICES: Final = (
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
)  # fmt: skip
"""Not ``/dev/pts``: the terminals of other pods are there."""

NOTE: Final = (
    "Landlock is in force instead of bubblewrap: other processes can be listed, and /tmp is closed."
)


def wrap(
    request: SandboxRequest, readable: Iterable[Path], writable: Iterable[Path]
) -> tuple[str, ...]:
    """Return the command line; *readable* and *writable* are real paths."""
    reads = (*SYSTEM, *SETTINGS, *ACCOUNTS, *HARDWARE, "/proc", *map(str, readable))
    return (
        sys.executable,
        "-I",
        "-S",
        str(SCRIPT),
        *(("--offline",) if request.network is Network.NONE else ()),
        *_each("--read", reads),
        *_each("--write", (str(request.tmp), *map(str, writable))),
        *_each("--device", DEVICES),
        "--",
        *request.argv,
    )


def _each(option: str, paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        yield option
        yield path
