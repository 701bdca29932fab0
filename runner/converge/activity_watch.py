"""Looks at all pods' output and processes, and has what is told of them follow from that.

A look at a quiet pod is a look at the length of its transcript. What is printed too fast to be
worth reading is left out, and the screen is drawn anew once there is time. What was told outlives
the runner in a small file beside the pod: a pod that waits is not told of twice.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from runner.clock import wall_seconds
from runner.converge.activity import Sign, Told
from runner.converge.activity_output import Output
from runner.converge.activity_pod import PodActivity
from runner.converge.activity_process import Sampler, Terminal
from runner.converge.activity_screen import Screen, rules
from runner.converge.places import Places
from runner.converge.states import Row
from runner.drivers.screen import Screen as RealScreen
from runner.drivers.terminal_values import State, TerminalError

logger = logging.getLogger(__name__)

_BUDGET_BYTES: Final = 8 * 1024 * 1024
"""Of all pods together in one look: the rest has its turn in the next."""

_STATE_SECONDS: Final = 1.0
_MOST_HOOKS: Final = 256
"""Of one pod between two looks; older ones are passed over."""

_FILE: Final = "activity.json"


class Terminals(Protocol):
    """What is needed of ``runner.drivers.terminal.Terminals``."""

    async def state(self, run_dir: Path) -> State:
        """Return what the live shim says."""
        ...

    def size(self, transcript_dir: Path) -> int:
        """Return the length of the transcript."""
        ...


@dataclass(slots=True)
class _Watched:
    """One run."""

    run: tuple[int, int]
    """epoch, restart."""
    activity: PodActivity
    output: Output
    sampler: Sampler
    terminal: Terminal | None = None
    """What its shim said, for the sample that is wanted."""
    hooks: list[Mapping[str, Any]] = field(default_factory=list)
    frozen_ms: int = 0
    """How long it was frozen before this."""
    is_restored: bool = False
    """What is told was told before it was watched, and has to be told again."""


class ActivityWatch:
    """What all pods here are doing. ``look`` is not for two callers at once."""

    def __init__(
        self,
        places: Places,
        terminals: Terminals,
        screen: Callable[[int, int], Screen] = RealScreen,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = places
        self._terminals = terminals
        self._new_screen = screen
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._told: dict[str, Told] = {}

    def told(self, uid: str) -> Told:
        """Return what is said of a pod."""
        return self._told.get(uid, Told())

    def hook(self, uid: str, body: Mapping[str, Any]) -> None:
        """Take what the hook of a pod's agent sent; weighed at the next look."""
        watched = self._watched.get(uid)
        if watched is not None and len(watched.hooks) < _MOST_HOOKS:
            watched.hooks.append(body)

    async def look(self, rows: Iterable[Row]) -> tuple[dict[str, int], list[str]]:
        """Look at the running pods; return their lengths of output, and who is told anew.

        Those that are frozen, or on their way into or out of that, do nothing: nothing is told.
        """
        running = {row.uid: row for row in rows if not row.is_held}
        await self._ask_shims(running)
        hooks = self._take_hooks()
        return await asyncio.to_thread(self._look, running, hooks)

    def close(self) -> None:
        """Free all."""
        for uid in tuple(self._watched):
            self._drop(uid)

    # --- on the loop -----------------------------------------------------------------------------

    def _take_hooks(self) -> dict[str, list[Mapping[str, Any]]]:
        taken = {uid: each.hooks for uid, each in self._watched.items() if each.hooks}
        for uid in taken:
            self._watched[uid].hooks = []
        return taken

    async def _ask_shims(self, running: Mapping[str, Row]) -> None:
        now = self._clock()
        for uid, watched in self._watched.items():
            row = running.get(uid)
            if row is None or not watched.activity.wants_sample(now):
                continue
            run_dir = self._places.run(uid, row.epoch, row.restart)
            try:
                async with asyncio.timeout(_STATE_SECONDS):
                    said = await self._terminals.state(run_dir)
            except (TerminalError, OSError, TimeoutError, ValueError):
                watched.terminal = Terminal()
            else:
                watched.terminal = Terminal(line_mode=said.line_mode, echo=said.echo)

    # --- in a thread -----------------------------------------------------------------------------

    def _look(
        self, running: Mapping[str, Row], hooks: Mapping[str, list[Mapping[str, Any]]]
    ) -> tuple[dict[str, int], list[str]]:
        for uid in self._watched.keys() - running.keys():
            self._drop(uid)
        sizes, changed, budget = dict[str, int](), list[str](), _BUDGET_BYTES
        for uid, row in running.items():
            try:
                size = sizes[uid] = self._terminals.size(self._places.transcript(uid))
                watched = self._of(row, size)
                restored = watched.is_restored
                watched.is_restored = False
                budget -= watched.output.feed(watched.activity, size, budget, self._clock())
                if self._weigh(watched, hooks.get(uid, ())):
                    self._tell(uid, watched)
                    restored = True
                if restored:
                    changed.append(uid)
            except OSError as exc:
                logger.warning(
                    "cannot look at a pod", extra={"pod": uid, "reason": type(exc).__name__}
                )
        return sizes, changed

    def _weigh(self, watched: _Watched, hooks: Iterable[Mapping[str, Any]]) -> bool:
        now, activity = self._clock(), watched.activity
        for body in hooks:
            activity.hook(body, now)
        if watched.terminal is not None:
            activity.sampled(watched.sampler.look(now, watched.terminal), now)
            watched.terminal = None
        return activity.look(now)

    def _of(self, row: Row, size: int) -> _Watched:
        watched, run = self._watched.get(row.uid), (row.epoch, row.restart)
        if watched is not None and watched.run == run:
            return watched
        self._drop(row.uid)
        spec, now = row.pod().spec, self._clock()
        columns, lines = spec.terminal.cols or 120, spec.terminal.rows or 40
        activity = PodActivity(rules(spec.activity), lambda: self._new_screen(columns, lines), now)
        output = Output(self._places.transcript(row.uid), row.output_begin, size)
        sampler = Sampler(row.pid, row.child_pid)
        watched = _Watched(run, activity, output, sampler, frozen_ms=row.frozen_ms)
        self._watched[row.uid] = watched
        self._restore(row.uid, watched, now)
        return watched

    def _drop(self, uid: str) -> None:
        watched = self._watched.pop(uid, None)
        if watched is not None:
            watched.activity.close()
        self._told.pop(uid, None)

    def _tell(self, uid: str, watched: _Watched) -> None:
        said = watched.activity.told
        ago = self._clock() - said.since
        since_ms = int((wall_seconds() - ago) * 1000) if said.word else 0
        self._told[uid] = Told(said.word, since_ms, said.evidence, watched.activity.stuck)
        self._keep(uid, watched)

    def _keep(self, uid: str, watched: _Watched) -> None:
        hooked = watched.activity.hooked
        kept = {
            "run": watched.run,
            "told": asdict(self._told[uid]),
            "hooked": hooked and hooked.word,
            "frozen_ms": watched.frozen_ms,
        }
        path = self._places.private(uid) / _FILE
        with suppress(OSError):  # a full disk: then it is told anew after a restart
            draft = path.with_suffix(".new")
            draft.write_text(json.dumps(kept), encoding="utf-8")
            draft.replace(path)

    def _restore(self, uid: str, watched: _Watched, now: float) -> None:
        try:
            kept = json.loads((self._places.private(uid) / _FILE).read_text(encoding="utf-8"))
            if tuple(kept["run"]) != watched.run:
                return
            told = Told(**kept["told"])
            is_thawed = kept.get("frozen_ms", 0) != watched.frozen_ms
            if is_thawed:  # its time begins anew
                told = replace(told, since_ms=int(wall_seconds() * 1000), stuck="")
            since = now - max(0.0, wall_seconds() - told.since_ms / 1000)
            hooked = Sign(str(kept["hooked"]), told.evidence, since) if kept["hooked"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return
        self._told[uid] = told
        watched.is_restored = True
        watched.activity.restore(Sign(told.word, told.evidence, since), hooked, told.stuck)
        if is_thawed:
            self._keep(uid, watched)
