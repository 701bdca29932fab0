"""Has screens drawn and transcripts packed by processes aside (``runner.terminals.worker``)."""

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_BOOT: Final = "import sys; sys.path[:] = sys.argv[1:]; from runner.terminals import worker; "
_RUN: Final = "worker.serve(sys.stdin.buffer, sys.stdout.buffer)"
_SECONDS: Final = 120.0
"""A screen is drawn in a fraction of a second; one that takes this long is drawn by nobody."""

_LINE_BYTES: Final = 64 * 1024


class WorkerError(Exception):
    """It was not done; the text is one sentence."""


class WorkerCrashed(WorkerError):  # noqa: N818  a state of the world, named like one
    """The process ended over it: asked again, it may well do so again."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A screen, as bytes that draw it."""

    offset: int
    """Where the stream goes on."""
    cols: int
    rows: int
    screen: bytes


class Aside:
    """One such process, started when it is first needed. Close it before the loop ends."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The process; None while there is none."""
        return self._process.pid if self._process else None

    async def draw(self, directory: Path, cols: int, rows: int) -> Drawn:
        """Return the screen of a transcript as of now.

        Raises:
            WorkerError: It could not be drawn.
        """
        head, screen = await self._ask(directory, {"do": "draw", "cols": cols, "rows": rows})
        return Drawn(head["offset"], head["cols"], head["rows"], screen)

    async def archive(
        self, directory: Path, cols: int, rows: int, *, checkpoint: bool = True
    ) -> None:
        """Pack what of the transcript is full.

        Raises:
            WorkerError: It could not be packed.
        """
        request = {"do": "archive", "cols": cols, "rows": rows, "checkpoint": checkpoint}
        await self._ask(directory, request)

    async def close(self) -> None:
        """End the process; the next request starts another."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()  # it leaves nothing half done that is not done again
            await process.wait()

    async def _ask(
        self, directory: Path, request: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bytes]:
        line = json.dumps({"directory": str(directory), **request}).encode() + b"\n"
        async with self._turn:
            try:
                async with asyncio.timeout(_SECONDS):
                    head, content = await self._answer(line)
            except (EOFError, OSError, ValueError, TimeoutError) as exc:
                await self.close()
                raise WorkerCrashed("The process that draws screens ended over it.") from exc
            except BaseException:
                await asyncio.shield(self.close())  # an answer may be under way: not the next one's
                raise
        if "error" in head:
            raise WorkerError(str(head["error"]))
        return head, content

    async def _answer(self, line: bytes) -> tuple[dict[str, Any], bytes]:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT + _RUN, *_paths()),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                cwd="/proc",
                env={},
                limit=_LINE_BYTES,
                start_new_session=True,
            )
        if process.stdin is None or process.stdout is None:
            raise EOFError
        process.stdin.write(line)
        await process.stdin.drain()
        head = json.loads(await process.stdout.readline())
        return head, await process.stdout.readexactly(head["bytes"])


def _paths() -> list[str]:
    return [os.path.abspath(path) for path in sys.path]  # noqa: PTH100  an empty one is here
