"""Brings one prompt into one run's terminal: journals each step, then takes it.

A key of the shim belongs to each thing that is typed, so that it is typed once, whoever is
killed between the journal and the terminal.
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from runner.clock import wall_ms
from runner.converge.delivery_plan import (
    NEVER,
    UNREAD,
    UNREAD_NOTE,
    Failed,
    Rule,
    Scene,
    Step,
    Submitted,
    Type,
    Wait,
    next_step,
    with_mark,
)
from runner.converge.delivery_screen import Look, unread_mark
from runner.converge.delivery_sight import Screen, Sight
from runner.converge.delivery_states import Delivery, Outcome, Stage
from runner.converge.delivery_stuck import Stuck
from runner.converge.delivery_typing import RESUMED, Keyboard, ResumedError, UnreadError, typed
from runner.converge.journal import Journal, JournalError
from runner.converge.prompt import submit_key, typed_text
from runner.converge.states import Row, State
from runner.drivers.terminal_values import (
    Chunk,
    Ended,
    Gap,
    NotRunning,
    TerminalError,
)
from runner.drivers.terminal_values import State as TerminalState
from schemas.patterns import Pattern, PatternError

logger = logging.getLogger(__name__)

_SCREEN_BYTES: Final = 1024 * 1024
"""A screen is rebuilt from this much of the transcript's end."""

_SELDOM_SECONDS: Final = 0.25
"""Between looks at a screen that changes, while an agent is at work: that may take hours."""

_OFTEN_SECONDS: Final = 0.05
"""The same, while something is typed."""

_ASK_SECONDS: Final = 0.5
"""A terminal may get another size or mode at any time; it is asked for them so often at most."""

_UNREAD_SECONDS: Final = 0.25
"""The same, while its program has not read what was typed."""

_TIMEOUT_SECONDS: Final = 60.0
_NO_MCP: Final = frozenset({"", "none"})


class Terminals(Keyboard, Protocol):
    """What is needed of ``runner.drivers.terminal.Terminals``."""

    def follow(
        self, transcript_dir: Path, run_dir: Path | None, offset: int
    ) -> AsyncIterator[Chunk | Gap | Ended]:
        """Give the transcript from an offset on."""
        ...

    async def state(self, run_dir: Path) -> TerminalState:
        """Return what the shim says."""
        ...

    def typed_at(self, run_dir: Path) -> float:
        """Return when others than deliveries typed last."""
        ...


@dataclass(slots=True)
class Ground:
    """What every bout stands on."""

    journal: Journal
    terminals: Terminals
    screen: Callable[[int, int], Screen]
    put: Callable[[Delivery], Awaitable[None]]
    """Journals a delivery and tells of it."""
    note: Callable[[str, str, str], None]
    """Says of a pod what stands in the way of its prompt: uid, sentence, reason; or nothing."""
    given: Callable[[str], None]
    """Says of a pod that its first prompt is given, or is about to be."""


class Over(Exception):  # noqa: N818  a state of the world, named like one
    """Nothing can be typed into the run any more, for now or for ever."""


PROMPT_WAITS: Final = "PromptWaits"
"""Reason of a running pod's report: its prompt cannot be typed or submitted for now."""


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
        self._noted = self._lasting_note = ""
        self._asked_at = 0.0
        self._last_key = ""
        self._give_up_at = NEVER
        self._stuck: Stuck | None = None

    async def carry(self) -> None:
        """Work until the delivery has ended.

        Raises:
            Over: The run has ended, or is about to.
            JournalError: It could not be written down; nothing was typed that is not.
        """
        await self._recall()
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
    def _paste_key(self) -> str:
        return f"{self._delivery.id}/paste"

    @property
    def _run(self) -> tuple[int, int]:
        return self._row.epoch, self._row.restart

    async def _recall(self) -> None:
        """Learn what an earlier delivery left in the input of this very run."""
        said = self._ground.journal.stuck(self._row.uid)
        stuck = Stuck.read(said) if said else None
        if stuck is not None and stuck.run != self._run:
            stuck = None
            await self._ground.journal.put_stuck(self._row.uid, "")
        self._stuck = stuck

    async def _leave(self, stuck: Stuck | None) -> None:
        """Write down what stands in the input, or that nothing does any more."""
        if stuck != self._stuck:
            said = stuck.written() if stuck is not None else ""
            await self._ground.journal.put_stuck(self._row.uid, said)
            self._stuck = stuck

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
            scene, look, step = await self._decide(sight, scene)
            match step:
                case Wait():
                    scene = dataclasses.replace(scene, seen_at=step.seen_at, taken_at=step.taken_at)
                    await self._wait(sight, step, look)
                case Type():
                    if step.stage is Stage.PASTED:
                        self._lasting_note = step.note
                    scene = await self._type(step, scene, look)
                case Submitted():
                    await self._leave(None)
                    await self._end(Outcome.SUBMITTED)
                case Failed():
                    if step.is_held:
                        await self._leave(self._held(scene, look))
                    await self._end(Outcome.FAILED, step.reason, step.message)

    async def _decide(self, sight: Sight, scene: Scene) -> tuple[Scene, Look, Step]:
        """Return what to do next; what is more than waiting is decided on what is true now."""
        at_once = False
        while True:
            self._check(sight)
            await self._ask_terminal(sight, at_once=at_once)
            look, is_typed = sight.look(), self._last_key == self._paste_key
            scene = dataclasses.replace(scene, listed_at=self._listed_at(scene), is_typed=is_typed)
            step = next_step(self._delivery, scene, look)
            if at_once or isinstance(step, Wait):
                return scene, look, step
            at_once = True

    def _held(self, scene: Scene, look: Look) -> Stuck:
        """Return how the text, which was not submitted, stands in the input."""
        mark = scene.held
        if look.is_unread and self._delivery.stage is Stage.PASTED:
            mark = unread_mark(self._delivery.text, look)
        elif mark is None:
            mark = with_mark(self._delivery, scene, look).held
        return Stuck(self._run, mark or unread_mark(self._delivery.text, look))

    async def _wait(self, sight: Sight, wait: Wait, look: Look) -> None:
        until = wait.until
        if look.is_unread:  # that it reads need not show
            until = min(until, look.at + _UNREAD_SECONDS)
        self._note(wait.note or self._lasting_note, PROMPT_WAITS if wait.note else "")
        is_typed = self._delivery.stage is not Stage.WAITING
        await sight.changed(until, _OFTEN_SECONDS if is_typed else _SELDOM_SECONDS)

    def _scene(self, sight: Sight) -> Scene:
        delivery, readiness, now = self._delivery, self._pod.spec.readiness, time.monotonic()
        rule = Rule(
            _compiled(readiness.regex),
            float(readiness.timeout_seconds or _TIMEOUT_SECONDS),
            delivery.is_first,
            delivery.is_first and self._pod.spec.mcp.format not in _NO_MCP,
        )
        if give_up := delivery.give_up_ms:
            self._give_up_at = now + (give_up - wall_ms()) / 1000
        stuck = self._stuck.mark if self._stuck else None
        scene = Scene(rule, now, self._give_up_at, stuck=stuck)
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
            modes = {"bracketed": look.bracketed, "line_mode": look.line_mode}
            key, data = self._paste_key, typed_text(delivery.text, **modes)
            if not resumed:
                await self._leave(None)
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
        self._note(self._lasting_note)
        await self._hand_over(key, data, look, scene.late_at, resumed=resumed)
        return dataclasses.replace(scene, typed_at=time.monotonic(), taken_at=None)

    async def _write_down(self, **fields: object) -> None:
        self._delivery = dataclasses.replace(self._delivery, **fields)  # type: ignore[arg-type]
        if self._delivery.is_first:  # what an older runner would ask, should one come again
            row = self._row
            await self._ground.journal.prompt_sent(row.uid, row.epoch, row.restart)
            if self._delivery.stage is Stage.PRESSED:  # before that, nobody can have taken it
                await self._ground.journal.prompt_given(row.uid, row.epoch)
                self._ground.given(row.uid)
        await self._ground.put(self._delivery)

    async def _hand_over(
        self, key: str, data: bytes, look: Look, late_at: float, *, resumed: bool
    ) -> None:
        def unread() -> None:
            if self._sight is not None:
                self._check(self._sight)
            if time.monotonic() >= late_at:
                self._note(UNREAD_NOTE, PROMPT_WAITS)

        keyboard, give_up_at = self._ground.terminals, self._give_up_at
        try:
            await typed(keyboard, self._run_dir, (key, data), resumed, give_up_at, unread)
        except NotRunning as exc:
            raise Over from exc
        except ResumedError:
            await self._end(Outcome.FAILED, "NotSubmitted", RESUMED)
        except (TerminalError, UnreadError):
            await self._leave(Stuck(self._run, unread_mark(self._delivery.text, look)))
            await self._end(Outcome.FAILED, "NotSubmitted", UNREAD)

    async def _end(self, state: Outcome, reason: str = "", message: str = "") -> None:
        delivery = self._delivery = ended(self._delivery, state, reason, message)
        await self._ground.put(delivery)
        note = {"pod": delivery.uid, "delivery": delivery.id, "reason": reason}
        logger.info("a prompt was %s", state.value, extra=note)
        if delivery.is_first and message:
            self._note(message, reason)
        else:
            self._note(self._lasting_note)

    @property
    def obstacle(self) -> str:
        """What stands in the way of the prompt, as last told; empty: nothing is known."""
        return self._noted

    def _note(self, text: str, reason: str = "") -> None:
        if text != self._noted:
            self._noted = text
            self._ground.note(self._row.uid, text, reason)

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
        if row.is_held:  # frozen, it reads nothing and shows nothing: that says nothing of it
            raise Over
        if known is None or not known.is_open:
            raise Over

    async def _ask_terminal(self, sight: Sight, *, at_once: bool) -> None:
        now = time.monotonic()
        pause = _UNREAD_SECONDS if sight.unread else _ASK_SECONDS
        if not at_once and now < self._asked_at + pause:
            return
        self._asked_at = now
        try:
            state = await self._ground.terminals.state(self._run_dir)
        except (TerminalError, TimeoutError) as exc:
            raise Over from exc
        size = (state.cols, state.rows)
        sight.told(size, line_mode=state.line_mode, unread=bool(state.unread))
        self._last_key = state.last_key


def ended(delivery: Delivery, state: Outcome, reason: str, message: str) -> Delivery:
    """Return the delivery with its end; its text is not needed any more."""
    return dataclasses.replace(delivery, state=state, reason=reason, message=message, text="")


def _compiled(regex: str) -> Pattern | None:
    if not regex:
        return None
    try:
        return Pattern(regex, by_lines=True)
    except PatternError:
        return None  # as without: the class's own conditions say that it is wrong
