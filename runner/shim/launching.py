# ruff: noqa: PTH101, PTH108
# pathlib would cost every shim memory
"""From a fresh process to a running shim: locked, known, told to go, then the program starts.

The program is started only after the daemon, seeing the lock held, said go. So a daemon that
finds a run unlocked knows that nothing of it can begin any more behind its back.
"""

import array
import json
import os
import socket
from typing import Any

from runner.shim import listening, records, tree
from runner.shim.child import Child, SpawnError, place, spawn
from runner.shim.clients import Door, Mcp
from runner.shim.frames import MAX_LAUNCH, PROTOCOL, Decoder, Kind, encode
from runner.shim.shim import Shim, note_trouble, told_signals
from runner.shim.transcript import Transcript

_MAX_FDS = 64
_BACKLOG = 1024


class _RefusedError(Exception):
    """The run cannot begin. Nothing of it is left."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def launch(fd: int) -> None:
    """Become the shim of what arrives on the launch socket. Ends the process."""
    sock = socket.socket(fileno=fd)
    code = 1
    try:
        code = _launch(sock)
    except Exception:  # noqa: BLE001  the end of the process: nobody else will tell
        note_trouble()
    finally:
        os._exit(code)


def _launch(sock: socket.socket) -> int:
    wanted, fds = _receive(sock)
    source = listening.source(wanted, fds)
    place_of_sock, *kept = place(fds, wanted["fds"], [sock.detach(), *source.keep])
    sock, source = socket.socket(fileno=place_of_sock), source._replace(keep=kept)
    try:
        lock = _enter(wanted["run_dir"])
    except _RefusedError as exc:
        _send_failure(sock, exc.reason, str(exc))
        return 0
    try:
        shim = _prepare_and_start(sock, wanted, source)
    except _RefusedError as exc:
        records.forget()
        os.close(lock)
        _send_failure(sock, exc.reason, str(exc))
        return 0
    sock.close()
    shim.run()
    return 0


def _receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return the launch and the descriptors that came with it."""
    decoder = Decoder(MAX_LAUNCH)
    fds = array.array("i")
    while True:
        data, received, _, _ = socket.recv_fds(sock, 65536, _MAX_FDS, socket.MSG_CMSG_CLOEXEC)
        fds.extend(received)
        if not data:
            os._exit(0)  # the daemon is gone, or thought better of it
        decoder.feed(data)
        frame = decoder.next()
        if frame is not None:
            wanted: dict[str, Any] = json.loads(frame[1])
            return wanted, fds.tolist()


def _enter(run_dir: str) -> int:
    """Enter the run's directory and lock it; return the lock's descriptor."""
    try:
        os.chdir(run_dir)
        lock = records.take_lock()
        if lock is None:
            raise _RefusedError("AlreadyStarted", f"another shim holds {run_dir}")
        if records.load(records.IDENTITY) or records.load(records.EXIT):
            raise _RefusedError("AlreadyStarted", f"{run_dir} was used before")
        records.reserve()
    except OSError as exc:
        raise _RefusedError("RunDirectory", f"cannot use {run_dir}: {exc.strerror}") from exc
    return lock


def _prepare_and_start(
    sock: socket.socket, wanted: dict[str, Any], source: listening.Source
) -> Shim:
    """Write who we are, wait for the word to go, start the program, write who it is."""
    identity = {
        "protocol": PROTOCOL,
        "uid": wanted["uid"],
        "epoch": wanted["epoch"],
        "restart": wanted["restart"],
        "boot_id": records.boot_id(),
        "pid": os.getpid(),
        "start_time": records.start_time(os.getpid()),
        "child_pid": 0,
        "child_start_time": 0,
        "started_at": records.now(),
    }
    try:
        records.write_identity(identity)
        transcript = Transcript(
            wanted["transcript_dir"],
            floor=wanted["floor"],
            segment_bytes=wanted["segment_bytes"],
            transcript_bytes=wanted["transcript_bytes"],
        )
        transcript.sized(wanted["cols"], wanted["rows"], begins=True)
        key = records.make_key()
        listener = _listen()
    except OSError as exc:
        message = f"cannot prepare {wanted['run_dir']}: {exc.strerror}"
        raise _RefusedError("RunDirectory", message) from exc
    if not _may_go(sock):
        raise _RefusedError("HolderFailed", "the daemon is gone")
    signals = told_signals()
    child = _start(wanted)
    identity |= {"child_pid": child.pid, "child_start_time": records.start_time(child.pid)}
    identity["mcp_port"] = wanted["mcp"]["port"] if wanted["mcp"] else 0
    records.write_identity(identity)
    mcp = _mcp(wanted, source, child)
    shim = Shim(wanted, child, transcript, Door(listener, key), signals, mcp)
    wanted["environment"].clear()  # secrets stay no longer than they must
    _tell(sock, Kind.STARTED, identity)
    return shim


def _start(wanted: dict[str, Any]) -> Child:
    try:
        return spawn(wanted)
    except SpawnError as exc:
        raise _RefusedError(exc.reason, str(exc)) from exc


def _mcp(wanted: dict[str, Any], source: listening.Source, child: Child) -> Mcp | None:
    """Return the MCP server's socket, which is there before the agent's program runs."""
    try:
        sock = source.take(child.pid)
    except OSError as exc:
        _end_all()
        text = f"cannot make the MCP server's socket inside the sandbox: {exc.strerror or exc}"
        raise _RefusedError("ExecFailed", text) from exc
    return Mcp(sock, wanted["mcp"]["token_sha256"]) if sock else None


def _end_all() -> None:
    """Leave no process of the run."""
    try:
        while True:
            tree.kill(os.getpid())
            os.waitpid(-1, 0)
    except ChildProcessError:
        return


def _listen() -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(records.SOCKET)  # relative: absolute paths may be longer than an address
    os.chmod(records.SOCKET, 0o600)
    listener.listen(_BACKLOG)
    return listener


def _may_go(sock: socket.socket) -> bool:
    """Say that the run is locked and return whether the daemon says go; not so if it is gone."""
    decoder = Decoder()
    try:
        sock.sendall(encode(Kind.LOCKED))
        while (frame := decoder.next()) is None:
            data = sock.recv(4096)
            if not data:
                return False
            decoder.feed(data)
    except OSError:
        return False
    return frame[0] == Kind.GO


def _send_failure(sock: socket.socket, reason: str, message: str) -> None:
    _tell(sock, Kind.FAILED, {"reason": reason, "message": message})


def _tell(sock: socket.socket, kind: Kind, value: dict[str, Any]) -> None:
    try:
        sock.sendall(encode(kind, json.dumps(value).encode("ascii")))
    except OSError:
        return  # the daemon is gone: the next one observes
