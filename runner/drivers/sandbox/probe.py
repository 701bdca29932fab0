"""Finds out what this machine can isolate with, by trying it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from runner.drivers.sandbox import landlock_exec
from runner.drivers.sandbox.bubblewrap import ENV, SIGNALS
from runner.drivers.sandbox.landlock import SCRIPT
from runner.drivers.sandbox.values import Capabilities

_SECONDS: Final = 10.0


def probe(search_path: str | None = None) -> Capabilities:
    """Return what works here.

    Starts a few processes and blocks for some milliseconds: call it once, in a thread.
    """
    version = landlock_exec.abi()
    offline = version > 0 and _works(_landlock("--offline"))
    if version > 0 and not _works(_landlock()):
        version = 0
    bwrap = shutil.which("bwrap", path=search_path)
    if bwrap is None:
        why = "bubblewrap is not installed"
    elif _works(_bubblewrap(bwrap)):
        return Capabilities(Path(bwrap), version, network_namespace=offline)
    else:
        why = "bubblewrap is installed but does not work here"
    if version == 0:
        why += ", and the kernel has no Landlock"
    elif not offline:
        why += ", and Landlock alone cannot take the network away"
    return Capabilities(None, version, network_namespace=offline, why_not=why)


def _bubblewrap(bwrap: str) -> tuple[str, ...]:
    """Return a command that needs all that a pod needs."""
    return (
        *(ENV, f"--ignore-signal={SIGNALS}", bwrap, "--unshare-user", "--uid", "1000"),
        *("--gid", "1000", "--cap-drop", "ALL", "--unshare-pid", "--unshare-ipc"),
        *("--unshare-uts", "--unshare-net", "--die-with-parent", "--ro-bind", "/", "/"),
        *("--proc", "/proc", "--dev", "/dev", "--"),
        *(ENV, f"--default-signal={SIGNALS}", "true"),
    )


def _landlock(*options: str) -> tuple[str, ...]:
    allowed = ("--read", "/", "--", ENV, "true")
    return (sys.executable, "-I", "-S", str(SCRIPT), *options, *allowed)


def _works(argv: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
