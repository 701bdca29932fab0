"""Types an agent's first prompt into its terminal once it shows that it takes one.

Here is only watched and said what to type; that it is typed once is the journal's business.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, Protocol

from meshwire.v1 import link_pb2

from runner.drivers.terminal_values import Chunk, Ended, Gap

_QUIET_SECONDS: Final = 2.0
"""Without a sign to look for, an agent that was quiet for so long is taken to be ready."""

_LOOK_SECONDS: Final = 0.1
_TIMEOUT_SECONDS: Final = 60.0
_PASTE_BEGIN: Final = "\x1b[200~"
_PASTE_END: Final = "\x1b[201~"
_PASTE_MODE: Final = b"\x1b[?2004h"
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""All control characters but tab and newline: typed ones would be keys, not text."""


class Follow(Protocol):
    """What is needed of ``runner.drivers.terminal.Terminals``."""

    def follow(
        self, transcript_dir: Path, run_dir: Path | None, offset: int
    ) -> AsyncIterator[Chunk | Gap | Ended]:
        """Give the transcript from an offset on."""
        ...


class Screen(Protocol):
    """What is needed of ``runner.drivers.screen.Screen``."""

    def feed(self, data: bytes) -> None:
        """Take output."""
        ...

    def text(self) -> str:
        """Return what one sees."""
        ...

    def redraw(self) -> bytes:
        """Return the bytes that draw it, modes included."""
        ...

    def close(self) -> None:
        """Free its memory."""
        ...


def is_typed(pod: link_pb2.PodDesired) -> bool:
    """Whether the pod has a prompt that is to be typed."""
    return pod.spec.prompt_position == link_pb2.PROMPT_TYPED and bool(pod.spec.prompt)


def keys(prompt: str, submit_keys: str, *, bracketed: bool) -> bytes:
    """Return what to type: the prompt as text, never as keys, and then what submits it."""
    text = _CONTROL.sub("", prompt.replace("\r\n", "\n").replace("\r", "\n"))
    if bracketed:  # as terminals do it: a pasted newline is a carriage return
        text = _PASTE_BEGIN + text.replace("\n", "\r") + _PASTE_END
    return (text + (submit_keys or "\r")).encode()


class Prompter:
    """Watches terminals of agents that wait for their prompt."""

    def __init__(self, terminals: Follow, screen: Callable[[int, int], Screen]) -> None:
        self._terminals = terminals
        self._screen = screen

    async def wait(
        self,
        pod: link_pb2.PodDesired,
        transcript_dir: Path,
        run_dir: Path,
        offset: int,
        late: Callable[[str], None],
    ) -> bytes | None:
        """Return what to type once the agent is ready, None when it ended before.

        *late* is told when it takes too long.
        """
        size = pod.spec.terminal
        watched = _Watched(self._screen(size.cols or 120, size.rows or 40))
        try:
            async with asyncio.TaskGroup() as tasks:
                stream = self._terminals.follow(transcript_dir, run_dir, offset)
                reading = tasks.create_task(watched.read(stream))
                waiting = tasks.create_task(watched.ready(pod.spec.readiness, late))
                await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
                is_ready = waiting.done()
                reading.cancel()
                waiting.cancel()
            if not is_ready:
                return None
            spec = pod.spec
            return keys(spec.prompt, spec.submit_keys, bracketed=watched.takes_paste())
        finally:
            watched.close()


class _Watched:
    """A screen that is fed while one looks at it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._changed_at = time.monotonic()
        self._changed = asyncio.Event()

    async def read(self, stream: AsyncIterator[Chunk | Gap | Ended]) -> None:
        """Feed the screen until the run ends."""
        async for item in stream:
            if isinstance(item, Chunk):
                self._screen.feed(item.data)
                self._changed_at = time.monotonic()
                self._changed.set()

    async def ready(self, readiness: link_pb2.Readiness, late: Callable[[str], None]) -> None:
        """Wait until the sign is there; without one, for two quiet seconds after some output."""
        limit = float(readiness.timeout_seconds or _TIMEOUT_SECONDS)
        sign = _compiled(readiness.regex)
        if sign is None:
            try:
                async with asyncio.timeout(limit):
                    await self._quiet()
            except TimeoutError:
                return  # one that never rests gets its prompt all the same
            return
        try:
            async with asyncio.timeout(limit):
                await self._shows(sign)
        except TimeoutError:
            late(
                f"The prompt is not typed yet: the terminal did not show readiness.regex within "
                f"{limit:.0f} s. Attach to see what the agent waits for."
            )
            await self._shows(sign)

    async def _quiet(self) -> None:
        await self._changed.wait()
        while (left := self._changed_at + _QUIET_SECONDS - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)  # output moves the moment: that is what is waited out

    async def _shows(self, sign: re.Pattern[str]) -> None:
        while not sign.search(self._screen.text()):
            self._changed.clear()
            await self._changed.wait()
            await asyncio.sleep(_LOOK_SECONDS)

    def takes_paste(self) -> bool:
        """Whether the program asked for pastes to be marked."""
        return _PASTE_MODE in self._screen.redraw()

    def close(self) -> None:
        """Free the screen."""
        self._screen.close()


def _compiled(regex: str) -> re.Pattern[str] | None:
    if not regex:
        return None
    try:
        return re.compile(regex, re.MULTILINE)
    except re.error:
        return None  # as without: the class's own conditions say that it is wrong
