"""The command line of bubblewrap around an agent.

Signals: a terminal sends ^C to all of its foreground processes, and so to bwrap, whose death
would take the sandbox along. So ``env`` has bwrap ignore those signals, and gives them back to
the agent inside. ``env`` replaces itself: no process stays.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from runner.drivers.sandbox.paths import HARDWARE, SYSTEM
from runner.drivers.sandbox.proc import closed
from runner.drivers.sandbox.seccomp import program
from runner.drivers.sandbox.settings import shared_etc
from runner.drivers.sandbox.values import Network, SandboxRequest
from runner.shim.listening import BLOCK_FD, INFO_FD

SIGNALS: Final = "HUP,INT,QUIT,TERM,USR1,USR2,ALRM"
"""Meant for the agent, never for what stands around it."""

ENV: Final = "/usr/bin/env"

FILTER_FD, ARGUMENTS_FD = 3, 4
"""Where bwrap finds the filter of system calls, and arguments that nobody else may see."""

SETPRIV: Final = "/usr/bin/setpriv"
"""Takes the pod's account on, within the sandbox."""

PRLIMIT: Final = "/usr/bin/prlimit"
"""Limits the number of processes, within the sandbox."""

USER: Final = ("--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL")
"""The runner's own account under another number, in a namespace without rights."""

ACCOUNT: Final = (
    "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID",
    "--cap-add", "CAP_SETPCAP",
)  # fmt: skip
"""Root, who may do nothing but take on the pod's account, and does so before the agent starts."""

_UNSHARE: Final = (
    "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", "pod", "--die-with-parent",
)  # fmt: skip
_INSIDE: Final = 1000
"""The number of a pod's account inside, where it is the runner's outside."""

# No --new-session: the shim has given the agent a session and a terminal of its own, and job
# control needs both. Pushing characters into that terminal reaches nobody but the pod itself.


def wrap(
    bwrap: Path,
    request: SandboxRequest,
    readable: Iterable[Path],
    writable: Iterable[Path],
) -> tuple[str, ...]:
    """Return the command line; *readable* and *writable* are real paths that exist.

    Makes the pod's ``/etc``.
    """
    return (
        ENV,
        f"--ignore-signal={SIGNALS}",
        str(bwrap),
        *(ACCOUNT if request.account else USER),
        *_UNSHARE,
        *descriptors(FILTER_FD, ARGUMENTS_FD),
        *(_network(request) if request.network is Network.NONE else ()),
        *_system(),
        *_etc(request),
        *("--proc", "/proc", *closed(), "--dev", "/dev"),
        *("--bind", str(request.tmp), "/tmp"),  # noqa: S108  the pod's own, inside
        *("--symlink", "../tmp", "/var/tmp"),  # noqa: S108  the pod's own, inside
        *(_ways_to((*readable, *writable, request.cwd)) if request.account else ()),
        *_binds("--ro-bind", readable),
        *_binds("--bind", writable),
        *("--remount-ro", "/"),  # else it would be a place to fill the machine's memory
        *(() if request.account else ("--chdir", str(request.cwd))),
        "--",
        *(taking_on(request.account) if request.account else ()),
        *(counting(request.pids) if request.pids else ()),
        ENV,
        f"--default-signal={SIGNALS}",
        # the folder is the account's, and root without rights may not enter it
        *((f"--chdir={request.cwd}", f"PWD={request.cwd}") if request.account else ()),
        *request.argv,
    )


def taking_on(account: int) -> tuple[str, ...]:
    """Return the beginning of a command line that continues as that account, for good."""
    return (
        SETPRIV,
        *(f"--reuid={account}", f"--regid={account}", "--clear-groups"),
        *("--inh-caps=-all", "--bounding-set=-all"),
    )


def counting(pids: int) -> tuple[str, ...]:
    """Return the beginning of a command line that continues with so many processes at most.

    The namespace's first process is one of them. Nobody inside can raise it.
    """
    return (PRLIMIT, f"--nproc={pids}:{pids}")


def descriptors(calls: int, arguments: int) -> tuple[str, ...]:
    """Return the options that name the descriptors of ``contents``."""
    return (*(("--seccomp", str(calls)) if program() else ()), "--args", str(arguments))


def _network(request: SandboxRequest) -> tuple[str, ...]:
    if not request.mcp:
        return ("--unshare-net",)
    return ("--unshare-net", "--info-fd", str(INFO_FD), "--block-fd", str(BLOCK_FD))


def contents(environment: Mapping[str, str]) -> dict[int, bytes]:
    """Return what the command line's descriptors hold; *environment* is the agent's."""
    words = ["--clearenv"]
    for name, value in environment.items():
        words += ["--setenv", name, value]
    held = {ARGUMENTS_FD: b"".join(os.fsencode(word) + b"\0" for word in words)}
    return {FILTER_FD: program(), **held} if program() else held


def _system() -> Iterator[str]:
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)
    for name in HARDWARE:
        if Path(name).exists():
            yield from ("--ro-bind-try", name, name)


def _etc(request: SandboxRequest) -> Iterator[str]:
    etc, bound = shared_etc(request.settings or request.private / "settings")
    yield from ("--ro-bind", str(etc), "/etc")
    for name in bound:
        yield from ("--ro-bind-try", name, name)
    _write_accounts(request.private, request.home, request.account or _INSIDE)
    for name in ("passwd", "group"):
        yield from ("--ro-bind", str(request.private / name), f"/etc/{name}")


def _binds(option: str, paths: Iterable[Path]) -> Iterator[str]:
    for path in sorted(paths, key=lambda path: len(path.parts)):  # outer before inner
        yield from (option, str(path), str(path))


def _ways_to(paths: Iterable[Path]) -> Iterator[str]:
    """Yield what makes the folders above, open to others: bwrap would make them root's alone."""
    for folder in sorted({path.parent for path in paths}):
        yield from ("--perms", "0755", "--dir", str(folder))


def _write_accounts(private: Path, home: Path, number: int) -> None:
    """Write the accounts that the pod sees: those of the system, and its own."""
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    users = [*_of_the_system("/etc/passwd"), f"agent:x:{number}:{number}:agent:{home}:/bin/sh"]
    groups = [*_of_the_system("/etc/group"), f"agent:x:{number}:"]
    for name, lines in (("passwd", users), ("group", groups)):
        new = private / f"{name}.new"
        new.write_text("\n".join(lines) + "\n", encoding="utf-8")
        new.chmod(0o644)  # read inside by the pod's account
        new.replace(private / name)


def _of_the_system(path: str) -> Iterator[str]:
    """Yield entries that are not people's."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        number = line.split(":")[2:3]
        if number and number[0].isdigit() and (int(number[0]) < 1000 or number[0] == "65534"):
            yield line
