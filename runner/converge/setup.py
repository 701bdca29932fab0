"""Runs the setup scripts of a new worktree, in the pod's sandbox and terminal, each once.

A script is a run of its own: its shim outlives the runner, and whoever comes after a crash waits
for its end instead of starting it again. Below the pod's directory::

    setup/<script>-<attempt>/             run directory of an attempt
    setup/<script>-<attempt>.abandoned    its outcome does not count: it was ended by us, or told

A script is begun again only when nothing of an earlier attempt runs: after the machine, or the
script's shim, was killed in the middle; or when a pod is started again whose setup had failed.
"""

import asyncio
import dataclasses
import logging
import os
import re
import shlex
from pathlib import Path
from typing import Final, Protocol

from meshwire.v1 import link_pb2

from gitaccess.credentials import redact
from runner.clock import wall_ms
from runner.converge.outcome import crowded
from runner.converge.places import Places
from runner.converge.ports import Terminals
from runner.converge.unprepared import NotPreparedError
from runner.converge.workshop import Ready
from runner.drivers.terminal_values import Absent, Alive, Chunk, Exited, Launch, LaunchError

logger = logging.getLogger(__name__)

_GRACE_SECONDS: Final = 5.0
_AFTER_GRACE_SECONDS: Final = 20.0
_TAIL_BYTES: Final = 4096
_LINE_CHARACTERS: Final = 200
_CONTROL: Final = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-_])")


class Transcripts(Terminals, Protocol):
    """What is needed of ``runner.drivers.terminal.Terminals``."""

    def read(self, transcript_dir: Path, offset: int, limit: int) -> object:
        """Return a piece of the transcript."""
        ...


class Scripter(Protocol):
    """What is needed of ``runner.converge.workshop.Workshop``."""

    async def script(
        self, pod: link_pb2.PodDesired, ready: Ready, argv: tuple[str, ...], run_dir: Path
    ) -> Launch:
        """Return how a program is started in the pod's sandbox."""
        ...


class Setups:
    """Makes new worktrees ready."""

    def __init__(self, places: Places, terminals: Transcripts, workshop: Scripter) -> None:
        self._places = places
        self._terminals = terminals
        self._workshop = workshop

    async def run(self, pod: link_pb2.PodDesired, ready: Ready) -> None:
        """Run every script of the pod that has not succeeded yet, in their order.

        Cancelled, it leaves what runs alone: the next call waits for its end.

        Raises:
            NotPreparedError: One failed, or could not be started.
        """
        if ready.worktree is None:
            return
        for number, setup in enumerate(pod.spec.setup):
            await self._once(pod, ready, number, setup)

    async def end(self, uid: str) -> None:
        """End what runs of a pod's setup: its outcome does not count. Idempotent."""
        for _, _, run_dir in self._places.scripts(uid):
            if isinstance(await self._terminals.observe(run_dir), Alive):
                _abandon(run_dir)
                await self._stop(run_dir)

    async def _once(
        self, pod: link_pb2.PodDesired, ready: Ready, number: int, setup: link_pb2.Setup
    ) -> None:
        uid = pod.ref.pod_uid
        earlier = [each for each in self._places.scripts(uid) if each[0] == number]
        if earlier:
            run_dir = earlier[-1][2]
            found = await self._terminals.observe(run_dir)
            if isinstance(found, Absent):
                await self._terminals.stop(run_dir, 0.0)  # whatever outlived its shim
            elif not _is_abandoned(run_dir):
                await self._outcome(pod, run_dir, setup, found)
                return
            else:
                await self._stop(run_dir)
        attempt = earlier[-1][1] + 1 if earlier else 1
        run_dir = self._places.script(uid, number, attempt)
        found = await self._begin(pod, ready, setup, run_dir)
        await self._outcome(pod, run_dir, setup, found)

    async def _begin(
        self, pod: link_pb2.PodDesired, ready: Ready, setup: link_pb2.Setup, run_dir: Path
    ) -> Alive:
        await asyncio.to_thread(run_dir.parent.mkdir, mode=0o700, exist_ok=True)
        file = self._places.tmp(pod.ref.pod_uid) / f"setup-{run_dir.name}"
        argv = await asyncio.to_thread(_command, setup.script, file)
        launch = await self._workshop.script(pod, ready, argv, run_dir)
        launch = dataclasses.replace(launch, script=run_dir.name)
        try:
            alive = await self._terminals.start(launch)
        except LaunchError as exc:
            text = f"The setup script could not be started: {exc.message}"
            raise NotPreparedError("SetupFailed", text, retryable=False) from exc
        logger.info("setup begun", extra={"pod": pod.ref.pod_uid, "script": run_dir.name})
        return alive

    async def _outcome(
        self,
        pod: link_pb2.PodDesired,
        run_dir: Path,
        setup: link_pb2.Setup,
        found: Alive | Exited,
    ) -> None:
        """Wait for the end of an attempt.

        Raises:
            NotPreparedError: It failed.
        """
        if isinstance(found, Alive):
            left = found.started_at + setup.timeout_seconds - wall_ms() / 1000
            try:
                async with asyncio.timeout(max(0.0, min(left, setup.timeout_seconds))):
                    ended = await self._terminals.watch_exit(run_dir)
            except TimeoutError:
                await self._stop(run_dir)
                how = f"was ended: it took longer than its {setup.timeout_seconds} s"
                raise await self._failed(pod, run_dir, how) from None
        else:
            ended = found
        if not isinstance(ended, Exited):
            raise await self._failed(pod, run_dir, "was lost")
        if ended.cause:
            raise await self._failed(pod, run_dir, f"was ended: {ended.detail.removesuffix('.')}")
        if ended.exit_code == 0 and ended.signal is None:
            return
        how = f"ended with exit code {ended.exit_code}"
        if ended.exit_code is None:
            how = f"was ended by signal {ended.signal}"
        if said := crowded(ended):
            how = f"{how};{said.replace(' It', ' it').removesuffix('.')}"
        raise await self._failed(pod, run_dir, how)

    async def _failed(self, pod: link_pb2.PodDesired, run_dir: Path, how: str) -> NotPreparedError:
        """Return the error; a pod that is started again runs its setup again."""
        _abandon(run_dir)
        line = await asyncio.to_thread(self._last_line, pod.ref.pod_uid)
        said = f"; the last it said: {line}" if line else ""
        text = f"The setup script {how}{said}."
        return NotPreparedError("SetupFailed", text, retryable=False)

    def _last_line(self, uid: str) -> str:
        directory = self._places.transcript(uid)
        size = self._terminals.size(directory)
        found = self._terminals.read(directory, max(0, size - _TAIL_BYTES), _TAIL_BYTES)
        if not isinstance(found, Chunk):
            return ""
        text = _CONTROL.sub("", found.data.decode("utf-8", errors="replace"))
        lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
        return redact(lines[-1])[:_LINE_CHARACTERS] if lines else ""

    async def _stop(self, run_dir: Path) -> None:
        if not isinstance(await self._terminals.observe(run_dir), Alive):
            return
        await self._terminals.stop(run_dir, _GRACE_SECONDS)
        try:
            async with asyncio.timeout(_GRACE_SECONDS + _AFTER_GRACE_SECONDS):
                await self._terminals.watch_exit(run_dir)
        except TimeoutError as exc:
            text = "The processes of its setup script do not end."
            raise NotPreparedError("SetupFailed", text, retryable=True) from exc


def _abandoned(run_dir: Path) -> Path:
    return run_dir.with_name(run_dir.name + ".abandoned")


def _abandon(run_dir: Path) -> None:
    _abandoned(run_dir).touch()


def _is_abandoned(run_dir: Path) -> bool:
    return _abandoned(run_dir).exists()


def _command(script: str, file: Path) -> tuple[str, ...]:
    """Return what runs the script: a shell that ends at the first error, or its own interpreter."""
    first = script.partition("\n")[0]
    if not first.startswith("#!"):
        return ("/bin/sh", "-eu", "-c", script)
    try:
        interpreter = shlex.split(first[2:])
    except ValueError:
        interpreter = first[2:].split()
    file.unlink(missing_ok=True)  # an agent may have put a link there
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(file, flags, 0o755), "w", encoding="utf-8") as written:
        os.fchmod(written.fileno(), 0o755)
        written.write(script)
    return (*interpreter, str(file))
