"""Starts what was prepared as a shim does; standard library only, and ``runner``."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from runner.drivers.sandbox.values import Prepared
from runner.shim import scope


@contextmanager
def command(prepared: Prepared) -> Iterator[tuple[list[str], list[int]]]:
    """Give a command line that moves the descriptors, to be inherited, where they belong."""
    argv = list(prepared.argv)
    if prepared.scoped:
        argv = [sys.executable, "-I", "-S", scope.__file__, *argv]
    with ExitStack() as stack:
        fds, moves = [], ""
        for number, content in prepared.contents.items():
            low = os.memfd_create("contents", 0)
            fds.append(fcntl.fcntl(low, fcntl.F_DUPFD, 100))  # out of the way of the new numbers
            os.close(low)
            stack.callback(os.close, fds[-1])
            os.write(fds[-1], content)
            os.lseek(fds[-1], 0, os.SEEK_SET)
            moves += f" {number}<&{fds[-1]} {fds[-1]}<&-"
        yield ["/bin/bash", "-c", f'exec "$@" {moves}', "bash", *argv], fds


@contextmanager
def started(prepared: Prepared, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """Start it in a session of its own."""
    how = {"env": dict(prepared.environment), "text": True, "start_new_session": True, **how}
    with command(prepared) as (argv, fds):
        process = subprocess.Popen(argv, pass_fds=fds, **how)
    with process:
        yield process
