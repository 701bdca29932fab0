"""The command line of our own Landlock wrapper around an agent: for machines without bubblewrap.

Weaker than bubblewrap, and the status says so: other processes are listed in ``/proc`` (with
command lines, not environments), modes and times of files of the same account can be changed,
``/tmp`` is closed rather than private, and an agent can make neither terminals nor unix sockets.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from runner.drivers.sandbox.paths import ACCOUNTS, HARDWARE, SETTINGS, SYSTEM
from runner.drivers.sandbox.seccomp import program
from runner.drivers.sandbox.values import Network, SandboxRequest
from runner.shim.listening import HANDOVER_FD, INSIDE_PORT

SCRIPT: Final = Path(__file__).with_name("landlock_exec.py")

DEVICES: Final = (
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
)  # fmt: skip
"""Not ``/dev/pts``: the terminals of other pods are there."""

FILTER_FD, ENVIRONMENT_FD = 3, 4
"""Where the wrapper finds the filter of system calls, and the agent's environment."""

SCOPES_ABI: Final = 6
"""From here on it keeps signals and abstract unix sockets within the pod."""

NOTE: Final = (
    "Landlock is in force instead of bubblewrap: files and processes can be listed, the modes of "
    "the account's other files can be changed, and /tmp and unix sockets are closed."
)

OLD_NOTE: Final = "On this kernel (older than 6.12) it can signal the account's processes, too."


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
        *descriptors(FILTER_FD, ENVIRONMENT_FD),
        *(_network(request) if request.network is Network.NONE else ()),
        *_each("--read", reads),
        *_each("--write", (str(request.tmp), *map(str, writable))),
        *_each("--device", DEVICES),
        "--",
        *request.argv,
    )


def descriptors(calls: int, environment: int) -> tuple[str, ...]:
    """Return the options that name the descriptors of ``contents``."""
    named = ("--filter", str(calls)) if program(namespaces=False) else ()
    return (*named, "--environment", str(environment))


def _network(request: SandboxRequest) -> tuple[str, ...]:
    if not request.mcp:
        return ("--offline",)
    return ("--offline", "--listen", str(INSIDE_PORT), "--handover", str(HANDOVER_FD))


def note(abi: int) -> str:
    """Return what it does not do, for the status."""
    return NOTE if abi >= SCOPES_ABI else f"{NOTE} {OLD_NOTE}"


def contents(environment: Mapping[str, str]) -> dict[int, bytes]:
    """Return what the command line's descriptors hold; *environment* is the agent's."""
    lines = (os.fsencode(f"{name}={value}") + b"\0" for name, value in environment.items())
    held = {ENVIRONMENT_FD: b"".join(lines)}
    calls = program(namespaces=False)
    return {FILTER_FD: calls, **held} if calls else held


def _each(option: str, paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        yield option
        yield path
