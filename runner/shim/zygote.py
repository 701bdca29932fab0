"""Forks shims. Started plainly once, it knows no secret and shares its memory with all of them.

The daemon sends one byte with one descriptor: the fresh shim's launch socket. What is to be
launched goes over that socket, never through here. The zygote ends with the daemon.
"""

import ctypes
import gc
import os
import signal
import socket

from runner.shim import launching
from runner.shim.child import IGNORED

_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def main(control_fd: int) -> None:
    """Fork a shim for each descriptor that arrives; return when the daemon is gone."""
    control = socket.socket(fileno=control_fd)
    _be_quiet()
    _libc.prctl(_PR_SET_NAME, b"mesh-zygote")
    os.umask(0o077)
    gc.collect()
    gc.freeze()  # the shims share these pages as long as nobody writes to them
    gc.disable()
    while True:
        _, fds, _, _ = socket.recv_fds(control, 1, 1, socket.MSG_CMSG_CLOEXEC)
        if not fds:
            return
        _fork_shim(control, fds[0])
        os.close(fds[0])


def _be_quiet() -> None:
    """Take nothing over from whoever started the daemon, and ignore what is not for us."""
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(signum, signal.SIG_IGN if signum in IGNORED else signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the shims
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _fork_shim(control: socket.socket, launch_fd: int) -> None:
    """Fork a shim: in a session of its own, so that no signal to ours reaches it."""
    if os.fork():
        return
    try:
        control.close()
        os.setsid()
        _libc.prctl(_PR_SET_NAME, b"mesh-shim")
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        _silence()
        launching.launch(launch_fd)
    finally:
        os._exit(1)  # never back into the zygote's loop


def _silence() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
