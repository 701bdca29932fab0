"""Brings one prompt into one run's terminal: journals each step, then takes it.

A key of the shim belongs to each thing that is typed, so that it is typed once, whoever is
killed between the journal and the terminal.
"""

import asyncio
import dataclasses
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from runner.clock import wall_ms
from runner.converge.delivery_plan import (
    NEVER,
    Failed,
    Rule,
    Scene,
    Submitted,
    Type,
    Wait,
    next_step,
    with_mark,
)
from runner.converge.delivery_screen import Look, Mark
from runner.converge.delivery_sight import Screen, Sight
from runner.converge.delivery_states import Delivery, Outcome, Stage
from runner.converge.journal import Journal, JournalError
from runner.converge.prompt import submit_key, typed_text
from runner.converge.states import Row, State
from runner.drivers.terminal_values import (
    Chunk,
    Ended,
    Gap,
    NotOffered,
    NotRunning,
    TerminalError,
)
from runner.drivers.terminal_values import State as TerminalState

logger = logging.getLogger(__name__)

_SCREEN_BYTES: Final = 1024 * 1024
"""A screen is rebuilt from this much of the transcript's end."""

_TYPING_SECONDS: Final = 60.0
"""A program that does not read for so long does not take the prompt."""

_SELDOM_SECONDS: Final = 0.25
"""Between looks at a screen that changes, while an agent is at work: that may take hours."""

_OFTEN_SECONDS: Final = 0.05
"""The same, while something is typed."""

_SIZE_SECONDS: Final = 0.5
"""A terminal may get another size or mode at any time; it is asked for them so often at most."""

_TIMEOUT_SECONDS: Final = 60.0
_NO_MCP: Final = frozenset({"", "none"})


class Terminals(Protocol):
    """What is needed of ``runner.drivers.terminal.Terminals``."""

    def follow(
        self, transcript_dir: Path, run_dir: Path | None, offset: int
    ) -> AsyncIterator[Chunk | Gap | Ended]:
        """Give the transcript from an offset on."""
        ...

    async def state(self, run_dir: Path) -> TerminalState:
        """Return what the shim says."""
        ...

    async def write(self, run_dir: Path, data: bytes) -> None:
        """Type into the terminal."""
        ...

    def typed_at(self, run_dir: Path) -> float:
        """Return when others than deliveries typed last."""
        ...

    async def write_once(self, run_dir: Path, key: str, data: bytes) -> bool:
        """Type unless the run took input with that key before."""
        ...


@dataclass(frozen=True, slots=True)
class Stuck:
    """A text that was typed, not submitted, and is in the input of its run still."""

    run: tuple[int, int]
    mark: Mark


@dataclass(slots=True)
class Ground:
    """What every bout stands on."""

    journal: Journal
    terminals: Terminals
    screen: Callable[[int, int], Screen]
    put: Callable[[Delivery], Awaitable[None]]
    """Journals a delivery and tells of it."""
    note: Callable[[str, str], None]
    """Says something about a pod until its state changes."""


class Over(Exception):  # noqa: N818  a state of the world, named like one
    """Nothing can be typed into the run any more, for now or for ever."""


class Bout:
    """One delivery and one run."""

    def __init__(
        self, ground: Ground, row: Row, delivery: Delivery, dirs: tuple[Path, Path]
    ) -> None:
        self._ground = ground
        self._row = row
        self._pod = row.pod()
        self._delivery = delivery
        self._transcript, self._run_dir = dirs
        self._sight: Sight | None = None
        self._noted = ""
        self._sized_at = 0.0
        self.stuck: Stuck | None = None
        """A text that this bout left in the input, or found there."""

    async def carry(self, stuck: Stuck | None) -> None:
        """Work until the delivery has ended.

        Raises:
            Over: The run has ended, or is about to.
            JournalError: It could not be written down; nothing was typed that is not.
        """
        self.stuck = stuck if stuck is not None and stuck.run == self._run else None
        try:
            state = await self._ground.terminals.state(self._run_dir)
        except (TerminalError, TimeoutError) as exc:
            raise Over from exc
        sight = self._sight = self._see(state)
        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                follow = self._ground.terminals.follow
                stream = follow(self._transcript, self._run_dir, sight.begin)
                reading = tasks.create_task(sight.read(stream))
                try:
                    await sight.caught_up()
                    await self._go(sight)
                except (Over, JournalError) as exc:
                    failure = exc  # not as a group of one
                finally:
                    reading.cancel()
        finally:
            self._sight = None
            sight.close()
        if failure is not None:
            raise failure

    @property
    def delivery_id(self) -> str:
        """Which delivery it brings."""
        return self._delivery.id

    def wake(self) -> None:
        """Look again: something else than the screen has changed."""
        if self._sight is not None:
            self._sight.wake()

    @property
    def _run(self) -> tuple[int, int]:
        return self._row.epoch, self._row.restart

    def _see(self, state: TerminalState) -> Sight:
        delivery = self._delivery
        begin = max(self._row.output_begin, state.head - _SCREEN_BYTES)
        typed = delivery.stage is not Stage.WAITING
        return Sight(
            self._ground.screen(state.cols, state.rows),
            (state.cols, state.rows),
            (begin, state.head),
            _compiled(self._pod.spec.readiness.regex),
            lambda: self._ground.terminals.typed_at(self._run_dir),
            (delivery.pasted_at, delivery.offset) if typed else (),
        )

    async def _go(self, sight: Sight) -> None:
        scene = self._scene(sight)
        while self._delivery.is_open:
            self._check(sight)
            await self._ask_terminal(sight)
            look = sight.look()
            scene = dataclasses.replace(scene, listed_at=self._listed_at(scene))
            match next_step(self._delivery, scene, look):
                case Wait() as wait:
                    scene = dataclasses.replace(scene, seen_at=wait.seen_at, taken_at=wait.taken_at)
                    await self._wait(sight, wait)
                case Type() as step:
                    if step.stage is Stage.PASTED:
                        self._note(step.note)
                    scene = await self._type(step, scene, look)
                case Submitted():
                    await self._end(Outcome.SUBMITTED)
                case Failed() as failed:
                    if failed.is_held:
                        held = scene.held or with_mark(self._delivery, scene, look).held
                        self.stuck = Stuck(self._run, held) if held else None
                    await self._end(Outcome.FAILED, failed.reason, failed.message)

    async def _wait(self, sight: Sight, wait: Wait) -> None:
        if self._delivery.stage is Stage.WAITING:
            self._note(wait.note)
            await sight.changed(wait.until, _SELDOM_SECONDS)
        else:
            await sight.changed(wait.until, _OFTEN_SECONDS)

    def _scene(self, sight: Sight) -> Scene:
        delivery, readiness, now = self._delivery, self._pod.spec.readiness, time.monotonic()
        rule = Rule(
            _compiled(readiness.regex),
            float(readiness.timeout_seconds or _TIMEOUT_SECONDS),
            delivery.is_first,
            delivery.is_first and self._pod.spec.mcp.format not in _NO_MCP,
        )
        give_up = delivery.give_up_ms
        scene = Scene(
            rule,
            now,
            now + (give_up - wall_ms()) / 1000 if give_up else NEVER,
            stuck=self.stuck.mark if self.stuck else None,
        )
        if delivery.stage is Stage.WAITING:
            return scene
        scene = dataclasses.replace(scene, before=sight.at(delivery.pasted_at))
        shown = sight.at(delivery.offset) if delivery.stage is Stage.PRESSED else None
        return with_mark(delivery, scene, shown) if shown is not None else scene

    def _listed_at(self, scene: Scene) -> float | None:
        """Return when the agent listed its tools; what is remembered was long ago."""
        if scene.listed_at is not None or not self._ground.journal.listed_ms(self._row):
            return scene.listed_at
        ago = (wall_ms() - self._ground.journal.listed_ms(self._row)) / 1000
        return time.monotonic() - max(0.0, ago)

    async def _type(self, step: Type, scene: Scene, look: Look) -> Scene:
        """Write down what is to be typed, type it, and return the scene after it."""
        delivery, resumed = self._delivery, self._delivery.stage is step.stage
        if step.stage is Stage.PASTED:
            text = typed_text(delivery.text, bracketed=look.bracketed)
            key, data = f"{delivery.id}/paste", text
            if not resumed:
                self.stuck = None
                scene = dataclasses.replace(scene, before=look, stuck=None)
                await self._write_down(
                    stage=Stage.PASTED, restart=self._row.restart, pasted_at=look.offset
                )
        else:
            key, data = f"{delivery.id}/submit/{step.attempt}", submit_key(self._pod)
            resumed = resumed and delivery.attempts == step.attempt
            if not resumed:
                scene = with_mark(delivery, scene, look)
                await self._write_down(
                    stage=Stage.PRESSED, attempts=step.attempt, offset=look.offset
                )
        await self._hand_over(key, data, resumed=resumed)
        return dataclasses.replace(scene, typed_at=time.monotonic(), taken_at=None)

    async def _write_down(self, **fields: object) -> None:
        self._delivery = dataclasses.replace(self._delivery, **fields)  # type: ignore[arg-type]
        if self._delivery.is_first:  # what an older runner would ask, should one come again
            row = self._row
            await self._ground.journal.prompt_sent(row.uid, row.epoch, row.restart)
        await self._ground.put(self._delivery)

    async def _hand_over(self, key: str, data: bytes, *, resumed: bool) -> None:
        terminals = self._ground.terminals
        try:
            async with asyncio.timeout(_TYPING_SECONDS):
                try:
                    await terminals.write_once(self._run_dir, key, data)
                except NotOffered:  # a shim of an older runner: rather never than twice
                    if not resumed:
                        await terminals.write(self._run_dir, data)
                        return
                    text = "The runner was restarted while it typed, into a pod of an older runner"
                    text = f"{text}: it may have been taken."
                    await self._end(Outcome.FAILED, "NotSubmitted", text)
        except NotRunning as exc:
            raise Over from exc
        except (TerminalError, TimeoutError):
            text = "The agent's program did not read what was typed: it may have been taken"
            await self._end(Outcome.FAILED, "NotSubmitted", f"{text} later.")

    async def _end(self, state: Outcome, reason: str = "", message: str = "") -> None:
        delivery = self._delivery = ended(self._delivery, state, reason, message)
        await self._ground.put(delivery)
        note = {"pod": delivery.uid, "delivery": delivery.id, "reason": reason}
        logger.info("a prompt was %s", state.value, extra=note)
        if delivery.is_first and message:
            self._note(message)

    def _note(self, text: str) -> None:
        if text != self._noted:
            self._noted = text
            self._ground.note(self._row.uid, text)

    def _check(self, sight: Sight) -> None:
        """See that typing is right still.

        Raises:
            Over: It is not.
        """
        row = self._ground.journal.rows.get(self._row.uid)
        known = self._ground.journal.deliveries.get(self.delivery_id)
        runs = row is not None and (row.epoch, row.restart) == self._run
        if row is None or not runs or row.state is not State.RUNNING or sight.ended:
            raise Over
        if known is None or not known.is_open:
            raise Over

    async def _ask_terminal(self, sight: Sight) -> None:
        now = time.monotonic()
        if now < self._sized_at + _SIZE_SECONDS:
            return
        self._sized_at = now
        try:
            state = await self._ground.terminals.state(self._run_dir)
        except (TerminalError, TimeoutError) as exc:
            raise Over from exc
        sight.told((state.cols, state.rows), line_mode=state.line_mode)


def ended(delivery: Delivery, state: Outcome, reason: str, message: str) -> Delivery:
    """Return the delivery with its end; its text is not needed any more."""
    return dataclasses.replace(delivery, state=state, reason=reason, message=message, text="")


def _compiled(regex: str) -> re.Pattern[str] | None:
    if not regex:
        return None
    try:
        return re.compile(regex, re.MULTILINE)
    except re.error:
        return None  # as without: the class's own conditions say that it is wrong
