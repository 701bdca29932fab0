"""Answers what the controller asks of this runner's terminals: looks, texts and keys.

Who may ask is decided by the controller. Here only matters whether the pod's agent runs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from meshwire.v1 import link_pb2

from runner.converge.places import Places
from runner.converge.states import ALIVE, Row, State
from runner.drivers.screen import Screen
from runner.drivers.terminal_values import NotRunning, TerminalError
from runner.drivers.terminal_values import State as ShimState
from runner.terminals.emulator import Emulator, Question, Subject
from runner.terminals.emulators import Emulators
from runner.terminals.keys import UnknownKeyError, presses
from runner.terminals.look import TooLargeError, is_quick, looked, question

TYPING_SECONDS: Final = 25.0
"""A program that did not read all by then is too slow; the caller's own limit is 30 s."""

ESCAPE_PAUSE_SECONDS: Final = 0.12
"""Programs take an escape that is followed within 25 to 100 ms for the begin of a sequence."""

APPLICATION_CURSOR: Final = 1
"""The private mode in which cursor keys are sent in another way."""


class Terminals(Protocol):
    """What is needed of ``runner.drivers.terminal.Terminals``."""

    async def state(self, run_dir: Path) -> ShimState:
        """Return what the live shim says."""
        ...

    async def write(
        self, run_dir: Path, data: bytes, taken: Callable[[int], None] = lambda _: None
    ) -> None:
        """Type; tell how much was taken."""
        ...


_SUSPENDED: Final = (
    "The pod is suspended, so nobody reads what is typed: wait until its spec.suspend is false."
)


class TerminalAsks:
    """Implements ``runner.link.tools.Asks``."""

    def __init__(
        self,
        rows: Callable[[], Mapping[str, Row]],
        places: Places,
        terminals: Terminals,
        emulators: Emulators,
        typing_seconds: float = TYPING_SECONDS,
    ) -> None:
        self._rows = rows
        self._places = places
        self._terminals = terminals
        self._emulators = emulators
        self._typing_seconds = typing_seconds

    async def answer(self, ask: link_pb2.AskDown) -> link_pb2.AskUp:
        """Return the answer, without the ask's number; refusals are answers."""
        rows = self._rows()
        if ask.ref.pod_uid not in self._emulators:
            self._emulators.retain({uid for uid, row in rows.items() if row.state in ALIVE})
        row = rows.get(ask.ref.pod_uid)
        if row is None or row.epoch != ask.ref.epoch or row.state is State.REMOVED:
            return _failed("NoSuchPod", "The runner does not have this pod any more.")
        if row.state not in ALIVE:
            return _failed("NotRunning", "The pod's agent is not running.")
        if row.is_held and ask.WhichOneof("msg") != "look":
            return _failed("NotRunning", _SUSPENDED)
        try:
            return await self._answer(row, ask)
        except NotRunning:
            return _failed("NotRunning", "The pod's agent is not running.")
        except UnknownKeyError as exc:
            return _failed("UnknownKey", str(exc))
        except TooLargeError as exc:
            return _failed("Failed", str(exc))
        except OSError as exc:
            text = f"The terminal's output cannot be read ({exc.strerror or exc}): try again."
            return _failed("Failed", text)
        except TerminalError:
            return _failed("Failed", "The terminal did not take it: try again.")

    async def _answer(self, row: Row, ask: link_pb2.AskDown) -> link_pb2.AskUp:
        match ask.WhichOneof("msg"):
            case "look":
                return await self._look(row, ask.look)
            case "text":
                return await self._type(row, [ask.text.data])
            case "keys":
                return await self._press(row, ask.keys)
            case other:
                raise AssertionError(f"{other} is no ask")

    async def _look(self, row: Row, look: link_pb2.Look) -> link_pb2.AskUp:
        asked = question(look)
        async with self.terminal(row, asked) as emulator:
            if is_quick(asked, emulator):
                return link_pb2.AskUp(looked=looked(asked, emulator))
            answer = await self._emulators.in_thread(lambda: looked(asked, emulator))
            return link_pb2.AskUp(looked=answer)

    async def _press(self, row: Row, keys: link_pb2.PressKeys) -> link_pb2.AskUp:
        pieces = presses(keys.keys)  # before anything else is done
        if presses(keys.keys, application_cursor=True) != pieces:
            async with self.screen(row) as screen:
                mode = screen.mode(APPLICATION_CURSOR)
            pieces = presses(keys.keys, application_cursor=mode)
        return await self._type(row, pieces)

    async def _type(self, row: Row, pieces: list[bytes]) -> link_pb2.AskUp:
        """Write the pieces, with pauses between them; as much as is taken within the time."""
        typed = _Typed(sum(map(len, pieces)))
        run_dir = self._places.run(row.uid, row.epoch, row.restart)
        try:
            async with asyncio.timeout(self._typing_seconds):
                for index, piece in enumerate(pieces):
                    if index:
                        await asyncio.sleep(ESCAPE_PAUSE_SECONDS)
                    await self._terminals.write(run_dir, piece, typed.more)
                    typed.before += len(piece)
        except TimeoutError:
            return _failed("TooSlow", typed.said(self._typing_seconds))
        return link_pb2.AskUp(done=link_pb2.Done())

    @asynccontextmanager
    async def screen(self, row: Row) -> AsyncIterator[Screen]:
        """Give the screen of a pod's terminal as it is now; nobody else uses it meanwhile.

        Raises:
            NotRunning: The pod's agent does not run.
            OSError: Its output cannot be read.
        """
        async with self.terminal(row) as emulator:
            yield emulator.screen()

    @asynccontextmanager
    async def terminal(self, row: Row, question: Question | None = None) -> AsyncIterator[Emulator]:
        """Give a pod's terminal as it is now; nobody else uses it meanwhile.

        With a question that it knows the answer to it may be at rest.

        Raises:
            NotRunning: The pod's agent does not run.
            OSError: Its output cannot be read.
        """
        size = row.pod().spec.terminal
        subject = Subject(
            row.uid, self._places.transcript(row.uid), size.cols or 120, size.rows or 40
        )
        async with self._emulators.current(subject, question) as emulator:
            if not emulator.knows_sizes:  # the shim is of an older runner
                state = await self._terminals.state(
                    self._places.run(row.uid, row.epoch, row.restart)
                )
                emulator.assume(state.cols, state.rows)
            yield emulator


class _Typed:
    """How much a terminal took."""

    def __init__(self, total_bytes: int) -> None:
        self._total = total_bytes
        self.before = 0
        """Bytes of the pieces that are done."""
        self._now = 0

    def more(self, taken_bytes: int) -> None:
        """Take note of how much of the present piece was taken."""
        self._now = self.before + taken_bytes

    def said(self, seconds: float) -> str:
        """Return the sentence for one who waited in vain."""
        return (
            f"The program does not read what is typed: its terminal took at least {self._now} of "
            f"{self._total} bytes within {seconds:g} s, and more of them may still be read later."
        )


def _failed(reason: str, message: str) -> link_pb2.AskUp:
    return link_pb2.AskUp(failed=link_pb2.AskFailed(reason=reason, message=message))
