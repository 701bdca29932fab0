"""Finds out what this machine can isolate with, by trying it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from runner.drivers.sandbox import bubblewrap, landlock, landlock_exec
from runner.drivers.sandbox.accounts import DEFAULT
from runner.drivers.sandbox.bubblewrap import ENV, SIGNALS
from runner.drivers.sandbox.values import OUTSIDE, Capabilities
from runner.shim import scope

_SECONDS: Final = 60.0
"""A busy machine must not pass for one that cannot isolate."""
_SOME: Final = 64
"""Processes: more than a probe has, less than a user has who works here."""

_COUNTING_KERNEL: Final = (5, 14)
"""Since then each user namespace counts its own processes (RLIMIT_NPROC). Root's never count."""


def probe(search_path: str | None = None, account: int = DEFAULT.first) -> Capabilities:
    """Return what works here; *account* is one that pods shall have where the runner is root.

    Starts a few processes and blocks for some milliseconds: call it once, in a thread.
    """
    version = landlock_exec.abi()
    offline = version > 0 and _landlocks("--offline")
    if version > 0 and not _landlocks():
        version = 0
    root = os.geteuid() == 0
    bwrap = shutil.which("bwrap", path=search_path)
    if bwrap is None:
        why = "bubblewrap is not installed"
    elif _wraps(bwrap):
        scopes = _wraps(bwrap, sys.executable, "-I", "-S", str(Path(scope.__file__)))
        return Capabilities(
            Path(bwrap),
            version,
            network_namespace=offline,
            scopes=scopes,
            root=root,
            accounts=root and _wraps(bwrap, account=account),
            counts=not root and _counts_by_namespace() and _wraps(bwrap, pids=_SOME),
        )
    else:
        why = "bubblewrap is installed but does not work here"
    if version == 0:
        why += ", and the kernel has no Landlock"
    elif not offline:
        why += ", and Landlock alone cannot take the network away"
    return Capabilities(None, version, network_namespace=offline, root=root, why_not=why)


def _counts_by_namespace() -> bool:
    version = re.match(r"([0-9]+)\.([0-9]+)", os.uname().release)
    return version is not None and (int(version[1]), int(version[2])) >= _COUNTING_KERNEL


def _wraps(bwrap: str, *before: str, account: int = 0, pids: int = 0) -> bool:
    """Tell whether bubblewrap gives all that a pod needs."""
    user = bubblewrap.ACCOUNT if account else bubblewrap.USER
    with _held(bubblewrap.contents({})) as fds:
        return _works(
            *(*before, ENV, f"--ignore-signal={SIGNALS}", bwrap, *user, "--unshare-pid"),
            *("--unshare-ipc", "--unshare-uts", "--unshare-net", "--die-with-parent"),
            *bubblewrap.descriptors(fds[bubblewrap.FILTER_FD], fds[bubblewrap.ARGUMENTS_FD]),
            *("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"),
            *(("--perms", "0755", "--dir", "/tmp", "--") if account else ("--",)),  # noqa: S108  is there
            *(bubblewrap.taking_on(account) if account else ()),
            *(bubblewrap.counting(pids) if pids else ()),
            *(ENV, f"--default-signal={SIGNALS}", "true"),
            fds=fds.values(),
        )


def _landlocks(*options: str) -> bool:
    with _held(landlock.contents({})) as fds:
        return _works(
            *(sys.executable, "-I", "-S", str(landlock.SCRIPT), *options),
            *landlock.descriptors(fds[landlock.FILTER_FD], fds[landlock.ENVIRONMENT_FD]),
            *("--read", "/", "--", ENV, "true"),
            fds=fds.values(),
        )


@contextmanager
def _held(contents: Mapping[int, bytes]) -> Iterator[dict[int, int]]:
    """Give descriptors of our own that hold the contents; -1 for what there is not."""
    with ExitStack() as stack:
        fds = defaultdict(lambda: -1)
        for number, content in contents.items():
            file = stack.enter_context(tempfile.TemporaryFile())
            file.write(content)
            file.seek(0)
            fds[number] = file.fileno()
        yield fds


def _works(*argv: str, fds: Iterable[int]) -> bool:
    try:
        with subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(OUTSIDE),
            pass_fds=tuple(fds),
            start_new_session=True,
        ) as process:
            try:
                return process.wait(_SECONDS) == 0
            except subprocess.TimeoutExpired:
                return False
            finally:
                _end_all(process)
    except OSError:
        return False


def _end_all(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of it: of two processes of bubblewrap one may wait for the other forever."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
