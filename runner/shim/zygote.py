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
    """Ignore what a terminal or a supervisor sends to whole groups; block nothing."""
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _fork_shim(control: socket.socket, launch_fd: int) -> None:
    """Fork twice, so that the shim is nobody's child and its own session's leader no more."""
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        return
    try:
        control.close()
        os.setsid()
        if os.fork():
            os._exit(0)
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
