"""The values that the sandbox driver takes and gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from runner.drivers.errors import DriverError
from runner.drivers.terminal_values import Inside

OUTSIDE: Final = MappingProxyType({"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
"""The environment of what makes a sandbox."""


class SandboxRefusedError(DriverError):
    """The sandbox that was asked for cannot be had on this machine."""

    reason = "SandboxRefused"


class Isolation(StrEnum):
    """What keeps a pod's processes in, as status says it."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    NONE = "none"


class Want(StrEnum):
    """What the AgentPod asks for."""

    REQUIRED = "required"
    PREFERRED = "preferred"
    NONE = "none"


class Network(StrEnum):
    """What of the network the pod may use."""

    HOST = "host"
    NONE = "none"
    ALLOWLIST = "allowlist"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this machine offers, found by trying."""

    bubblewrap: Path | None = None
    """The bwrap that works here."""

    landlock: int = 0
    """ABI version of Landlock; 0 when there is none."""

    network_namespace: bool = False
    """Whether a process may leave the network without bubblewrap."""

    scopes: bool = False
    """Whether a pod can be kept from the machine's abstract unix sockets (Landlock ABI 6)."""

    root: bool = False
    """Whether the runner's account is root's, which Landlock hardly holds."""

    accounts: bool = False
    """Whether each pod can have a number of its own: the runner is root, and bubblewrap works."""

    counts: bool = False
    """Whether a pod's processes can be limited by their number in the sandbox' own namespace: the
    kernel counts them there alone, not with all others of the runner's account."""

    why_not: str = ""
    """One sentence on what is missing, for the refusal."""

    @property
    def landlock_holds(self) -> bool:
        """Whether Landlock alone is enough for a pod that requires a sandbox.

        Root's files are root's to chmod, and before ABI 6 processes can be signalled.
        """
        return self.landlock >= 6 and not self.root


@dataclass(frozen=True, slots=True)
class SandboxRequest:
    """What is to be started, and what it may see."""

    argv: tuple[str, ...]
    """The agent's command line; its first item is the absolute path of the executable."""

    cwd: Path
    """Where it starts: its worktree, else its home."""

    home: Path
    """The pod's home, writable."""

    tmp: Path
    """The pod's directory for temporary files, writable; ``/tmp`` inside where that is possible."""

    private: Path
    """A directory of the runner's for this pod, for the few files that a sandbox needs."""

    writable: tuple[Path, ...] = ()
    """The worktree and the pod's repository."""

    readable: tuple[Path, ...] = ()
    """Object folders of the cache, and what the operator lets all pods read."""

    extra_writable: tuple[str, ...] = ()
    """``spec.sandbox.writablePaths``: taken only where in ``allowed_writable``."""

    allowed_writable: tuple[Path, ...] = ()
    """Folders that the runner's operator lets pods write to, each as a whole."""

    protected: tuple[Path, ...] = ()
    """Never to be seen whatever else is said: the runner's data directory."""

    search_path: tuple[Path, ...] = ()
    """Where the interpreter of a script is looked for."""

    account: int = 0
    """The number that the pod is to have of its own; 0: the runner's. What is ``writable``, home
    and ``tmp`` belong to it already, and ``readable`` can be read by it."""

    isolation: Want = Want.PREFERRED
    network: Network = Network.HOST

    none_allowed: bool = False
    """Whether the runner's operator lets pods run without a sandbox, as the runner's account."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The agent's whole environment, with its secrets."""

    pids: int = 0
    """How many processes and threads there may be inside, where they can be counted there."""

    mcp: bool = False
    """Whether the pod's MCP server listens inside, where it has a network of its own."""

    settings: Path | None = None
    """A directory of the runner's for copies of the machine's settings, the same for all pods;
    None: one within ``private``."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """How to start it."""

    argv: tuple[str, ...]
    """The command line with the sandbox around it."""

    isolation: Isolation
    """What it really has, for the status."""

    network: Network
    """What it really has, for the status."""

    environment: Mapping[str, str] = field(repr=False)
    """What the first process is started with: the sandbox' own, not the agent's, which could have
    it run the pod's code before the sandbox stands."""

    contents: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    """Descriptors that the command line names, and what is to be read there."""

    scoped: bool = False
    """Whether the first process is to be kept from the machine's abstract unix sockets."""

    counted: bool = False
    """Whether it limits the number of processes itself."""

    note: str = ""
    """One sentence on what is weaker than asked for; empty when nothing is."""

    inside: Inside | None = None
    """How that socket is made; None: it is not made inside."""

    wrapper: str = ""
    """Name of the process that stays around the agent, ``bwrap``; empty when there is none."""
