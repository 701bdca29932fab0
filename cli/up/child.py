"""Become another program that ends when its parent does.

``python -I -S child.py PARENT-PID PROGRAM ARGUMENT...``: run as a file by a bare interpreter, so
that it costs a few milliseconds; it imports nothing of ours. The kernel sends SIGTERM when the
parent ends, also by kill -9. Source: prctl(2), PR_SET_PDEATHSIG: kept over exec, not inherited by
what the program forks, so agents are not touched.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it ended before the line above
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
