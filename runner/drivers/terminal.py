"""Terminals of pods: starts, observes, stops, types into and follows them.

Every run is held by a shim (``runner/shim``), a process of its own that outlives this one. So
all methods take the run's directory and work as well for runs that an earlier daemon started.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self
from weakref import WeakValueDictionary

from runner.drivers import terminal_once as once
from runner.drivers.cgroups.cgroups import Cgroups
from runner.drivers.limits.keeping import equipped
from runner.drivers.screen import Screen
from runner.drivers.terminal_client import connected
from runner.drivers.terminal_follow import follow, watch_exit
from runner.drivers.terminal_hold import hold, said
from runner.drivers.terminal_leftovers import kill_leftovers, kill_shim
from runner.drivers.terminal_marks import forget_group
from runner.drivers.terminal_mcp import mcp_socket
from runner.drivers.terminal_observe import observe
from runner.drivers.terminal_transcript import Reader, size
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
    Listener,
    McpSocket,
    NotOffered,
    NotRunning,
    Observed,
    State,
    TerminalError,
)
from runner.drivers.terminal_zygote import HOLDER_FAILED, Zygote
from runner.shim.custody import NO_CAUSE, Cause
from runner.shim.frames import MAX_INPUT, MILLISECONDS, OFFSET, SIGNUM, SIZE, Kind

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
    "McpSocket",
    "NotOffered",
    "NotRunning",
    "Observed",
    "State",
    "TerminalError",
    "Terminals",
]

SCREEN_BYTES: Final = 1024 * 1024
"""A screen is rebuilt from this much of the transcript's end: some 5 ms, and plenty for a TUI."""

_STARTS_AT_ONCE: Final = 32
_TYPED_REMEMBERED: Final = 4096
_PIECES_UNDER_WAY: Final = 4
UNDER_WAY_BYTES: Final = _PIECES_UNDER_WAY * MAX_INPUT
"""So much may be on its way into a terminal that does not take it."""

_STOP_ATTEMPTS: Final = 100
_LOOK_AGAIN_SECONDS: Final = 0.02
_LONGEST_GRACE: Final = 2**32 - 1


class Terminals:
    """The terminals of one runner. Close it before the loop ends; the runs go on."""

    def __init__(self, cgroups: Cgroups | None = None) -> None:
        self._zygote = Zygote()
        self._cgroups = cgroups if cgroups is not None else Cgroups.none()
        self._starting = asyncio.Semaphore(_STARTS_AT_ONCE)
        # One writer at a time per run, so that two long inputs do not mix.
        self._typing: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
        self._typed_at: dict[Path, float] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def zygote_pid(self) -> int | None:
        """The process that forks the shims; None before the first start."""
        return self._zygote.pid

    async def close(self) -> None:
        """End the zygote. Runs are not touched."""
        await self._zygote.close()

    async def start(self, launch: Launch) -> Alive:
        """Start the run and return when the program was executed.

        Raises:
            LaunchError: It was not started; its reason says why.
        """
        try:
            async with self._starting:
                launch = await asyncio.to_thread(equipped, launch, self._cgroups)
                return await self._zygote.launch(launch)
        except LaunchError as exc:
            if exc.reason == HOLDER_FAILED:
                await self._clear(launch.run_dir)
            await asyncio.to_thread(forget_group, launch, exc.reason)
            raise
        finally:
            if launch.mcp is not None and isinstance(launch.mcp.where, Listener):
                launch.mcp.where.close()

    async def observe(self, run_dir: Path) -> Observed:
        """Return what is known of the run; asks the operating system, never memory."""
        return await asyncio.to_thread(observe, run_dir)

    async def state(self, run_dir: Path) -> State:
        """Return what the live shim says.

        Raises:
            NotRunning: No shim answers.
        """
        answer = await _ask(run_dir, Kind.STATE)
        return State.told(json.loads(answer))

    async def stop(self, run_dir: Path, grace_seconds: float, cause: Cause = NO_CAUSE) -> None:
        """Ask the run to end: SIGTERM and SIGHUP, after the grace SIGKILL to every descendant.

        *cause* is what ``Exited`` shall say of it.

        Idempotent; returns when asked, not when ended (``watch_exit`` tells that). When the shim
        itself is dead, whatever of the run is left is killed.

        Raises:
            TerminalError: Something that is left cannot be killed.
        """
        grace = MILLISECONDS.pack(min(_LONGEST_GRACE, max(0, round(grace_seconds * 1000))))
        grace += said(run_dir, cause)
        for _ in range(_STOP_ATTEMPTS):
            try:
                await _ask(run_dir, Kind.STOP, grace)
            except NotRunning:
                observed = await self.observe(run_dir)
                if isinstance(observed, Exited):
                    return
                if isinstance(observed, Absent):
                    break
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)  # it is about to end, or to begin
            except TimeoutError:
                break
            else:
                return
        await self._clear(run_dir)

    async def freeze(self, run_dir: Path) -> None:
        """Let no process of the run go on, until ``thaw``. Idempotent.

        Raises:
            NotRunning: No shim answers.
            NotOffered: The shim is of an older runner.
            TerminalError: Some of the processes cannot be stopped; all go on.
        """
        await hold(run_dir, frozen=True)

    async def thaw(self, run_dir: Path) -> None:
        """Let the run go on. Idempotent.

        Raises:
            NotRunning: No shim answers.
        """
        await hold(run_dir, frozen=False)

    async def frozen(self, run_dir: Path) -> bool:
        """Return whether the run is frozen; False as well when it has ended."""
        try:
            return (await self.state(run_dir)).frozen
        except NotRunning:
            return False

    async def signal(self, run_dir: Path, signum: int) -> None:
        """Signal the program's process group.

        Raises:
            NotRunning: No shim answers.
            TerminalError: There is no such signal.
        """
        await _ask(run_dir, Kind.SIGNAL, SIGNUM.pack(signum))

    async def write(
        self, run_dir: Path, data: bytes, taken: Callable[[int], None] = lambda _: None
    ) -> None:
        """Type into the terminal; returns when the terminal took all of it.

        Waits as long as the program does not read; the caller bounds that. Cancelled, some of
        *data* may be typed still: at most ``UNDER_WAY_BYTES`` behind what it took. *taken* is
        told, again and again, how many bytes it took so far.

        Raises:
            NotRunning: No shim answers, or it ended meanwhile.
        """
        turn = self._typing.setdefault(run_dir, asyncio.Lock())
        async with self._noted(run_dir), turn, connected(run_dir) as channel:
            sent = got = 0
            pieces = -(-len(data) // MAX_INPUT)
            while got < pieces:
                while sent < min(pieces, got + _PIECES_UNDER_WAY):
                    at = sent * MAX_INPUT
                    await channel.send(Kind.INPUT, OFFSET.pack(at) + data[at : at + MAX_INPUT])
                    sent += 1
                await channel.receive()
                got += 1
                taken(min(len(data), got * MAX_INPUT))

    @asynccontextmanager
    async def _noted(self, run_dir: Path) -> AsyncIterator[None]:
        """Note that somebody types there, as it begins and as it ends."""
        self._note_typed(run_dir)
        try:
            yield
        finally:
            self._note_typed(run_dir)

    def _note_typed(self, run_dir: Path) -> None:
        self._typed_at.pop(run_dir, None)  # so that the oldest stay in front
        self._typed_at[run_dir] = time.monotonic()
        if len(self._typed_at) > _TYPED_REMEMBERED:
            del self._typed_at[next(iter(self._typed_at))]

    def typed_at(self, run_dir: Path) -> float:
        """Return when ``write`` last began or ended to type there; minus infinity: never.

        That is what people and other agents type, and not what ``write_once`` brings.
        """
        return self._typed_at.get(run_dir, float("-inf"))

    async def write_once(self, run_dir: Path, key: str, data: bytes) -> bool:
        """Type *data* in one go, unless the run took input with that *key* before.

        Returns True when it was typed now, False when before; in both cases the terminal has all
        of it. Whatever happens on the way, also to this process, asking again with the same key
        is right: the shim has received all or nothing, and remembers the last 256 keys. Waits as
        long as the program does not read; the caller bounds that. Cancelled, it may be typed yet.

        Raises:
            NotRunning: No shim answers, or it ended meanwhile.
            NotOffered: The shim is of an older runner and cannot tell what it typed.
            TerminalError: Too much waits for the program already; nothing was typed.
            ValueError: A key of no or more than 255 bytes, or more than 256 KiB of data.
        """
        request = once.request(key, data)
        turn = self._typing.setdefault(run_dir, asyncio.Lock())
        async with turn, connected(run_dir) as channel:
            return await once.typed(channel, run_dir, request)

    async def mcp(self, run_dir: Path) -> McpSocket:
        """Return the listening socket of the run's MCP server, as its shim holds it.

        It works for runs that an earlier daemon started. The caller closes its socket.

        Raises:
            NotRunning: No shim answers: the run never began, or has ended.
            NotOffered: The run has no such socket.
        """
        return await mcp_socket(run_dir)

    async def resize(self, run_dir: Path, cols: int, rows: int) -> None:
        """Set the terminal's size; the program receives SIGWINCH.

        Raises:
            NotRunning: No shim answers.
        """
        await _ask(run_dir, Kind.RESIZE, SIZE.pack(cols, rows))

    async def watch_exit(self, run_dir: Path) -> Exited | Absent:
        """Wait for the end of the run, told by the shim and not by looking again and again."""
        return await watch_exit(run_dir)

    def follow(
        self, transcript_dir: Path, run_dir: Path | None, offset: int
    ) -> AsyncIterator[Chunk | Gap | Ended]:
        """Give the transcript from *offset* on, and live when *run_dir* is given; ``Ended`` last.

        A slow reader costs nobody anything: it reads the files later.
        """
        return follow(transcript_dir, run_dir, offset)

    async def screen(self, transcript_dir: Path, cols: int, rows: int) -> tuple[Screen, int]:
        """Return the screen as of now and the offset to follow from; close the screen.

        Built from the end of the transcript, as if the size had always been the given one.
        """
        return await asyncio.to_thread(_replay, transcript_dir, cols, rows)

    def size(self, transcript_dir: Path) -> int:
        """Return the absolute offset behind the last byte on disk; 0 without a transcript."""
        return size(transcript_dir)

    def read(self, transcript_dir: Path, offset: int, limit: int) -> Chunk | Gap | None:
        """Return at most *limit* bytes from *offset* on, the gap there, or None at the end."""
        with Reader(transcript_dir) as reader:
            return reader.read(offset, limit)

    async def _clear(self, run_dir: Path) -> None:
        """End a run whose shim is dead or stuck."""
        await asyncio.to_thread(kill_shim, run_dir)
        await asyncio.to_thread(kill_leftovers, run_dir)


def _replay(transcript_dir: Path, cols: int, rows: int) -> tuple[Screen, int]:
    end = size(transcript_dir)
    offset = max(0, end - SCREEN_BYTES)
    screen = Screen(cols, rows)
    with Reader(transcript_dir) as reader:
        while (item := reader.read(offset, SCREEN_BYTES, end)) is not None:
            offset = item.end
            if isinstance(item, Chunk):
                screen.feed(item.data)
    return screen, offset


async def _ask(run_dir: Path, kind: Kind, payload: bytes = b"") -> bytes:
    async with connected(run_dir) as channel:
        return await channel.ask(kind, payload)
