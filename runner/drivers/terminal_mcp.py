"""Fetches the listening socket of a run's MCP server from its shim."""

import asyncio
import json
import os
import socket
import struct
from pathlib import Path
from typing import Final

from runner.drivers.terminal_client import ANSWER_SECONDS, door
from runner.drivers.terminal_observe import protocol_of
from runner.drivers.terminal_values import McpSocket, NotOffered, NotRunning
from runner.shim.frames import Decoder, FrameError, Kind, encode

_PROTOCOL: Final = 2
_ANSWER_BYTES: Final = 4096
_FD: Final = struct.Struct("i")


async def mcp_socket(run_dir: Path) -> McpSocket:
    """Ask the shim.

    Raises:
        NotRunning: None answers.
        NotOffered: The run has no such socket.
    """
    asked = asyncio.get_running_loop().run_in_executor(None, _fetch, run_dir)
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        asked.add_done_callback(_close)
        raise


def _close(asked: "asyncio.Future[McpSocket]") -> None:
    if not asked.cancelled() and asked.exception() is None:
        asked.result().socket.close()


def _fetch(run_dir: Path) -> McpSocket:
    # A stream of asyncio would lose the descriptor that comes beside the answer.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(ANSWER_SECONDS)
        with door(run_dir) as (path, hello):
            sock.connect(path)
            if protocol_of(run_dir) < _PROTOCOL:
                raise NotOffered("the pod was started by an older runner, without an MCP server")
            sock.sendall(hello + encode(Kind.MCP))
        return _received(sock)


def _received(sock: socket.socket) -> McpSocket:
    decoder, held = Decoder(_ANSWER_BYTES), list[int]()
    try:
        while (frame := decoder.next()) is None:
            # not recv_fds: it drops the flag, and a program started now would have it, too
            room = socket.CMSG_SPACE(_FD.size)
            data, beside, _, _ = sock.recvmsg(_ANSWER_BYTES, room, socket.MSG_CMSG_CLOEXEC)
            held += [_FD.unpack(content[: _FD.size])[0] for _, _, content in beside]
            if not data:
                raise NotRunning("the shim has ended")
            decoder.feed(data)
        kind, payload = frame
        if kind == Kind.REFUSED:
            raise NotOffered(payload.decode(errors="replace"))
        return _socket(json.loads(payload), held)
    except (OSError, FrameError) as exc:
        raise NotRunning("the shim does not answer") from exc
    finally:
        for fd in held:
            os.close(fd)


def _socket(said: dict[str, str], held: list[int]) -> McpSocket:
    """Return the socket; of *held* it takes what it keeps."""
    listener = socket.socket(fileno=held.pop())
    listener.setblocking(False)
    address, port = listener.getsockname()[:2]
    return McpSocket(listener, address, port, said["token_sha256"])
