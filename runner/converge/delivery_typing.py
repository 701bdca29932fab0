"""Hands one input to a terminal, once, however long its program takes to read."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from runner.drivers.terminal_values import NotOffered

_TYPING_SECONDS: Final = 60.0
"""After so long it is asked whether to go on waiting for a program that does not read."""

RESUMED: Final = (
    "The runner was restarted while it typed, into a pod of an older runner: "
    "it may have been taken."
)


class Keyboard(Protocol):
    """What is needed of ``runner.drivers.terminal.Terminals``."""

    async def write(self, run_dir: Path, data: bytes) -> None:
        """Type into the terminal."""
        ...

    async def write_once(self, run_dir: Path, key: str, data: bytes) -> bool:
        """Type unless the run took input with that key before."""
        ...


class UnreadError(Exception):
    """The program did not read; what was typed may be read later."""


class ResumedError(Exception):
    """Nobody knows whether it was typed before; it was not typed now."""


async def typed(
    keyboard: Keyboard,
    run_dir: Path,
    once: tuple[str, bytes],
    resumed: bool,  # noqa: FBT001  it says nothing but what became of it before
    give_up_at: float,
    unread: Callable[[], None],
) -> None:
    """Type what *once* says under its key; return when the terminal has all of it.

    *unread* is called each time the program has not read for long: it may raise.

    Raises:
        NotRunning: The run ended.
        UnreadError: The program does not read, and its time is over.
        ResumedError: It was begun before (*resumed*), and the shim, of an older runner, cannot
            tell what it typed.
    """
    key, data = once
    while True:
        try:
            async with asyncio.timeout(_TYPING_SECONDS):
                await keyboard.write_once(run_dir, key, data)
        except NotOffered as exc:  # rather never than twice
            if resumed:
                raise ResumedError from exc
            await _typed_unasked(keyboard, run_dir, data)
        except TimeoutError as exc:  # asking again is safe: the shim knows the key
            if time.monotonic() >= give_up_at:
                raise UnreadError from exc
            unread()
            continue
        return


async def _typed_unasked(keyboard: Keyboard, run_dir: Path, data: bytes) -> None:
    try:
        async with asyncio.timeout(_TYPING_SECONDS):
            await keyboard.write(run_dir, data)
    except TimeoutError as exc:
        raise UnreadError from exc
