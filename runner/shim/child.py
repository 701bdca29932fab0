# ruff: noqa: PTH110, PTH113
# pathlib would cost every shim memory
"""Starts the program on its pseudo-terminal, and says plainly why it could not."""

import errno
import fcntl
import os
import resource
import signal
import struct
import termios
from collections.abc import Callable
from typing import Any

import ptyprocess

from runner.shim import scope
from runner.shim.group import Group

IUTF8 = 0x4000
"""Linux' flag: erase whole characters and not bytes. The termios module does not name it."""

IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that zygote and shims ignore: what a terminal or a supervisor sends to whole groups."""

_TIOCGPTPEER = 0x5441
"""Linux' request for the slave side of a terminal; the termios module does not name it."""

_INT = struct.Struct("i")

_READS = 16
"""Reads in one go: enough to make writing cheap, few enough to hear the clients."""

_READ_BYTES = 65536

_SHORT_BYTES = 1024
"""A piece this short was all that there was: the kernel gives some 4 KiB at a time."""

_FIRST_FREE_FD = 100
_REASONS = {
    errno.ENOENT: "CommandNotFound",
    errno.ENOTDIR: "CommandNotFound",
    errno.EACCES: "CommandNotExecutable",
    errno.ENOEXEC: "CommandNotExecutable",
    errno.E2BIG: "CommandTooLong",
}


class SpawnError(Exception):
    """The program was not started. ``reason`` is for machines, the text for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Child:
    """The program and the master side of its terminal."""

    def __init__(self, process: ptyprocess.PtyProcess) -> None:
        self._process = process  # never closed: closing sleeps, and the shim ends by _exit
        self.pid: int = process.pid
        self.fd: int = process.fd
        os.set_blocking(self.fd, False)
        self._slave = self._hold_slave()

    def _hold_slave(self) -> int | None:
        """Open the slave side, so that a program may close its terminal and open it again."""
        flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
        try:
            return fcntl.ioctl(self.fd, _TIOCGPTPEER, flags)
        except OSError:
            return None  # the program has ended already

    def read(self) -> list[bytes]:
        """Return what the program wrote, in pieces; empty when there is nothing now.

        Raises:
            OSError: The terminal hung up, and everything was read.
        """
        pieces: list[bytes] = []
        try:
            for _ in range(_READS):
                piece = os.read(self.fd, _READ_BYTES)
                if not piece:
                    raise OSError(errno.EIO, "hung up")
                pieces.append(piece)
                if len(piece) < _SHORT_BYTES:
                    break
        except BlockingIOError:
            pass
        except OSError:
            if not pieces:
                raise
        return pieces

    def let_go(self) -> None:
        """Give up the slave side, so that reading ends with the last byte."""
        if self._slave is not None:
            os.close(self._slave)
            self._slave = None

    def resize(self, cols: int, rows: int) -> None:
        """Set the terminal's size; the kernel tells the foreground processes."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def is_in_line_mode(self) -> bool:
        """Whether the terminal collects whole lines for the program, of 4095 bytes at most."""
        try:
            return bool(termios.tcgetattr(self.fd)[3] & termios.ICANON)
        except termios.error:
            return False

    def echoes(self) -> bool:
        """Whether the terminal shows what is typed: where lines are collected passwords are not."""
        try:
            return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)
        except termios.error:
            return True

    def unread_bytes(self) -> int:
        """Return how much input the program has not read; in line mode, of whole lines only.

        Asked of the slave side: of the master it would be output that nobody has read.
        """
        if self._slave is None:
            return 0
        try:
            answer = fcntl.ioctl(self._slave, termios.FIONREAD, _INT.pack(0))
        except OSError:
            return 0  # it hung up: nobody reads any more
        return int(_INT.unpack(answer)[0])

    def groups(self) -> set[int]:
        """Return the program's process group and the one in the terminal's foreground."""
        try:
            return {self.pid, os.tcgetpgrp(self.fd)}
        except OSError:
            return {self.pid}


def place(given: list[int], numbers: list[int], keep: list[int]) -> list[int]:
    """Move the given descriptors to the numbers that the program expects.

    Done while the shim has hardly a descriptor of its own, so nothing is in the way. Returns
    the new numbers of *keep*, the other descriptors that must live.
    """
    kept = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_FD) for fd in keep]
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_FD) for fd in given]
    for fd in (*keep, *given):
        os.close(fd)
    for fd, number in zip(high, numbers, strict=True):
        os.dup2(fd, number, inheritable=False)
        os.close(fd)
    return kept


def spawn(launch: dict[str, Any]) -> Child:
    """Start the program of the launch; return when it was executed.

    Raises:
        SpawnError: It was not, and no process is left.
    """
    shim = os.getpid()
    environment = launch["environment"]
    _check([*launch["argv"], launch["cwd"], *(f"{k}={v}" for k, v in environment.items())])
    argv = [_resolve(launch["argv"][0], environment, launch["cwd"]), *launch["argv"][1:]]
    numbers = launch["fds"]
    try:
        process = ptyprocess.PtyProcess.spawn(
            argv,
            env=environment,
            preexec_fn=_preparation(launch, numbers),
            dimensions=(launch["rows"], launch["cols"]),
            pass_fds=numbers,
        )
    except Exception as exc:  # noqa: BLE001  ptyprocess raises what the forked process named
        raise _spawn_error(exc, argv[0]) from exc
    finally:
        if os.getpid() != shim:
            os._exit(os.EX_OSERR)  # the fork must never live on as a second shim
        for number in numbers:
            os.close(number)
    return Child(process)


def _check(texts: list[str]) -> None:
    """Refuse what execve cannot take, before a fork that could not say so."""
    for text in texts:
        try:
            encoded = os.fsencode(text)
        except UnicodeEncodeError as exc:
            message = "an argument or a variable is no valid text"
            raise SpawnError("BadArgument", message) from exc
        if b"\0" in encoded:
            raise SpawnError("BadArgument", "an argument or a variable contains a NUL character")


def _resolve(program: str, environment: dict[str, str], cwd: str) -> str:
    """Return the path of the program as a shell in the new environment would find it."""
    if "/" in program:
        path = os.path.join(cwd, program)
        if not os.path.isfile(path):
            raise SpawnError("CommandNotFound", f"{path} does not exist")
        if not os.access(path, os.X_OK):
            raise SpawnError("CommandNotExecutable", f"{path} is not executable")
        return path
    search = environment.get("PATH", "")
    for directory in search.split(os.pathsep):
        path = os.path.join(cwd, directory, program)
        if directory and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise SpawnError("CommandNotFound", f"{program} is not in PATH ({search or 'empty'})")


def _preparation(launch: dict[str, Any], numbers: list[int]) -> Callable[[], None]:
    """Return what the forked process does before it becomes the program."""
    group = Group(launch["group"])

    def prepare() -> None:
        _join(group)
        for number in numbers:
            os.set_inheritable(number, True)
        for signum in IGNORED:
            signal.signal(signum, signal.SIG_DFL)  # ignored ones would stay so over exec
        attributes = termios.tcgetattr(0)
        attributes[0] |= IUTF8
        termios.tcsetattr(0, termios.TCSANOW, attributes)
        if launch["account"]:
            os.fchown(0, launch["account"], -1)
        os.umask(launch["umask"])
        _enter(launch["cwd"])
        for limit, value in launch["limits"].items():
            _limit(limit, value)
        if launch["scoped"]:
            _scope()

    return prepare


def _join(group: Group) -> None:
    try:
        group.enter()
    except OSError as exc:
        raise PermissionError(f"the control group: {exc.strerror}") from exc


def _enter(cwd: str) -> None:
    try:
        os.chdir(cwd)
    except OSError as exc:
        # ptyprocess carries the text of builtin exceptions over to the shim
        raise NotADirectoryError(f"{cwd}: {exc.strerror}") from exc


def _scope() -> None:
    try:
        scope.enter()
    except OSError as exc:
        raise PermissionError(f"the scope of sockets: {exc.strerror}") from exc


def _limit(name: str, value: int) -> None:
    try:
        resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (value, value))
    except (OSError, ValueError) as exc:
        raise PermissionError(f"limit {name}={value}: {exc}") from exc


def _spawn_error(exc: Exception, program: str) -> SpawnError:
    if isinstance(exc, NotADirectoryError):
        return SpawnError("WorkingDirectory", f"cannot enter {exc}")
    if isinstance(exc, PermissionError):
        return SpawnError("ExecFailed", f"cannot set {exc}")
    if not isinstance(exc, OSError):
        return SpawnError("ExecFailed", f"cannot prepare {program}: {exc}")
    reason = _REASONS.get(exc.errno or 0, "ExecFailed")
    text = os.strerror(exc.errno) if exc.errno else str(exc)
    if exc.errno == errno.ENOENT and os.path.exists(program):
        text = "its interpreter (the #! line) or loader does not exist"
    return SpawnError(reason, f"cannot execute {program}: {text}")
