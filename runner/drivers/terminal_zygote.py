"""Starts runs through the zygote, the small process that forks the shims (``runner/shim``)."""

import asyncio
import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from runner.drivers import descriptors
from runner.drivers.terminal_client import Channel
from runner.drivers.terminal_marks import MARK, mark_limits, note_group
from runner.drivers.terminal_observe import alive, last_offset, observe
from runner.drivers.terminal_values import (
    Absent,
    Alive,
    Inside,
    Launch,
    LaunchError,
    NotRunning,
)
from runner.shim.frames import MAX_LAUNCH, Kind, encode
from runner.shim.listening import INSIDE_PORT

_LAUNCH_SECONDS: Final = 30.0
_ZYGOTE_SECONDS: Final = 5.0

_PAUSE_SECONDS: Final = 0.02
_ATTEMPTS: Final = 5
"""The zygote may be killed at any time. Trying again is safe: without a lock nothing ran."""

_BOOT: Final = """\
import sys
sys.path += sys.argv[2:]
from runner.shim.boot import main
main(int(sys.argv[1]))
"""


def _found(package: str) -> str:
    """Return the folder from which *package* is imported, without importing it here."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed: make setup", name=package)
    return str(Path(spec.origin).parents[1])


_IMPORT_PATHS: Final = (_found("runner"), _found("ptyprocess"))

HOLDER_FAILED: Final = "HolderFailed"
"""No shim could be started, or it was killed while it started the program."""


class Zygote:
    """The zygote of this daemon, started when first needed and again when it was killed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._forking = asyncio.Lock()  # one process starts it, the others wait for that

    @property
    def pid(self) -> int | None:
        """The zygote's process, None before the first launch."""
        return self._process.pid if self._process else None

    async def close(self) -> None:
        """End the zygote. The shims stay."""
        await asyncio.to_thread(self._end)

    async def launch(self, launch: Launch) -> Alive:
        """Start the run; return when its program was executed.

        Raises:
            LaunchError: It was not. With ``HOLDER_FAILED`` something of the run may be left.
        """
        request = await asyncio.to_thread(_request, launch)
        try:
            async with asyncio.timeout(_LAUNCH_SECONDS):
                for attempt in range(_ATTEMPTS):
                    await asyncio.sleep(attempt * _PAUSE_SECONDS)  # while the kernel buries it
                    if (identity := await self._attempt(request, launch)) is not None:
                        return alive(identity)
        except TimeoutError as exc:
            raise LaunchError(HOLDER_FAILED, "the new shim does not answer") from exc
        except NotRunning as exc:
            raise LaunchError(HOLDER_FAILED, "the new shim was killed") from exc
        raise LaunchError(HOLDER_FAILED, "no shim can be started on this machine")

    async def _attempt(self, request: bytes, launch: Launch) -> dict[str, Any] | None:
        """Launch once; None when no shim came to life."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            await self._fork(theirs)
        except OSError:
            ours.close()
            return None
        finally:
            theirs.close()
        with _held(launch.contents.values()) as held:
            fds = (*launch.pass_fds.values(), *held, *_listener(launch))
            socket.send_fds(ours, [request[:1]], fds)
        channel = Channel(*await asyncio.open_unix_connection(sock=ours))
        try:
            return await _converse(channel, request[1:])
        finally:
            await channel.close()

    async def _fork(self, launch_socket: socket.socket) -> None:
        async with self._forking:
            if self._process is None or self._process.poll() is not None:
                await asyncio.to_thread(self._begin)
        if self._control is None:
            raise ConnectionError("the zygote was closed")
        # one byte: it waits only behind hundreds of others
        socket.send_fds(self._control, [b"f"], [launch_socket.fileno()])

    def _begin(self) -> None:
        self._end()
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        control.settimeout(_ZYGOTE_SECONDS)
        with theirs:
            fd = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT, str(fd), *_IMPORT_PATHS],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/proc",  # where no file can be left
                env={},
                pass_fds=[fd],
                start_new_session=True,
            )
        descriptors.allow_usual(self._process.pid)  # before it forks anything
        self._control = control

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is None:
            return
        try:
            self._process.wait(_ZYGOTE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


async def _converse(channel: Channel, request: bytes) -> dict[str, Any] | None:
    try:
        await channel.send_raw(request)
        kind, payload = await channel.receive()
    except NotRunning:
        return None
    if kind == Kind.LOCKED:
        await channel.send(Kind.GO)
        kind, payload = await channel.receive()
    answer: dict[str, Any] = json.loads(payload)
    if kind != Kind.STARTED:
        raise LaunchError(answer["reason"], answer["message"])
    return answer


@contextmanager
def _held(contents: Iterable[bytes]) -> Iterator[list[int]]:
    """Give a descriptor for each content, at its beginning; in memory only."""
    with ExitStack() as stack:
        fds = []
        for content in contents:
            fds.append(os.memfd_create("contents", os.MFD_CLOEXEC))
            stack.callback(os.close, fds[-1])
            with os.fdopen(fds[-1], "wb", closefd=False) as file:
                file.write(content)
            os.lseek(fds[-1], 0, os.SEEK_SET)
        yield fds


def _listener(launch: Launch) -> tuple[int, ...]:
    """Return the listening socket that the shim is given, the last of all descriptors."""
    if launch.mcp is None or isinstance(launch.mcp.where, Inside):
        return ()
    return (launch.mcp.where.fd,)


def _mcp(launch: Launch) -> dict[str, Any] | None:
    if launch.mcp is None:
        return None
    where = launch.mcp.where
    port = INSIDE_PORT if isinstance(where, Inside) else where.port
    inside = str(where) if isinstance(where, Inside) else ""
    return {"token_sha256": launch.mcp.token_sha256, "port": port, "inside": inside}


def _request(launch: Launch) -> bytes:
    """Make the directories; return the frame that the shim will receive.

    Raises:
        LaunchError: The directories cannot be made, or the launch is too long.
    """
    try:
        if observe(launch.run_dir) != Absent(died=False):
            raise LaunchError("AlreadyStarted", f"{launch.run_dir} was used before")
        launch.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        launch.transcript_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        note_group(launch.run_dir, launch.group, launch.kept)
        floor = last_offset(launch.run_dir.parent)
    except OSError as exc:
        raise LaunchError("RunDirectory", f"cannot use {exc.filename}: {exc.strerror}") from exc
    if not all(2 < number < 64 for number in (*launch.pass_fds, *launch.contents)):
        raise LaunchError("BadArgument", "descriptors are passed as numbers 3 to 63")
    payload = json.dumps(_wanted(launch, floor)).encode("ascii")
    if len(payload) > MAX_LAUNCH:
        raise LaunchError("CommandTooLong", "arguments and environment are too long")
    return encode(Kind.LAUNCH, payload)


def _wanted(launch: Launch, floor: int) -> dict[str, Any]:
    return {
        "uid": launch.uid,
        "epoch": launch.epoch,
        "restart": launch.restart,
        "run_dir": os.fspath(launch.run_dir.absolute()),
        "transcript_dir": os.fspath(launch.transcript_dir.absolute()),
        "argv": launch.argv,
        "environment": {**launch.environment, MARK: launch.uid},
        "cwd": os.fspath(launch.cwd.absolute()),
        "cols": launch.cols,
        "rows": launch.rows,
        "fds": (*launch.pass_fds, *launch.contents),
        "mcp": _mcp(launch),
        "account": launch.account,
        "scoped": launch.scoped,
        "limits": {**launch.limits, **mark_limits(launch.uid)},
        "group": launch.group,
        "out_of_memory": launch.out_of_memory,
        "wrapper": launch.wrapper,
        "umask": launch.umask,
        "grace_seconds": launch.grace_seconds,
        "segment_bytes": launch.segment_bytes,
        "transcript_bytes": launch.transcript_bytes,
        "floor": floor,
    }
