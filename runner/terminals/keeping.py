"""Keeps the transcripts of all pods: has full files packed, and says what is missing of them."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshwire.v1 import link_pb2

from runner.converge.places import Places
from runner.converge.states import Row
from runner.drivers.terminal_transcript import first, lost
from runner.shim import gaps
from runner.terminals.archive import waits
from runner.terminals.aside import Aside, WorkerCrashed, WorkerError

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
_RETRY_LOOKS: Final = 12
"""A transcript that could not be packed is tried again after so many looks."""

_COLS, _ROWS = 120, 40
TYPE: Final = "TranscriptComplete"


@dataclass(frozen=True, slots=True)
class Missing:
    """What of the output is not in a transcript."""

    before: int = 0
    """All up to here was dropped, because there was too much."""
    lost: tuple[gaps.Lost, ...] = ()
    """What could not be written."""

    def condition(self) -> link_pb2.PodCondition | None:
        """Return what is to be said of it; None: nothing is missing."""
        said = []
        if self.lost:
            count = sum(each.end - each.start for each in self.lost)
            start, end = self.lost[-1]
            where = f"from byte {start} to byte {end}"
            if len(self.lost) > 1:
                where = f"in {len(self.lost)} places, last {where}"
            said.append(f"{count} bytes of output could not be written and are lost, {where}.")
        if self.before:
            said.append(
                f"The first {self.before} bytes of output are no longer kept: the transcript "
                "reached its limit."
            )
        if not said:
            return None
        reason = "OutputLost" if self.lost else "OldestDropped"
        return link_pb2.PodCondition(type=TYPE, status=False, reason=reason, message=" ".join(said))


class Keeping:
    """Looks after the transcripts now and then. ``source`` tells reports what is missing."""

    def __init__(
        self,
        rows: Callable[[], Mapping[str, Row]],
        places: Places,
        aside: Aside,
        tell: Callable[[str], None],
        drawing: Aside,
    ) -> None:
        self._rows = rows
        self._places = places
        self._aside = aside
        self._tell = tell
        self._drawing = drawing
        """Of the views; ends with us."""
        self._stamps: dict[str, tuple[int, int]] = {}
        self._missing: dict[str, Missing] = {}
        self._resting: dict[str, int] = {}

    def source(self, row: Row) -> link_pb2.PodObserved:
        """Return what a report says of a pod's transcript."""
        said = self._missing.get(row.uid, Missing()).condition()
        return link_pb2.PodObserved(conditions=[said] if said is not None else [])

    async def run(self) -> None:
        """Look for ever."""
        try:
            while True:
                try:
                    await self.look()
                except Exception:
                    logger.exception("looking after the transcripts failed")
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for each in (self._aside, self._drawing):
                await asyncio.shield(each.close())

    async def look(self) -> None:
        """Look once at all; pack what is full."""
        uids = [row.uid for row in self._rows().values() if row.started_ms and not row.forgotten_ms]
        for uid in self._stamps.keys() - set(uids):
            del self._stamps[uid]
            self._missing.pop(uid, None)
            self._resting.pop(uid, None)
        changed, full = await asyncio.to_thread(self._looked, uids)
        for uid in changed:
            self._tell(uid)
        for uid in full:
            await self._pack(uid)
        if full:
            await self._aside.close()  # it may be hours until there is more

    def _looked(self, uids: list[str]) -> tuple[list[str], list[str]]:
        """Return the pods of whose output something else is missing, and those to pack."""
        changed, full = [], []
        for uid in uids:
            directory = self._places.transcript(uid)
            stamp = _changed_ns(directory), _changed_ns(directory / gaps.NAME)
            rest = self._resting.get(uid, 0)
            if rest:
                self._resting[uid] = rest - 1
            if stamp == self._stamps.get(uid) and rest != 1:
                continue
            self._stamps[uid] = stamp
            missing = _missing(directory)
            if missing != self._missing.get(uid, Missing()):
                self._missing[uid] = missing
                changed.append(uid)
            if waits(directory) and rest <= 1:
                full.append(uid)
        return changed, full

    async def _pack(self, uid: str) -> None:
        directory = self._places.transcript(uid)
        try:
            try:
                await self._aside.archive(directory, _COLS, _ROWS)
            except WorkerCrashed:
                logger.warning("no screen could be made of a transcript", extra={"pod": uid})
                await self._aside.archive(directory, _COLS, _ROWS, checkpoint=False)
        except WorkerError as exc:
            logger.warning("not packed: %s", exc, extra={"pod": uid})
            self._resting[uid] = _RETRY_LOOKS


def _missing(directory: Path) -> Missing:
    try:
        return Missing(first(directory) or 0, tuple(lost(directory)))
    except OSError:
        return Missing()


def _changed_ns(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116  one call of a hot path
    except OSError:
        return 0
