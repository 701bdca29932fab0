"""Freezes and thaws runs, and says why they are ended; shims of older runners know neither."""

import json
from pathlib import Path
from typing import Final

from runner.drivers.terminal_client import connected
from runner.drivers.terminal_observe import protocol_of
from runner.drivers.terminal_values import NotOffered
from runner.shim.custody import Cause
from runner.shim.frames import Kind

_PROTOCOL: Final = 3
_LONGEST: Final = 300
"""Characters of a cause's sentence: the record of an exit has little room."""


async def hold(run_dir: Path, *, frozen: bool) -> None:
    """Let no process of the run go on, or all again.

    Raises:
        NotRunning: No shim answers.
        NotOffered: The shim cannot freeze.
        TerminalError: Some of the processes cannot be stopped.
    """
    async with connected(run_dir) as channel:
        if protocol_of(run_dir) < _PROTOCOL:
            if frozen:
                raise NotOffered("the pod was started by an older runner, which cannot freeze it")
            return
        await channel.ask(Kind.FREEZE if frozen else Kind.THAW)


def said(run_dir: Path, cause: Cause) -> bytes:
    """Return what follows the grace in a request to stop; empty without a cause."""
    if not cause.reason or protocol_of(run_dir) < _PROTOCOL:
        return b""
    return json.dumps([cause.reason, cause.detail[:_LONGEST]]).encode("ascii")
