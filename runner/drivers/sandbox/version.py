"""Asks an agent's program for its version, in a sandbox of its own.

Only bubblewrap will do: with it, nothing of the program is left when it has answered or its time
is over. It has no network, an empty home and nothing of the runner's environment.
"""

import asyncio
import fcntl
import functools
import logging
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from runner.drivers.errors import DriverError
from runner.drivers.sandbox.prepare import prepare
from runner.drivers.sandbox.values import Capabilities, Network, Prepared, SandboxRequest, Want

logger = logging.getLogger(__name__)

LONGEST: Final = 128
"""Characters of a version."""
_SECONDS: Final = 60.0
"""Some agents take two seconds of a processor for this, and that much of a busy machine is long."""
_OUTPUT_BYTES: Final = 16 * 1024
_FIRST_FREE_FD: Final = 100
"""Above all numbers that a sandbox expects contents at."""


class Bin(Protocol):
    """What is needed of ``runner.drivers.trash.Trash``."""

    def discard(self, path: Path) -> bool:
        """Rename into the trash."""
        ...


@dataclass(frozen=True, slots=True)
class Room:
    """What the machine and its owner give to a program that is asked."""

    folder: Path
    """A directory of the runner's: each run has one of its own in it, which is removed."""
    settings: Path
    """Copies of the machine's settings, the same as for pods."""
    search_path: tuple[Path, ...]
    capabilities: Capabilities
    readable: tuple[Path, ...] = ()
    protected: tuple[Path, ...] = ()
    seconds: float = _SECONDS


class VersionCommand:
    """Runs version commands; one at a time is the caller's business."""

    def __init__(self, room: Room, trash: Bin) -> None:
        """Throw away what a runner left that was killed while it asked."""
        self._room = room
        self._trash = trash
        trash.discard(room.folder)

    async def ask(self, program: Path, args: Sequence[str]) -> str:
        """Return the first line that *program* prints with *args*; empty when that is not known."""
        if self._room.capabilities.bubblewrap is None:
            return ""
        loop = asyncio.get_running_loop()
        folder = await loop.run_in_executor(None, self._make_folder)
        try:
            making = functools.partial(self._prepared, folder, (str(program), *args))
            prepared = await loop.run_in_executor(None, making)
            output = await _output(prepared, self._room.seconds)
        except (OSError, ValueError, DriverError) as exc:
            logger.warning(
                "the version could not be asked for",
                extra={"path": str(program), "reason": str(exc)},
            )
            return ""
        finally:
            self._trash.discard(folder)
        return printable(output)

    def _make_folder(self) -> Path:
        self._room.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=self._room.folder))
        for name in ("home", "tmp", "private"):
            (folder / name).mkdir(mode=0o700)
        return folder

    def _prepared(self, folder: Path, argv: tuple[str, ...]) -> Prepared:
        room, home = self._room, folder / "home"
        request = SandboxRequest(
            argv=argv,
            cwd=home,
            home=home,
            tmp=folder / "tmp",
            private=folder / "private",
            settings=room.settings,
            readable=room.readable,
            protected=room.protected,
            search_path=room.search_path,
            isolation=Want.REQUIRED,
            network=Network.NONE,
            environment={
                "PATH": os.pathsep.join(str(each) for each in room.search_path),
                "HOME": str(home),
                "LANG": "C.UTF-8",
                "TERM": "dumb",
            },
        )
        return prepare(request, room.capabilities)


def printable(output: bytes) -> str:
    """Return the first line that says something, without what a terminal would act on."""
    for line in output.decode("utf-8", errors="replace").splitlines():
        shown = "".join(letter for letter in line if letter.isprintable()).strip()
        if shown:
            return shown[:LONGEST].rstrip()
    return ""


async def _output(prepared: Prepared, seconds: float) -> bytes:
    """Return what it wrote; empty when it failed, wrote too much or took too long."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        try:
            pid = _start(prepared, writing)
        finally:
            os.close(writing)
        ended = asyncio.get_running_loop().run_in_executor(None, _wait, pid)
        try:
            async with asyncio.timeout(seconds):
                output = await _read(pipe)
                if len(output) <= _OUTPUT_BYTES:
                    await asyncio.shield(ended)
        except TimeoutError:
            output = b""
        finally:
            os.kill(pid, signal.SIGKILL)  # the sandbox ends with it; it is not reaped before
            code = await _reaped(pid, ended)
    return output if code == 0 and len(output) <= _OUTPUT_BYTES else b""


async def _read(pipe: BinaryIO) -> bytes:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        output = b""
        while len(output) <= _OUTPUT_BYTES and (piece := await reader.read(_OUTPUT_BYTES)):
            output += piece
        return output
    finally:
        transport.close()


def _wait(pid: int) -> None:
    """Wait for its end, and leave it to be reaped: until then the number is its own."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


async def _reaped(pid: int, ended: "asyncio.Future[None]") -> int:
    """Return the exit code of a process that was killed, also when this task is cancelled."""
    try:
        await asyncio.shield(ended)
    except asyncio.CancelledError:
        await asyncio.wait({ended})
        raise
    finally:
        _, status = os.waitpid(pid, 0)  # noqa: ASYNC222  it has ended: this does not wait
    return os.waitstatus_to_exitcode(status)


def _start(prepared: Prepared, output: int) -> int:
    """Start it from this thread, which lives as long as the runner: it dies with its parent."""
    with _held(prepared) as moves, open(os.devnull, "r+b", buffering=0) as null:
        targets = [(null.fileno(), 0), (output, 1), (null.fileno(), 2), *moves]
        with ExitStack() as stack:
            actions = []
            for source, number in targets:
                high = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_FD)
                stack.callback(os.close, high)
                actions.append((os.POSIX_SPAWN_DUP2, high, number))
            closing = [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()]
            return os.posix_spawn(
                prepared.argv[0],
                prepared.argv,
                dict(prepared.environment),
                file_actions=(*closing, *actions),
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            )


def _inheritable() -> Iterator[int]:
    """Yield what a library has left open to whatever is started."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  numbers, not paths
        with suppress(OSError):  # the one that this is read by, and what another thread closed
            if os.get_inheritable(int(name)):
                yield int(name)


@contextmanager
def _held(prepared: Prepared) -> Iterator[list[tuple[int, int]]]:
    """Give the descriptors that hold what the sandbox reads, each with the number it expects."""
    with ExitStack() as stack:
        held = []
        for number, content in prepared.contents.items():
            file = stack.enter_context(tempfile.TemporaryFile())
            file.write(content)
            file.seek(0)
            held.append((file.fileno(), number))
        yield held
