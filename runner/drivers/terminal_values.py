"""The values that the terminal driver takes and gives.

* TerminalError
  + LaunchError   -- the agent was not started; nothing of it runs
  + NotRunning    -- no shim answers in that run directory: look with ``observe``
  + NotOffered    -- the run lives, but has not what was asked of it
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from runner.drivers.limits.values import Asked

SEGMENT_BYTES: Final = 8 * 1024 * 1024
"""A transcript file is closed and the next one begun at this size."""

TRANSCRIPT_BYTES: Final = 256 * 1024 * 1024
"""The oldest transcript files are dropped beyond this sum."""


class TerminalError(Exception):
    """A terminal could not do what was asked."""


class LaunchError(TerminalError):
    """The agent was not started, and nothing of it is left.

    ``reason`` is one of ``CommandNotFound``, ``CommandNotExecutable``, ``WorkingDirectory``,
    ``CommandTooLong``, ``BadArgument``, ``ExecFailed``, ``AlreadyStarted``,
    ``RunDirectory``, ``HolderFailed``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class NotRunning(TerminalError):  # noqa: N818  a state of the world, named like one
    """No shim answers for that run directory: it never began, or has ended."""


class NotOffered(TerminalError):  # noqa: N818  a state of the world, named like one
    """The run goes on without it: it was started without, or by an older runner."""


class Listener:
    """A listening socket that waits to be handed over; closed when it is dropped."""

    def __init__(self, sock: socket.socket) -> None:
        self.address, self.port = sock.getsockname()[:2]
        self.fd = sock.detach()

    def close(self) -> None:
        """Close it here. Idempotent; whoever it was handed to keeps it."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class Inside(StrEnum):
    """How a socket is made inside the network of a sandbox. The program there cannot run before."""

    BUBBLEWRAP = "bubblewrap"
    """bwrap tells its process on ``INFO_FD``, and waits for the end of ``BLOCK_FD``."""

    WRAPPER = "wrapper"
    """Our own wrapper makes it, and sends it over ``HANDOVER_FD``."""


@dataclass(frozen=True, slots=True)
class McpLaunch:
    """The socket on which the run's agent finds its MCP server, and who may use it."""

    token_sha256: str
    """In hexadecimal: of the token that the agent has in its environment."""

    where: Listener | Inside
    """It listens already; or it is made by the shim, at ``INSIDE_PORT`` of the run's own network.

    The shim holds it as long as the run lives, and no process of the run gets it. ``start`` closes
    a ``Listener`` here, whether it succeeds or not.
    """


@dataclass(frozen=True, slots=True)
class McpSocket:
    """The listening socket of a run's MCP server. The receiver closes its copy."""

    socket: socket.socket
    """Does not block. A duplicate: closing it leaves the shim's, where connections wait."""

    address: str
    """As the run's processes see it; in a network of their own it is theirs alone."""

    port: int
    token_sha256: str
    """In hexadecimal: of the run's token."""


@dataclass(frozen=True, slots=True)
class Launch:
    """All that a shim needs to start one run of a pod."""

    uid: str
    """The AgentPod's UID. Every process of the run carries it as ``AGENTSMESH_POD_UID``."""

    epoch: int
    """Which placement of the pod this is."""

    restart: int
    """Which restart within the epoch this is; 0 is the first start."""

    run_dir: Path
    """The run's own directory, made when absent: socket, lock, identity, exit. Never reused."""

    transcript_dir: Path
    """The pod's transcript directory, made when absent; byte offsets go on over restarts."""

    argv: tuple[str, ...]
    """Program and arguments. A program without ``/`` is sought in the environment's ``PATH``."""

    environment: Mapping[str, str] = field(repr=False)
    """The whole environment; nothing of the runner's own is added but ``AGENTSMESH_POD_UID``.

    Secrets are expected here: it travels in memory only and is never shown.
    """

    cwd: Path
    """Working directory of the program."""

    cols: int = 120
    """Width of the terminal at the start."""

    rows: int = 40
    """Height of the terminal at the start."""

    pass_fds: Mapping[int, int] = field(default_factory=dict)
    """Number in the child (3 to 63) by descriptor in this process; the caller closes its own."""

    contents: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    """What the child can read, by its number (3 to 63) of the descriptor; secrets are expected."""

    account: int = 0
    """Whom the terminal belongs to, so that the program may open it by its name; 0: the runner."""

    counted: bool = False
    """Whether the program limits the number of processes below it by itself, as its sandbox can."""

    scoped: bool = False
    """Whether the child is kept from abstract unix sockets that are not its own.

    It needs a kernel that can do it, and no set-user-id program works in the run then.
    """

    limits: Mapping[str, int] = field(default_factory=dict)
    """Resource limits of the child by lower-case name without ``RLIMIT_``, such as ``nofile``."""

    wrapper: bool = False
    """Whether ``argv[0]`` is a wrapper such as bwrap, whose death would kill the agent at once.

    A graceful stop then signals the processes inside, and not those named like the wrapper.
    """

    mcp: McpLaunch | None = None
    """None: the run has no MCP server."""

    script: str = ""
    """Which of the pod's scripts it is, and which attempt: no other run of the pod is named so.
    Empty: the agent."""

    asked: Asked = field(default_factory=Asked)
    """What the run may use."""

    kept: Mapping[str, str] = field(default_factory=dict)
    """What keeps each of the limits; set by ``Terminals.start``, as is all from here to *umask*."""

    group: tuple[str, ...] = ()
    """Directories of the control group in which the program starts; the run's own, made before.

    The shim removes it when nothing of the run is left.
    """

    out_of_memory: str = ""
    """What to say when the kernel killed a process of the group for want of memory: the whole run
    is ended then. Empty: the group's memory is not limited, and what goes on may go on."""

    umask: int = 0o022
    """File mode creation mask of the child."""

    grace_seconds: float = 10.0
    """Time to end by itself when the shim is told to stop by a signal, as at machine shutdown."""

    segment_bytes: int = SEGMENT_BYTES
    """Size of one transcript file."""

    transcript_bytes: int = TRANSCRIPT_BYTES
    """Size of the whole transcript of the pod."""


@dataclass(frozen=True, slots=True)
class Alive:
    """The run goes on: its shim holds the lock."""

    uid: str
    epoch: int
    restart: int
    pid: int
    """Process of the shim."""
    child_pid: int
    """Process that the shim started."""
    started_at: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The run ended, every process of it is gone, and the transcript is complete."""

    exit_code: int | None
    """None when a signal ended it."""
    signal: int | None
    """None when it exited by itself."""
    finished_at: float
    """Seconds since 1970."""
    offset: int
    """Absolute offset of the transcript's end."""
    lost_bytes: int
    """Output that could not be written during this run (disk full)."""
    step: str = ""
    """What the program was sent last, when it was asked to end: interrupted, terminated, hung up,
    killed. Empty: it was not asked, or an older shim does not tell."""
    cause: str = ""
    """Why the runner ended it, beyond what was asked for: OutOfMemory, OutOfDisk,
    TooManyProcesses; empty: it did not."""
    detail: str = ""
    """The sentence to *cause*."""
    full_pids: int = 0
    """How many processes and threads it might have, if it had that many; 0: not known to."""


@dataclass(frozen=True, slots=True)
class Absent:
    """No shim and no record of an exit."""

    died: bool
    """A shim was there and vanished: killed, or the machine restarted. False: nothing ever ran."""


Observed = Alive | Exited | Absent


@dataclass(frozen=True, slots=True)
class State:
    """What a live shim says about itself."""

    pid: int
    child_pid: int
    head: int
    """Absolute offset of the next byte of output."""
    lost_bytes: int
    """Output that could not be written during this run (disk full)."""
    cols: int
    rows: int
    stopping: bool
    """A stop was asked for, or the program ended and what it left behind is being ended."""
    frozen: bool = False
    """No process of the run goes on until it is thawed."""
    line_mode: bool = False
    """Whether the terminal collects whole lines; it drops what is beyond 4095 bytes of one.

    False also where the shim is of an older runner, which does not tell.
    """
    echo: bool = True
    """Whether the terminal shows what is typed; True also where an older shim does not tell."""
    unread: int | None = None
    """Bytes of input that the program has not read: in the terminal (in line mode those of whole
    lines), and on their way into it. None where the shim is of an older runner.
    """

    last_key: str = ""
    """What ``write_once`` typed last; empty: nothing, or the shim is of an older runner."""

    @classmethod
    def told(cls, said: Mapping[str, Any]) -> Self:
        """Return what a shim said, without what only a newer runner knows."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in said.items() if name in known})


@dataclass(frozen=True, slots=True)
class Chunk:
    """Output, beginning at an absolute offset."""

    offset: int
    data: bytes

    @property
    def end(self) -> int:
        """Offset of the byte behind it."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True)
class Gap:
    """Output that exists no longer (dropped) or never did (disk full): ``[start, end)``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more comes from this run."""

    offset: int
    """Where the output of the pod's next run will begin."""
    observed: Exited | Absent | None
    """How the run ended; None when only history was asked for."""
