"""What the MCP server needs of its surroundings, and the values that pass between its parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from meshwire.v1 import link_pb2

from runner.drivers.terminal_values import McpSocket


class Calls(Protocol):
    """What is needed of ``runner.link.tools.ToolsLink``."""

    async def call(self, request: link_pb2.ToolCall, timeout_seconds: float) -> link_pb2.ToolResult:
        """Have the controller carry out a call; cancelled, it is told so.

        Raises:
            Unreachable: It did not answer in time, or not at all: one sentence for an agent.
        """
        ...


class Sockets(Protocol):
    """What is needed of ``runner.drivers.terminal.Terminals``."""

    async def mcp(self, run_dir: Path) -> McpSocket:
        """Fetch the run's listening socket and the hash of its token from its shim.

        Raises:
            NotRunning: No shim answers.
            NotOffered: The run has no MCP server.
        """
        ...


class Feed(Protocol):
    """A subscription to changes."""

    def take(self) -> object:
        """Forget what changed so far."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Changes(Protocol):
    """What is needed of ``runner.converge.reports.Reports``."""

    def subscribe(self, wake: Callable[[], None]) -> Feed:
        """Have *wake* called whenever the state of a pod may have changed."""
        ...


class Heard(Protocol):
    """What is needed of ``runner.converge.watch.Watch``."""

    async def tools_listed(self, uid: str) -> None:
        """Note that the agent of the pod has asked for its tools: it is ready for its prompt."""
        ...

    def hook(self, uid: str, body: Mapping[str, Any]) -> None:
        """Take what is kept of a hook of the pod's agent."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a pod: what a token belongs to."""

    uid: str
    epoch: int
    restart: int

    def ref(self) -> link_pb2.PodRef:
        """Return the caller as the wire names it."""
        return link_pb2.PodRef(pod_uid=self.uid, epoch=self.epoch)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one pod may use."""

    body_bytes: int = 1024 * 1024 + 64 * 1024
    """Of a request: a document of 1 MiB and what is around it."""

    body_seconds: float = 30.0
    """In which a request's body must have come."""

    body_pause_seconds: float = 5.0
    """How late it may be at most, measured by the pace below."""

    body_bytes_per_second: float = 64 * 1024
    """Its slowest pace. On loopback it comes at once."""

    head_seconds: float = 2.0
    """In which a request's head must have come: the first one since the connection was taken."""

    idle_seconds: float = 120.0
    """After which a connection that is not used is closed: later than clients close it."""

    connections: int = 64
    """Open at once of those that have shown the token. More wait."""

    guests: int = 256
    """Open at once of those that have not, or wait. More wait in the socket's backlog."""

    requests_per_second: float = 300.0
    """More are slowed down, so that one pod cannot take the loop from the others.

    Who waits for each answer does not come so far: a call takes some 3 ms.
    """

    calls: int = 16
    """Carried out at once; the rest wait, in order."""

    turn_seconds: float = 20.0
    """How long a call waits for its turn before it is refused."""

    call_seconds: float = 30.0
    """How long it may take then."""
