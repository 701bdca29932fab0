"""Where the shim has the listening socket of the run's MCP server from.

A pod with the machine's network is given one by the daemon. One with a network of its own gets it
made in there before its program runs, so that the kernel lets nobody else reach it:

* bubblewrap tells which process it made on ``INFO_FD`` and waits for the end of ``BLOCK_FD``. A
  forked helper enters that process' network and hands the socket back: to enter is for good, and
  an ordinary user can do it only as the owner of the network, which no shim may become.
* our own wrapper makes it when it has left the network, and sends it over ``HANDOVER_FD``.

Source: bwrap(1), ioctl_ns(2), setns(2), ip(7).
"""

import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import time
from typing import Any, NamedTuple

INSIDE_ADDRESS = "127.0.0.1"
INSIDE_PORT = 19000
"""Where it listens in a network of the pod's own."""

BACKLOG = 1024
"""Connections that wait while there is no runner; the kernel may hold fewer."""

INFO_FD, BLOCK_FD = 5, 6
HANDOVER_FD = 5
"""Numbers that the sandbox finds the descriptors under."""

_PATIENCE_SECONDS = 10.0
_DEATH_SECONDS = 1.0
_INFO_BYTES = 4096
_NEW_NETWORK = 0x40000000
_NEW_USER = 0x10000000
_GET_USER_NAMESPACE = 0xB701
_FREE_BIND = 15  # IP_FREEBIND, which the socket module does not name

_libc = ctypes.CDLL(None, use_errno=True)


def bound(address: str, port: int) -> socket.socket:
    """Return a socket that listens there, also before the address is up.

    Raises:
        OSError: It cannot; ``EADDRINUSE`` when somebody else listens.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IP, _FREE_BIND, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


class Source(NamedTuple):
    """Where the socket of one launch comes from."""

    how: str
    """Empty: there is none. ``given``, or how it is made inside."""
    keep: list[int]
    """Descriptors of ours that are needed for it."""

    def take(self, child: int) -> socket.socket | None:
        """Return the socket, now that the process *child* was started.

        None without one, or when the sandbox came to nothing: its own words will tell.

        Raises:
            OSError: It cannot be made, and the program must not run.
        """
        match self.how:
            case "given":
                return socket.socket(fileno=self.keep[0])
            case "wrapper":
                with socket.socket(fileno=self.keep[0]) as end:
                    return _received(end)
            case "bubblewrap":
                info, block = self.keep
                return _entered(info, block, child)
            case _:
                return None


def source(wanted: dict[str, Any], fds: list[int]) -> Source:
    """Return where the socket of the launch comes from.

    Takes the daemon's one out of *fds*, and adds to *fds* and to the launch's numbers what the
    sandbox needs.
    """
    mcp = wanted["mcp"]
    if mcp is None:
        return Source("", [])
    if mcp["inside"] == "bubblewrap":
        info, tell = os.pipe2(os.O_CLOEXEC)
        wait, block = os.pipe2(os.O_CLOEXEC)
        fds += [tell, wait]
        wanted["fds"] += [INFO_FD, BLOCK_FD]
        return Source(mcp["inside"], [info, block])
    if mcp["inside"] == "wrapper":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        fds.append(theirs.detach())
        wanted["fds"].append(HANDOVER_FD)
        return Source(mcp["inside"], [ours.detach()])
    return Source("given", [fds.pop()])


def _entered(info: int, block: int, child: int) -> socket.socket | None:
    """Make it in the network that bubblewrap has made, then let bubblewrap go on."""
    try:
        inside = _told(info)
        return _made_inside(inside, child) if inside else None
    except OSError:
        os.killpg(child, signal.SIGKILL)  # before it sees that it may go on
        raise
    finally:
        os.close(info)
        os.close(block)


def _told(info: int) -> int:
    """Return the process that bubblewrap made, when it says so; 0 when it could make none."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    said = b""
    poll = select.poll()
    poll.register(info, select.POLLIN)
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        piece = os.read(info, _INFO_BYTES)
        said += piece
        if not piece or said.rstrip().endswith(b"}"):
            return int(json.loads(said)["child-pid"]) if said else 0
    raise OSError(errno.ETIMEDOUT, "bubblewrap does not answer")


def _made_inside(inside: int, child: int) -> socket.socket | None:
    """Return the socket; None when the sandbox came to nothing, as its own words will tell."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    helper = os.fork()
    if helper == 0:
        _help(inside, theirs)
    theirs.close()
    with ours:
        try:
            sock = _received(ours)
        except OSError:
            if _died(child):
                return None
            raise
        finally:
            os.waitpid(helper, 0)
    if sock is None and not _died(child):
        raise OSError(errno.EIO, "the helper ended")
    return sock


def _help(inside: int, theirs: socket.socket) -> None:
    """Enter the network of the process, hand over the socket, and end."""
    try:
        network = os.open(f"/proc/{inside}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        if _libc.setns(network, _NEW_NETWORK):
            owner = fcntl.ioctl(network, _GET_USER_NAMESPACE)
            if _libc.setns(owner, _NEW_USER) or _libc.setns(network, _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), "the network cannot be entered")
        made = bound(INSIDE_ADDRESS, INSIDE_PORT)
        socket.send_fds(theirs, [b"\0"], [made.fileno()])
    except OSError as exc:
        theirs.send(bytes((min(exc.errno or errno.EIO, 255),)))
    finally:
        os._exit(0)


def _received(end: socket.socket) -> socket.socket | None:
    """Return the socket that comes; None when the other side ended without.

    Raises:
        OSError: The other side could not make it, or does not answer.
    """
    end.settimeout(_PATIENCE_SECONDS)
    data, fds, _, _ = socket.recv_fds(end, 1, 1)
    if fds:
        os.set_inheritable(fds[0], False)
        return socket.socket(fileno=fds[0])
    if data:
        raise OSError(data[0], os.strerror(data[0]))
    return None


def _died(child: int) -> bool:
    """Whether the process that was started has ended, or is just about to."""
    deadline = time.monotonic() + _DEATH_SECONDS
    while time.monotonic() < deadline:
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is not None:
            return True
        time.sleep(0.005)
    return False
