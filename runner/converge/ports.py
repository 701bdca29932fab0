"""What converging needs of its surroundings."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from meshwire.v1 import link_pb2

from gitaccess.credentials import Credentials
from runner.converge.workshop import Cleared, Plan, Ready
from runner.drivers.terminal_values import Absent, Alive, Exited, Launch, Observed, State
from runner.drivers.worktree_values import WorktreeState


class Terminals(Protocol):
    """What is needed of ``runner.drivers.terminal.Terminals``."""

    async def start(self, launch: Launch) -> Alive:
        """Start the run."""
        ...

    async def observe(self, run_dir: Path) -> Observed:
        """Return what is known of the run."""
        ...

    async def stop(self, run_dir: Path, grace_seconds: float) -> None:
        """Ask the run to end."""
        ...

    async def freeze(self, run_dir: Path) -> None:
        """Stop all processes of the run where they are. Idempotent."""
        ...

    async def thaw(self, run_dir: Path) -> None:
        """Have them go on. Idempotent."""
        ...

    async def watch_exit(self, run_dir: Path) -> Exited | Absent:
        """Wait for its end."""
        ...

    def size(self, transcript_dir: Path) -> int:
        """Return the length of the transcript."""
        ...

    async def state(self, run_dir: Path) -> State:
        """Return what the live shim says about itself."""
        ...


class Workshop(Protocol):
    """What is needed of ``runner.converge.workshop.Workshop``."""

    async def prepare(self, pod: link_pb2.PodDesired, secrets: Credentials | None) -> Ready:
        """Make worktree and home."""
        ...

    async def plan(
        self,
        pod: link_pb2.PodDesired,
        restart: int,
        ready: Ready,
        *,
        resumed: bool = False,
        prompted: bool = True,
    ) -> Plan:
        """Return how the pod is started: again (*resumed*), and with its prompt or without."""
        ...

    async def inspect(self, uid: str) -> WorktreeState | None:
        """Return how the worktree stands."""
        ...

    async def clear(self, uid: str) -> Cleared:
        """Save the work, leave nothing."""
        ...


class Setups(Protocol):
    """What makes a new worktree ready, in the pod's sandbox, before its agent is started."""

    async def run(self, pod: link_pb2.PodDesired, ready: Ready) -> None:
        """Run what is to be run once in a new worktree and was not; cancelled, end it.

        Raises:
            NotPreparedError: It failed.
        """
        ...

    async def end(self, uid: str) -> None:
        """End what an earlier runner left running of it. Idempotent."""
        ...


class Secrets(Protocol):
    """Fetches what a pod needs to start and no journal may hold."""

    async def fetch(self, ref: link_pb2.PodRef) -> Credentials | None:
        """Return credentials for the pod's repository.

        Raises:
            NotPreparedError: They cannot be had.
        """
        ...


class Prompts(Protocol):
    """What is needed of ``runner.converge.deliveries.Deliveries``."""

    wake: Callable[[], None]
    note: Callable[[str, str, str], None]
    given: Callable[[str], None]

    def running(self, tasks: asyncio.TaskGroup) -> None:
        """Begin to work for every pod that has something to be delivered."""
        ...

    def tools_listed(self, uid: str) -> None:
        """Look again: the pod's agent has listed its tools."""
        ...


class Wanted(Protocol):
    """What the link hands over: ``runner.link.inbox.Wanted``."""

    @property
    def controller_epoch(self) -> int:
        """Epoch of the controller that wants this."""
        ...

    @property
    def pods(self) -> tuple[link_pb2.PodDesired, ...]:
        """Every pod that is wanted."""
        ...

    @property
    def allow_empty(self) -> bool:
        """Whether wanting nothing is meant."""
        ...
