"""Terminals of pods: starts, observes, stops, types into and follows them.

Every run is held by a shim (``runner/shim``), a process of its own that outlives this one. So
all methods take the run's directory and work as well for runs that an earlier daemon started.
"""

from collections.abc import AsyncIterator
from pathlib import Path

from runner.drivers.terminal_values import (
    SEGMENT_BYTES,
    TRANSCRIPT_BYTES,
    Absent,
    Alive,
    Chunk,
    Ended,
    Exited,
    Gap,
    Launch,
    LaunchError,
    NotRunning,
    Observed,
    State,
    TerminalError,
)

__all__ = [
    "SEGMENT_BYTES",
    "TRANSCRIPT_BYTES",
    "Absent",
    "Alive",
    "Chunk",
    "Ended",
    "Exited",
    "Gap",
    "Launch",
    "LaunchError",
    "NotRunning",
    "Observed",
    "State",
    "TerminalError",
    "Terminals",
]


class Terminals:
    """The terminals of one runner. Close it before the loop ends; the runs go on."""

    async def close(self) -> None:
        """End the zygote. Runs are not touched."""
        raise NotImplementedError

    async def start(self, launch: Launch) -> Alive:
        """Start the run and return when the program was executed.

        Raises:
            LaunchError: It was not started; its reason says why.
        """
        raise NotImplementedError

    async def observe(self, run_dir: Path) -> Observed:
        """Return what is known of the run; asks the operating system, never memory."""
        raise NotImplementedError

    async def state(self, run_dir: Path) -> State:
        """Return what the live shim says.

        Raises:
            NotRunning: No shim answers.
        """
        raise NotImplementedError

    async def stop(self, run_dir: Path, grace_seconds: float) -> None:
        """Ask the run to end: SIGTERM and SIGHUP, after the grace SIGKILL to every descendant.

        Idempotent; returns when asked, not when ended (``watch_exit`` tells that). When the shim
        itself is dead, whatever of the run is left is killed.
        """
        raise NotImplementedError

    async def write(self, run_dir: Path, data: bytes) -> None:
        """Type into the terminal; returns when the terminal took all of it.

        Raises:
            NotRunning: No shim answers, or it ended meanwhile.
        """
        raise NotImplementedError

    async def resize(self, run_dir: Path, cols: int, rows: int) -> None:
        """Set the size of the terminal; the program receives SIGWINCH.

        Raises:
            NotRunning: No shim answers.
        """
        raise NotImplementedError

    async def watch_exit(self, run_dir: Path) -> Exited | Absent:
        """Wait for the end of the run, told by the shim and not by looking again and again."""
        raise NotImplementedError

    def follow(
        self, transcript_dir: Path, run_dir: Path | None, offset: int
    ) -> AsyncIterator[Chunk | Gap | Ended]:
        """Give the transcript from *offset* on, and live when *run_dir* is given; ``Ended`` last.

        A slow reader costs nobody anything: it reads the files later.
        """
        raise NotImplementedError

    def size(self, transcript_dir: Path) -> int:
        """Return the absolute offset behind the last byte on disk; 0 without a transcript."""
        raise NotImplementedError

    def read(self, transcript_dir: Path, offset: int, limit: int) -> Chunk | Gap | None:
        """Return at most *limit* bytes from *offset* on, the gap there, or None at the end."""
        raise NotImplementedError
