"""Connects to a port inside a network: run as a script, with ``python -I -S``, standard library.

    dial_exec.py NETWORK END PORT

It enters the network of the descriptor NETWORK, which is for good, connects to PORT on the
loopback there, and sends the socket over END, a unix socket; one byte, the number of the error,
where it cannot. To enter is root's right, or that of the owner of the network, which it becomes
where it has to: no runner ever does that itself.

Source: setns(2), ioctl_ns(2).
"""

import ctypes
import errno
import fcntl
import os
import socket
import sys
from typing import Final

_NEW_NETWORK: Final = 0x40000000
_NEW_USER: Final = 0x10000000
_GET_USER_NAMESPACE: Final = 0xB701
_SET_DUMPABLE: Final = 4
_SECONDS: Final = 8.0
_LOOPBACKS: Final = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
"""A program that listens on ``localhost`` may be at either of them."""

_libc = ctypes.CDLL(None, use_errno=True)


def enter(network: int) -> None:
    """Enter the network.

    Raises:
        OSError: It is not ours to enter.
    """
    if _libc.setns(network, _NEW_NETWORK) == 0:
        return
    owner = fcntl.ioctl(network, _GET_USER_NAMESPACE)
    if _libc.setns(owner, _NEW_USER) or _libc.setns(network, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "the network cannot be entered")


def connected(port: int) -> socket.socket:
    """Return a connection to the port.

    Raises:
        OSError: Nobody takes it.
    """
    first: OSError | None = None
    for family, address in _LOOPBACKS:
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as exc:
            first = first or exc
            continue
        try:
            sock.settimeout(_SECONDS / len(_LOOPBACKS))
            sock.connect((address, port))
        except OSError as exc:
            sock.close()
            first = first or exc
        else:
            return sock
    raise first or OSError(errno.EADDRNOTAVAIL, "there is no loopback")


def main(arguments: list[str]) -> None:
    """Do it."""
    network, end, port = (int(word) for word in arguments)
    _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    with socket.socket(fileno=end) as out:
        try:
            enter(network)
            sock = connected(port)
        except TimeoutError:
            out.send(bytes((errno.ETIMEDOUT,)))
        except OSError as exc:
            out.send(bytes((min(exc.errno or errno.EIO, 255),)))
        else:
            socket.send_fds(out, [b"\0"], [sock.fileno()])
    os.close(network)


if __name__ == "__main__":
    main(sys.argv[1:])
