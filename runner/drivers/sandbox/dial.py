"""Connects to ports inside a pod's own network.

A small process enters the network and hands the connected socket back: a process that enters one
does not get out again, and the runner is needed outside.

* DialError
  + NoOwnNetworkError   NoOwnNetwork: the pod has the machine's network
  + NotThereError       NotRunning: the pod's agent has ended
  + DialRefusedError    Refused: nothing listens there
"""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from runner.drivers.errors import DriverError
from runner.drivers.sandbox.values import OUTSIDE
from runner.shim import records

SCRIPT: Final = Path(__file__).with_name("dial_exec.py")

_SECONDS: Final = 15.0
"""A connection on a loopback takes no time; the processor may be busy."""


class DialError(DriverError):
    """The port cannot be reached."""

    reason = "Failed"


class NoOwnNetworkError(DialError):
    """The pod has no network of its own: its ports are the machine's."""

    reason = "NoOwnNetwork"


class NotThereError(DialError):
    """The pod's agent does not run."""

    reason = "NotRunning"


class DialRefusedError(DialError):
    """Nothing listens on the port."""

    reason = "Refused"


def own_network(pid: int, start_time: int | None) -> int:
    """Return a descriptor of the network of the pod whose first process is that one.

    Under bubblewrap it is its child that has the network. Blocking, short.

    Raises:
        NoOwnNetworkError: It has the machine's.
        NotThereError: The process has ended.
    """
    ours = Path("/proc/self/ns/net").stat()
    for each in (pid, *_children(pid)):
        try:
            network = os.open(f"/proc/{each}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # it has just ended, or is somebody else's: looked at below
        found = os.fstat(network)
        # Only now: had the number passed on to another process, it would not have begun then.
        if start_time is None or records.start_time(pid) != start_time:
            os.close(network)
            break
        if (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino):
            return network
        os.close(network)
    if start_time is None or records.start_time(pid) != start_time:
        raise NotThereError("The pod's agent does not run.")
    raise NoOwnNetworkError(
        "The pod has the machine's network, not one of its own, so that its ports are the "
        "machine's, which are not forwarded: set sandbox.network none."
    )


async def dial(network: int, port: int) -> socket.socket:
    """Return a connection to the port on the loopback of the network, not blocking.

    Raises:
        DialError: Nobody takes it, or the network cannot be entered.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours:
        with theirs:
            await _helped(network, theirs.fileno(), port)
        ours.setblocking(False)
        try:
            data, fds, _, _ = socket.recv_fds(ours, 1, 1, socket.MSG_CMSG_CLOEXEC)
        except OSError as exc:
            raise DialError(f"Port {port} cannot be reached: {exc.strerror}.") from exc
    if fds:
        os.set_inheritable(fds[0], False)
        sock = socket.socket(fileno=fds[0])
        sock.setblocking(False)
        return sock
    raise _refused(port, data[0] if data else errno.EIO)


async def _helped(network: int, end: int, port: int) -> None:
    """Let the helper run to its end."""
    helper = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(SCRIPT), str(network), str(end), str(port)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(OUTSIDE),
        pass_fds=(network, end),
    )
    try:
        async with asyncio.timeout(_SECONDS):
            await helper.wait()
    except TimeoutError as exc:
        raise DialError(f"Port {port} does not answer.") from exc
    finally:
        if helper.returncode is None:
            with suppress(ProcessLookupError):
                helper.kill()
            await helper.wait()


def _refused(port: int, error: int) -> DialError:
    if error == errno.ECONNREFUSED:
        return DialRefusedError(f"Nothing listens on port {port} of the pod.")
    return DialError(f"Port {port} of the pod cannot be reached: {os.strerror(error)}.")


def _children(pid: int) -> Iterator[int]:
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from (int(each) for each in (task / "children").read_text("ascii").split())
    except OSError:
        return
