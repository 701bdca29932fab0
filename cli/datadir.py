"""The data directory of a mesh on this machine: where it is, what lies where, who holds it."""

import contextlib
import fcntl
import json
import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli import processes
from cli.errors import CommandError

_PRIVATE: Final = 0o700
_PRIVATE_FILE: Final = 0o600
_MAX_PID_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class DataDir:
    """The paths below one data directory."""

    root: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, written by the embedded API server."""
        return self.root / "kubeconfig"

    @property
    def lock(self) -> Path:
        """Holds the pid of the `up` that runs, and is locked by it; marks the directory as ours."""
        return self.root / "up.pid"

    @property
    def state(self) -> Path:
        """What runs: read by status and down."""
        return self.root / "up.json"

    @property
    def ports(self) -> Path:
        """The chosen ports: a restart uses them again."""
        return self.root / "ports.json"

    @property
    def logs(self) -> Path:
        """One log file each."""
        return self.root / "logs"

    @property
    def join_token(self) -> Path:
        """The runner's one-time token, from its making to its use."""
        return self.root / "join-token"

    @property
    def option(self) -> str:
        """What names it on a command line for a shell, with a blank ahead; empty by default."""
        if self.root == default_root():
            return ""
        return f" --data-dir {shlex.quote(str(self.root))}"

    def log(self, part: str) -> Path:
        """Return the log file of *part*."""
        return self.logs / f"{part}.log"

    def of(self, part: str) -> Path:
        """Return the directory that *part* has for itself."""
        return self.root / part

    def prepare(self) -> None:
        """Make the directory and what is below it, readable by nobody else. Safe to repeat.

        Raises:
            CommandError: It cannot be made or written.
        """
        try:
            self.root.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            self._refuse_foreign()
            self._make_private()
            os.close(os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self.logs.mkdir(mode=_PRIVATE, exist_ok=True)
            probe = self.root / f".probe-{os.getpid()}"
            write_private(probe, b"written to see whether this directory can be written\n")
            probe.unlink()
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise CommandError(
                f"the data directory {self.root} cannot be used ({reason}): "
                "make it writable, or name another with --data-dir"
            ) from exc

    def _make_private(self) -> None:
        """Give files their modes back: a pod of this account may have changed them.

        The runner sees to its own.
        """
        self.root.chmod(_PRIVATE)
        ours = (self.logs, self.of("apiserver"), self.of("controller"))
        todo = [path for path in self.root.iterdir() if path in ours or not path.is_dir()]
        while todo:
            path = todo.pop()
            with contextlib.suppress(FileNotFoundError):  # another `up` may be at work
                about = path.lstat()
                if about.st_uid == os.geteuid() and stat.S_ISDIR(about.st_mode):
                    path.chmod(_PRIVATE)
                    todo.extend(path.iterdir())
                elif about.st_uid == os.geteuid() and stat.S_ISREG(about.st_mode):
                    path.chmod(_PRIVATE_FILE)

    def _refuse_foreign(self) -> None:
        """Refuse a directory that is somebody's for something else: its mode will be changed."""
        if self.root.stat().st_uid != os.geteuid():
            raise CommandError(
                f"the data directory {self.root} belongs to another user: "
                "name one of your own with --data-dir"
            )
        if not self.lock.exists() and any(self.root.iterdir()):
            raise CommandError(
                f"{self.root} is not empty and is no data directory of agentsmesh: "
                "name an empty or a new one with --data-dir"
            )


def default_root() -> Path:
    """Return the data directory that is used when none is named."""
    if named := os.environ.get("AGENTSMESH_DATA_DIR"):
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser().absolute() / "agentsmesh"


def locate(named: str | None) -> DataDir:
    """Return the data directory *named*, or the default one."""
    return DataDir(Path(named).expanduser().absolute() if named else default_root())


def write_private(path: Path, content: bytes) -> None:
    """Write *path* whole or not at all, readable by its owner alone, and have it on disk."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in *path*; empty if there is none or it cannot be read as such."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


@contextlib.contextmanager
def held(directory: DataDir) -> Iterator[None]:
    """Hold *directory* for as long as the context lasts: one `up` at a time.

    The kernel lets go of it when the process ends, however it ends.

    Raises:
        CommandError: Another process holds it, or it cannot be written.
    """
    handle = os.open(directory.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(handle)
            who = f"process {holder.pid}" if holder else "another process"
            raise CommandError(
                f"agentsmesh runs already on {directory.root} ({who}): "
                f"see `agentsmesh status{directory.option}`, "
                f"end it with `agentsmesh down{directory.option}`"
            ) from None
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode("ascii"), 0)
        except OSError as exc:
            raise CommandError(f"{directory.lock} cannot be written: {exc.strerror}") from exc
        yield
    finally:
        os.close(handle)


def holder(directory: DataDir) -> processes.Process | None:
    """Return the process that holds *directory*; None if nobody does."""
    try:
        handle = os.open(directory.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(handle)
    else:
        return None
    finally:
        os.close(handle)


def _holder(handle: int) -> processes.Process | None:
    """Return who locked the file behind *handle*."""
    try:
        return processes.find(int(os.pread(handle, _MAX_PID_BYTES, 0)))
    except ValueError:
        return None  # between taking the lock and writing the pid
